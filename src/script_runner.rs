//! Runs the maintainer scripts that are not emulated: in a sandbox that starts with the first of them, and by an emulator
//! where they are of another architecture.

use std::error::Error;
use std::fs::{self, File};
use std::path::PathBuf;

use assemble::{ScriptRequest, ScriptRun, ScriptRunError, ScriptRunner};
use nix::fcntl::{Flock, FlockArg};
use sandbox::{Emulator, NoEmulator, Sandbox};
use spec::appliance::Arch;
use tree::Blobs;

/// A sandbox that starts with the first script that needs one: most builds need none.
pub struct OnDemand<'a> {
    arch: Arch,
    blobs: &'a dyn Blobs,
    work: PathBuf,
    running: Option<Running<'a>>,
}

struct Running<'a> {
    sandbox: Sandbox<'a>,
    /// One sandbox works in the folder at a time; others wait.
    _alone: Flock<File>,
}

impl<'a> OnDemand<'a> {
    /// For the scripts of an architecture. The sandbox works in the folder `work`.
    pub fn new(arch: Arch, blobs: &'a dyn Blobs, work: PathBuf) -> Self {
        Self { arch, blobs, work, running: None }
    }

    fn start(&self) -> Result<Running<'a>, Box<dyn Error + Send + Sync>> {
        let emulator = emulator(self.arch)?;
        fs::create_dir_all(&self.work)?;
        let lock = File::create(self.work.with_extension("lock"))?;
        let alone = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        let sandbox = Sandbox::start(&std::env::current_exe()?, &self.work, self.blobs, emulator.as_ref())?;
        Ok(Running { sandbox, _alone: alone })
    }
}

/// What runs programs of an architecture here; nothing where this host does.
fn emulator(arch: Arch) -> Result<Option<Emulator>, NoEmulator> {
    let machine = match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    (std::env::consts::ARCH != machine).then(|| Emulator::find(machine, &path)).transpose()
}

impl ScriptRunner for OnDemand<'_> {
    fn ready(&mut self) -> Result<(), ScriptRunError> {
        let started = self
            .start()
            .map_err(|source| ScriptRunError { what: "it cannot start".to_owned(), source: Some(source) })?;
        self.running = Some(started);
        Ok(())
    }

    fn run(&mut self, request: &ScriptRequest<'_>) -> Result<ScriptRun, ScriptRunError> {
        match &mut self.running {
            Some(running) => running.sandbox.run(request),
            None => Err(ScriptRunError { what: request.name.clone(), source: None }),
        }
    }
}
