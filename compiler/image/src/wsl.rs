//! The distribution for WSL: the root as a gzip tar with the two files that tell Windows what to do with it (Microsoft,
//! "Advanced settings configuration in WSL" and "Build a custom Linux distribution for WSL").
//!
//! WSL brings kernel, network and limits of its own, so little of what an appliance asks for is enforced there; what can
//! be closed is: no drives of Windows inside, no programs of Windows started, nothing taken from its path.

use std::io::{self, Write};

use bundle::guest::GUEST_PATH;
use formats::gzip;
use spec::appliance::{Appliance, Arch, GpuNeed, Init, NetworkMode};
use tree::{Blobs, InsertError, Meta, Node, Tree, TreePath};

use crate::compress::{Codec, compress_frames};
use crate::{FileDigests, HashingWriter};

/// What WSL reads when the distribution starts.
const CONFIGURATION: &str = "etc/wsl.conf";

/// What WSL reads when the distribution is installed.
const DISTRIBUTION: &str = "etc/wsl-distribution.conf";

/// WSL makes this file itself; one that comes along stays in its way.
const RESOLVER: &str = "etc/resolv.conf";

/// A distribution to write and the name of its file.
pub(crate) struct WslPlan {
    pub path: String,
    tree: Tree,
}

/// Decides the distribution of one root. Configuration that the root has already stays as it is.
pub(crate) fn plan(
    appliance: &Appliance,
    arch: Arch,
    root: &Tree,
    several: bool,
    epoch_secs: i64,
) -> Result<WslPlan, InsertError> {
    let path = if several { format!("appliance-{}.wsl", arch.name()) } else { "appliance.wsl".to_owned() };
    let mut tree = root.clone();
    for (name, text) in [(CONFIGURATION, configuration(appliance)), (DISTRIBUTION, distribution(appliance))] {
        let Ok(name) = TreePath::new(name) else { continue };
        if tree.get(&name).is_none() {
            let node = Node::file(0o644, text);
            let meta = Meta { mtime_secs: epoch_secs, ..node.meta };
            tree.insert_with_parents(name, Node { meta, ..node })?;
        }
    }
    if let Ok(resolver) = TreePath::new(RESOLVER) {
        tree.remove(&resolver);
    }
    Ok(WslPlan { path, tree })
}

fn configuration(appliance: &Appliance) -> String {
    let resolves = appliance.network.mode != NetworkMode::None;
    let gpu = appliance.gpu.need != GpuNeed::None;
    // WSL's own process 1 is no init: it starts the guest, or systemd, whose unit the guest is then.
    let boot = match appliance.init {
        Init::Systemd => "systemd=true\n".to_owned(),
        _ => format!("systemd=false\ncommand=\"{GUEST_PATH} </dev/null >/run/appliance.log 2>&1 &\"\n"),
    };
    format!(
        "[boot]\n{boot}\n\
         [automount]\nenabled=false\nmountFsTab=false\n\n\
         [interop]\nenabled=false\nappendWindowsPath=false\n\n\
         [network]\nhostname={}\ngenerateHosts=true\ngenerateResolvConf={resolves}\n\n\
         [gpu]\nenabled={gpu}\n\n\
         [user]\ndefault=root\n",
        appliance.hostname
    )
}

/// `defaultName` is what a double-click installs it as.
fn distribution(appliance: &Appliance) -> String {
    let name = &appliance.name;
    format!(
        "[oobe]\ndefaultUid=0\ndefaultName={name}\n\n[shortcut]\nenabled=false\n\n[windowsterminal]\nenabled=false\n"
    )
}

/// Writes the distribution and gives its digests.
pub(crate) fn write(
    plan: &WslPlan,
    blobs: &dyn Blobs,
    workers: usize,
    out: &mut (dyn Write + Send),
) -> io::Result<FileDigests> {
    let mut compressed = HashingWriter::new(out);
    compressed.write_all(&gzip::HEADER)?;
    let trailer = compress_frames(&mut compressed, Codec::Gzip, workers, |frames| {
        let mut plain = Plain { frames, trailer: gzip::Trailer::default() };
        crate::write::write_tar(&plan.tree, blobs, &mut plain)?;
        Ok(plain.trailer)
    })?;
    compressed.write_all(&trailer.bytes())?;
    Ok(compressed.finish().1)
}

/// The uncompressed side of the file: summed up, then compressed.
struct Plain<'a> {
    frames: &'a mut dyn Write,
    trailer: gzip::Trailer,
}

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.frames.write(bytes)?;
        self.trailer.take(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.frames.flush()
    }
}
