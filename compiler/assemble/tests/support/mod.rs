//! What the live tests share: packages of the host's own Debian release, fetched with its apt, and checked appliances.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assemble::{AssembleError, Assembled, Inputs, ScriptPolicy, ScriptRunner, assemble};
use packages::Unpacked;
use spec::appliance::Arch;
use spec::base::BaseImage;
use tree::{Kind, NoBlobs, NodeId, Tree, TreePath};

/// Says why a test does nothing.
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIP {test}: {reason}");
}

/// The archives of every required package and of `names` with all they need; `Err` says why there are none.
///
/// They come from the folder in `APPLIANCE_TEST_DEBS`, or through the apt of a Debian 12 host.
pub fn debs(names: &[&str]) -> Result<Vec<Unpacked>, String> {
    let folder = match std::env::var_os("APPLIANCE_TEST_DEBS") {
        Some(folder) => PathBuf::from(folder),
        None => download(names)?,
    };
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    paths.sort();
    if paths.is_empty() {
        return Err("there are no packages".to_owned());
    }
    Ok(paths.iter().map(|path| decode(path)).collect())
}

fn decode(path: &Path) -> Unpacked {
    let deb = formats::deb::decode_bytes(&fs::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Unpacked { control_files: deb.control_files, tree: deb.tree, ..Unpacked::default() }
}

fn download(names: &[&str]) -> Result<PathBuf, String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.contains("VERSION_CODENAME=bookworm") {
        return Err("the host is not Debian 12, whose apt would fetch the packages".to_owned());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("debs-{}", names.join("-")));
    fs::create_dir_all(folder.join("partial")).map_err(|error| error.to_string())?;
    let status = folder.join("status");
    fs::write(&status, "").map_err(|error| error.to_string())?;
    let out = Command::new("apt-get")
        .args(["-y", "-q", "-d", "--no-install-recommends", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="])
        .arg("-o")
        .arg(format!("Dir::State::status={}", status.display()))
        .arg("-o")
        .arg(format!("Dir::Cache::archives={}", folder.display()))
        .args(["install", "?priority(required)", "?essential", "apt"])
        .args(names)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("apt-get: {error}"))?;
    if out.status.success() { Ok(folder) } else { Err(format!("apt-get: {}", String::from_utf8_lossy(&out.stderr))) }
}

/// Debian 12 as the program ships it.
pub fn bookworm() -> BaseImage {
    spec::builtin_bases().into_iter().find(|base| base.name == "debian" && base.release == "bookworm").unwrap()
}

/// Assembles an appliance of this spec body.
pub fn build(
    body: &str,
    packages: Vec<Unpacked>,
    scripts: ScriptPolicy,
    runner: Option<&mut dyn ScriptRunner>,
) -> Result<Assembled, AssembleError> {
    let text = format!("appliance \"test\" {{\n base \"debian\" release=\"bookworm\"\n arch \"amd64\"\n{body}\n}}\n");
    let source = spec::Source { name: "test.kdl".to_owned(), text };
    let spec = spec::parse(&source, &BTreeMap::<String, String>::new()).unwrap();
    let bases = [bookworm()];
    let world = spec::World { bases: &bases, host_arch: Arch::Amd64, allow_outside: false };
    let appliance = spec::check(&spec, &world).unwrap_or_else(|found| panic!("{found:?}")).appliance;
    assemble(Inputs {
        appliance: &appliance,
        arch: Arch::Amd64,
        base: Some(&bases[0]),
        image: None,
        packages,
        ids: &[],
        blobs: &NoBlobs,
        sources: &BTreeMap::new(),
        guest: None,
        epoch_secs: 1_700_000_000,
        scripts,
        runner: runner.map(|runner| runner as &mut dyn ScriptRunner),
    })
}

/// Writes a tree below a folder; needs root for owners.
pub fn materialise(tree: &Tree, to: &Path) {
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
    let mut first: BTreeMap<NodeId, PathBuf> = BTreeMap::new();
    for (path, id, node) in tree.iter() {
        let place = place(to, path);
        let (uid, gid) = (Some(node.meta.uid), Some(node.meta.gid));
        if let Some(first) = first.get(&id) {
            fs::hard_link(first, &place).unwrap();
            continue;
        }
        match &node.kind {
            Kind::Dir => fs::create_dir_all(&place).unwrap(),
            Kind::File(tree::Content::Inline(bytes)) => fs::write(&place, bytes).unwrap(),
            Kind::Symlink(target) => {
                symlink(String::from_utf8_lossy(target).as_ref(), &place).unwrap();
                lchown(&place, uid, gid).unwrap();
                continue;
            }
            other => panic!("{path}: {other:?} in a package"),
        }
        first.insert(id, place.clone());
        chown(&place, uid, gid).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(u32::from(node.meta.mode))).unwrap();
    }
}

fn place(to: &Path, path: &TreePath) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    to.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}
