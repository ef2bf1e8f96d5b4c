//! `appliance exec`: a command in an instance that runs, with its streams, its terminal, its signals and its exit code.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use bundle::channel::{Exec as Wanted, ExecNote, Happening, Piece, Pieces, Request, TerminalSize};
use engine::{Connection, ConnectionError};
use host::{Interest, RawTerminal, SignalPipe, poll, terminal_size};

use crate::cli_instances::Exec;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::ui::Ui;

/// Signals that are passed on, by their numbers on Linux: hang-up, interrupt, quit, USR1, USR2, terminate.
const PASSED_ON: [i32; 6] = [1, 2, 3, 10, 12, 15];

/// The signal that says that the terminal has a new size.
const SIGWINCH: i32 = 28;

/// The status of a command whose instance ended with it: that of a killed one.
const KILLED: u8 = 137;

/// The status of a program that does not exist, as shells have it.
const NO_SUCH_PROGRAM: u8 = 127;

/// What standard input is read by at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// Runs a command; the exit code becomes its own.
pub fn exec(args: &Exec, ui: &Ui) -> Result<Exit, Failure> {
    let cannot = |failure: Failure| failure.with_exit(Exit::CannotRun);
    let found = Instances::look(ui).and_then(|instances| instances.live(&args.instance)).map_err(cannot)?;
    let with_terminal = args.tty || (io::stdin().is_terminal() && io::stdout().is_terminal());
    let request = Request::Exec(wanted(args, with_terminal)?);
    let mut connection = connect(&found).map_err(cannot)?;
    let program = args.command.first().map(String::as_str).unwrap_or_default();
    let doing = |error: ConnectionError| match error {
        ConnectionError::Refused(reason) => {
            Failure::doing(Exit::CannotRun, format!("run {program} in {}", found.name), reason)
        }
        error => cannot(talking(&found, error)),
    };
    let (stream, said) = connection.begin(&request).map_err(doing)?;
    if let Some(refused) = said.json.get("not-started") {
        return Err(not_started(args, &found.name, refused));
    }
    let input_open = args.interactive || with_terminal;
    if !input_open {
        // What is not read for the command stays for whoever reads it next.
        connection.session().finish(stream).map_err(|error| doing(error.into()))?;
    }
    let run = Running { connection, stream, pieces: Pieces::default(), input_open };
    let ended = run.until_end(with_terminal);
    match ended.map_err(doing)? {
        Some(status) => Ok(Exit::Appliance(status)),
        None => {
            ui.warn(format!("{} ended, and the command with it", found.name));
            Ok(Exit::Appliance(KILLED))
        }
    }
}

fn not_started(args: &Exec, instance: &str, refused: &serde_json::Value) -> Failure {
    let status = refused["status"].as_u64().and_then(|status| u8::try_from(status).ok()).unwrap_or(126);
    let reason = refused["reason"].as_str().unwrap_or_default().to_owned();
    let program = args.command.first().map(String::as_str).unwrap_or_default();
    let failure = Failure::doing(Exit::Appliance(status), format!("run {program} in {instance}"), reason);
    match status {
        NO_SUCH_PROGRAM => {
            failure.help(format!("see which programs it has with: appliance exec {instance} -- ls /bin"))
        }
        _ => failure,
    }
}

fn wanted(args: &Exec, with_terminal: bool) -> Result<Wanted, Failure> {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    for text in &args.env {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::new(Exit::Usage, format!("understand the variable {text:?}")).help("write NAME=VALUE"));
        };
        env.insert(name.to_owned(), value.to_owned());
    }
    if with_terminal {
        env.entry("TERM".to_owned()).or_insert_with(|| std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()));
    }
    let size = terminal_size(&io::stdin()).unwrap_or((80, 25));
    let terminal = with_terminal.then_some(TerminalSize { columns: size.0, rows: size.1 });
    let (user, cwd) = (args.user.clone(), args.workdir.clone());
    Ok(Wanted { args: args.command.clone(), env, cwd, user, terminal })
}

/// A command that runs.
struct Running {
    connection: Connection,
    stream: u32,
    pieces: Pieces,
    input_open: bool,
}

/// What one round brought.
enum Round {
    /// The command ended with this.
    Ended(u8),
    /// The instance ended under it.
    Lost,
    /// Nobody takes its output any more.
    Unheard,
    /// It goes on.
    On,
}

impl Running {
    /// Carries everything until the command ends; `None` when the instance ended first.
    fn until_end(mut self, with_terminal: bool) -> Result<Option<u8>, ConnectionError> {
        let mut caught = PASSED_ON.to_vec();
        caught.push(SIGWINCH);
        let signals = SignalPipe::catch(&caught)?;
        // Keys go to the command's own terminal, which makes signals of them.
        let _raw = if with_terminal { RawTerminal::enter(&io::stdin()).ok() } else { None };
        loop {
            let happening = match self.connection.happening() {
                Err(ConnectionError::Gone) => return Ok(None),
                other => other?,
            };
            if let Some(happening) = happening {
                match self.take(happening)? {
                    Round::Ended(status) => return Ok(Some(status)),
                    Round::Lost => return Ok(None),
                    Round::Unheard => {
                        self.connection.session().reset(self.stream);
                        let _ = self.connection.flush();
                        return Ok(Some(128 + 13));
                    }
                    Round::On => {}
                }
                continue;
            }
            let input = io::stdin();
            let room = self.input_open && self.connection.session().sendable(self.stream) > 0;
            let read = |fd, wanted| Interest { fd, read: wanted, write: false };
            let ready =
                poll(&[self.connection.interest(), read(signals.as_fd(), true), read(input.as_fd(), room)], None)?;
            while let Some(signal) = signals.next() {
                self.pass_on(signal, with_terminal);
            }
            if ready.get(2).is_some_and(|one| one.read) {
                self.read_input()?;
            }
        }
    }

    fn take(&mut self, happening: Happening) -> Result<Round, ConnectionError> {
        match happening {
            Happening::Data { stream, bytes } if stream == self.stream => {
                self.connection.session().used(stream, bytes.len());
                let found = self.pieces.push(&bytes).map_err(|error| ConnectionError::Refused(error.to_string()))?;
                for piece in found {
                    let written = match piece {
                        Piece::Out(bytes) => io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()),
                        Piece::Err(bytes) => io::stderr().write_all(&bytes),
                        Piece::Status(status) => return Ok(Round::Ended(status)),
                        _ => Ok(()),
                    };
                    if written.is_err() {
                        return Ok(Round::Unheard);
                    }
                }
                Ok(Round::On)
            }
            Happening::Finished(stream) | Happening::Reset(stream) if stream == self.stream => Ok(Round::Lost),
            _ => Ok(Round::On),
        }
    }

    fn pass_on(&mut self, signal: i32, with_terminal: bool) {
        let note = match signal {
            SIGWINCH if with_terminal => {
                terminal_size(&io::stdin()).ok().map(|(columns, rows)| ExecNote::Resize(TerminalSize { columns, rows }))
            }
            SIGWINCH => None,
            signal => u8::try_from(signal).ok().map(ExecNote::Signal),
        };
        let json = note.and_then(|note| serde_json::to_string(&note).ok());
        // A guest that is too old to hear it runs no commands either.
        if let Some(json) = json {
            let _ = self.connection.session().note(self.stream, json);
        }
    }

    fn read_input(&mut self) -> Result<(), ConnectionError> {
        let session = self.connection.session();
        let mut chunk = vec![0u8; session.sendable(self.stream).min(CHUNK_BYTES)];
        match read_unbuffered(&mut chunk) {
            Ok(0) => {
                self.input_open = false;
                session.finish(self.stream)?;
            }
            Ok(count) => {
                session.send(self.stream, chunk.get(..count).unwrap_or_default())?;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            // A terminal that this process may not read from gives nothing.
            Err(_) => {
                self.input_open = false;
                session.finish(self.stream)?;
            }
        }
        Ok(())
    }
}

/// Past the buffer of the library, so that what was not asked for stays where `poll` sees it.
fn read_unbuffered(chunk: &mut [u8]) -> io::Result<usize> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    std::fs::File::from(input).read(chunk)
}
