//! The helper: this program started again, alone in its namespaces, serving one request after another.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::{binfmt, layout, stage, wire};

/// The hidden first argument that makes this program a helper; the command hands over to [`helper_main`] on it.
pub const HELPER_ARG: &str = "__script-sandbox";

/// How long a script may take. Real ones take seconds; one that waits for an answer would wait for ever.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// How much of a script's output is kept, from its end.
const LOG_LIMIT_BYTES: usize = 64 << 10;

/// What the helper does with the arguments after [`HELPER_ARG`]; gives its exit code.
pub fn helper_main(args: &[String]) -> u8 {
    let outcome = match args {
        [role, work] if role == "serve" => serve(Path::new(work), None),
        [role, work, machine, emulator] if role == "serve" => serve(Path::new(work), Some((machine, emulator))),
        [role, work] if role == "stage" => return stage::enter(Path::new(work)),
        [role] if role == "init" => return stage::init(),
        _ => Err(io::Error::other("not for use by hand")),
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

/// Enters the namespaces, waits for the id maps, then serves requests until its input ends. An emulator comes with the
/// machine whose programs it runs.
fn serve(work: &Path, emulator: Option<(&String, &String)>) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    let entered = unshare(flags).map_err(|error| format!("this host allows no user namespaces: {error}"));
    let (mut input, mut output) = (BufReader::new(io::stdin().lock()), BufWriter::new(io::stdout().lock()));
    if let Err(error) = entered {
        wire::send(&mut output, error.as_bytes())?;
        return output.flush();
    }
    wire::send(&mut output, b"")?;
    output.flush()?;
    wire::receive(&mut input)?;
    become_root(work)?;
    let registered = emulator.map(|(machine, emulator)| binfmt::register(work, machine.as_ref(), emulator.as_ref()));
    let _registered = match registered.transpose() {
        Ok(registered) => registered,
        Err(error) => {
            wire::send(&mut output, error.to_string().as_bytes())?;
            return output.flush();
        }
    };
    wire::send(&mut output, b"")?;
    output.flush()?;
    loop {
        let request = match receive_request(&mut input, work) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return clear(work),
            other => other,
        };
        answer(request.and_then(|()| run(work)), work, &mut output)?;
        output.flush()?;
    }
}

/// With the maps in place, takes id 0 and makes its mounts its own.
fn become_root(work: &Path) -> io::Result<()> {
    nix::unistd::setresgid(0.into(), 0.into(), 0.into())?;
    nix::unistd::setresuid(0.into(), 0.into(), 0.into())?;
    // Changing ids clears the parent-death signal.
    set_pdeathsig(Signal::SIGKILL)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    clear(work)?;
    fs::create_dir(work.join("base"))
}

/// Empties the working folder. Only here can files with subordinate owners be removed, so what a killed
/// helper left behind goes when the next one starts.
fn clear(work: &Path) -> io::Result<()> {
    for entry in fs::read_dir(work)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// Brings the base up to date and lays out the script, its arguments and its environment.
fn receive_request(input: &mut impl Read, work: &Path) -> io::Result<()> {
    let removed = wire::receive_list(input)?;
    let put = wire::receive_tree(input)?;
    let base = work.join("base");
    layout::remove(&base, &removed)?;
    layout::put(&base, &put, input)?;
    for part in ["name", "script", "args", "env"] {
        fs::write(work.join(part), wire::receive(input)?)?;
    }
    Ok(())
}

struct Ran {
    status: i32,
    log: Vec<u8>,
    upper: PathBuf,
}

/// Runs the script over a fresh overlay.
fn run(work: &Path) -> io::Result<Ran> {
    for folder in ["upper", "overlay", "root"] {
        let folder = work.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
    }
    let error_file = work.join("error");
    fs::write(&error_file, "")?;
    let log = File::create(work.join("log"))?;
    let child = Command::new("/proc/self/exe")
        .args([HELPER_ARG, "stage"])
        .arg(work)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let status = wait(child)?;
    let problem = fs::read_to_string(&error_file)?;
    if !problem.is_empty() {
        return Err(io::Error::other(problem));
    }
    Ok(Ran { status: status_number(status), log: log_tail(&work.join("log"))?, upper: work.join("upper") })
}

fn wait(mut child: std::process::Child) -> io::Result<ExitStatus> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > TIME_LIMIT {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!(
                "it took longer than {} seconds and was killed",
                TIME_LIMIT.as_secs()
            )));
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn status_number(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn log_tail(path: &Path) -> io::Result<Vec<u8>> {
    let log = fs::read(path)?;
    Ok(log[log.len().saturating_sub(LOG_LIMIT_BYTES)..].to_vec())
}

/// Sends an error's text, or an empty text and what came of the script.
fn answer(ran: io::Result<Ran>, work: &Path, out: &mut impl Write) -> io::Result<()> {
    let collected = ran.and_then(|ran| Ok((layout::collect(&work.join("base"), &ran.upper)?, ran)));
    match collected {
        Err(error) => wire::send(out, error.to_string().as_bytes()),
        Ok((collected, ran)) => {
            wire::send(out, b"")?;
            wire::send(out, ran.status.to_string().as_bytes())?;
            wire::send(out, &ran.log)?;
            wire::send_list(out, collected.removed.iter().map(|path| path.as_bytes()))?;
            wire::send(out, tree::dump(&collected.put).as_bytes())?;
            layout::send_contents(out, &ran.upper, &collected.put)
        }
    }
}
