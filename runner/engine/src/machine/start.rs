//! Starting QEMU: the files are what the bundle says, the sockets are joined already, and it ends with its supervisor.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{Command, Stdio};

use host::{Child, Namespaces};
use sha2::{Digest, Sha256};

use crate::bind::{CONSOLE_FD, ERROR_FD, MACHINE_CHANNEL_FD, Machine, OUTPUT_FD, Proof, QMP_FD, WIRE_FD};
use crate::helper::Failure;

/// The supervisor's ends of what joins it to a machine.
#[derive(Debug)]
pub struct Ends {
    /// The guest channel.
    pub channel: UnixStream,
    /// What the services print.
    pub output: UnixStream,
    /// Their errors.
    pub error: UnixStream,
    /// The serial console.
    pub console: UnixStream,
    /// QEMU's own protocol.
    pub qmp: UnixStream,
    /// What QEMU itself prints.
    pub words: UnixStream,
    /// The network card, where there is one.
    pub wire: Option<UnixStream>,
}

/// The status of a process that could not become QEMU.
const FAILED: i32 = 126;

/// Above all numbers that are about to be filled.
const LIFTED: i32 = 32;

/// Checks the files and starts QEMU.
pub fn start(machine: &Machine) -> Result<(Child, Ends), Failure> {
    machine.proofs.iter().try_for_each(check)?;
    let pair = || -> io::Result<(UnixStream, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        Ok((ours, theirs.into()))
    };
    let (channel, channel_end) = pair()?;
    let (output, output_end) = pair()?;
    let (error, error_end) = pair()?;
    let (console, console_end) = pair()?;
    let (qmp, qmp_end) = pair()?;
    let (words, words_end) = pair()?;
    let (wire, wire_end) =
        if machine.wire { pair().map(|(ours, theirs)| (Some(ours), Some(theirs)))? } else { (None, None) };
    let mut places = vec![
        (MACHINE_CHANNEL_FD, channel_end),
        (OUTPUT_FD, output_end),
        (ERROR_FD, error_end),
        (CONSOLE_FD, console_end),
        (QMP_FD, qmp_end),
    ];
    places.extend(wire_end.map(|end| (WIRE_FD, end)));
    let supervisor = std::process::id();
    let child = host::clone_child(Namespaces::default(), || become_machine(machine, supervisor, &places, &words_end))?;
    Ok((child, Ends { channel, output, error, console, qmp, words, wire }))
}

/// Whether the file is what the bundle says.
fn check(proof: &Proof) -> Result<(), Failure> {
    let read = || -> io::Result<String> {
        let (mut file, mut hasher) = (File::open(&proof.path)?, Sha256::new());
        let mut chunk = vec![0; 1 << 17];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(crate::hex(&hasher.finalize())),
                count => hasher.update(chunk.get(..count).unwrap_or_default()),
            }
        }
    };
    let path = proof.path.display();
    match read() {
        Ok(found) if found == proof.sha256 => Ok(()),
        Ok(_) => Err(format!("trust {path}: it was changed after the build").into()),
        Err(error) => Err(format!("read {path}: {error}").into()),
    }
}

/// The child's side; gives an exit status only when something failed, which it says where QEMU's own words go.
fn become_machine(machine: &Machine, supervisor: u32, places: &[(i32, OwnedFd)], words: &OwnedFd) -> i32 {
    let Ok(words) = host::duplicate_from(words, LIFTED) else { return FAILED };
    let Err(reason) = execute(machine, supervisor, places, &words);
    let text = format!("start {}: {reason}\n", machine.program.display());
    // Where even that cannot be said, the status has to do.
    let _ = File::from(words).write_all(text.as_bytes());
    FAILED
}

/// Sockets at their numbers, nothing else, fewer rights, then QEMU.
fn execute(machine: &Machine, supervisor: u32, places: &[(i32, OwnedFd)], words: &OwnedFd) -> io::Result<Infallible> {
    let lift = |(number, end): &(i32, OwnedFd)| Ok((*number, host::duplicate_from(end, LIFTED)?));
    let lifted: Vec<(i32, OwnedFd)> = places.iter().map(lift).collect::<io::Result<_>>()?;
    let kept = lifted.iter().map(|(_, end)| end.as_raw_fd()).chain([words.as_raw_fd()]);
    host::close_all_but(&kept.collect::<Vec<_>>())?;
    for (number, end) in &lifted {
        host::place_at(end, *number)?;
    }
    host::start_new_session()?;
    host::forbid_new_privileges()?;
    host::die_with_parent()?;
    if parent_id() != supervisor {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let mut command = Command::new(&machine.program);
    command.args(&machine.arguments).env_clear().current_dir("/").stdin(Stdio::null());
    command.stdout(Stdio::from(words.try_clone()?)).stderr(Stdio::from(words.try_clone()?));
    Err(command.exec())
}
