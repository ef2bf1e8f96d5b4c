//! The compiler's side: starts the helper, keeps its copy of the tree up to date, and reads back what scripts changed.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use assemble::{Change, ScriptRequest, ScriptRun, ScriptRunError, ScriptRunner};
use tree::{Blobs, Content, Kind, Node, Tree};

use crate::changes::difference;
use crate::emulator::Emulator;
use crate::ids::Ids;
use crate::{HELPER_ARG, wire};

/// Largest content that a script may leave behind, in bytes: it is held in memory until it is written.
const CONTENT_LIMIT_BYTES: u64 = 256 << 20;

/// Why the sandbox cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This user may not map the ids that an appliance needs.
    #[error("start the script sandbox: {0}")]
    Ids(String),
    /// The helper could not be started or answered wrongly.
    #[error("start the script sandbox")]
    Helper(#[source] io::Error),
}

/// A running sandbox. Dropping it ends the helper, which leaves its working folder empty.
pub struct Sandbox<'a> {
    helper: Child,
    to: Option<BufWriter<ChildStdin>>,
    from: BufReader<ChildStdout>,
    /// What the helper's copy on disk holds now.
    on_disk: Tree,
    blobs: &'a dyn Blobs,
}

impl<'a> Sandbox<'a> {
    /// Starts `program`, which must be this one, as the helper. It works in the folder `work`,
    /// which it empties first and which no other sandbox may use at the same time. An emulator runs programs of its machine.
    ///
    /// # Errors
    /// When the host allows no user namespace, no id maps or no emulator in it, with what to do about it.
    pub fn start(
        program: &Path,
        work: &Path,
        blobs: &'a dyn Blobs,
        emulator: Option<&Emulator>,
    ) -> Result<Self, StartError> {
        let ids = Ids::of_this_user().map_err(StartError::Ids)?;
        start_helper(program, work, &ids, emulator).map_err(StartError::Helper).map(|(helper, to, from)| Self {
            helper,
            to: Some(to),
            from,
            on_disk: Tree::default(),
            blobs,
        })
    }

    fn exchange(&mut self, request: &ScriptRequest<'_>) -> io::Result<ScriptRun> {
        let change = difference(&self.on_disk, request.tree);
        let to = self.to.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        wire::send_list(to, change.removed.iter().map(|path| path.as_bytes()))?;
        wire::send_tree(to, &change.put, self.blobs)?;
        wire::send(to, request.name.as_bytes())?;
        wire::send(to, request.script)?;
        wire::send_list(to, request.args.iter().map(String::as_bytes))?;
        let env: Vec<String> = request.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        wire::send_list(to, env.iter().map(String::as_bytes))?;
        to.flush()?;
        self.on_disk = request.tree.clone();
        self.receive()
    }

    fn receive(&mut self) -> io::Result<ScriptRun> {
        let problem = wire::receive(&mut self.from)?;
        if !problem.is_empty() {
            return Err(io::Error::other(String::from_utf8_lossy(&problem).into_owned()));
        }
        let status = String::from_utf8_lossy(&wire::receive(&mut self.from)?).parse().map_err(io::Error::other)?;
        let log = String::from_utf8_lossy(&wire::receive(&mut self.from)?).into_owned();
        let mut changes = Vec::new();
        for path in wire::receive_list(&mut self.from)? {
            changes.push(Change::Remove(tree::TreePath::new(path).map_err(io::Error::other)?));
        }
        let put = wire::receive_tree(&mut self.from)?;
        self.receive_entries(&put, &mut changes)?;
        Ok(ScriptRun { status, log, changes })
    }

    fn receive_entries(&mut self, put: &Tree, changes: &mut Vec<Change>) -> io::Result<()> {
        let mut first_names = std::collections::BTreeMap::new();
        for (path, id, node) in put.iter().filter(|(path, _, _)| !path.is_root()) {
            if let Some(first) = first_names.get(&id) {
                changes.push(Change::Link { path: path.clone(), first: tree::TreePath::clone(first) });
                continue;
            }
            first_names.insert(id, path.clone());
            changes.push(Change::Put(path.clone(), self.with_content(node)?));
        }
        Ok(())
    }

    fn with_content(&mut self, node: &Node) -> io::Result<Node> {
        let mut node = node.clone();
        if let Kind::File(content) = &mut node.kind {
            let size = content.size_bytes();
            if size > CONTENT_LIMIT_BYTES {
                return Err(io::Error::other(format!(
                    "a script left a file of {size} bytes, over the limit of {CONTENT_LIMIT_BYTES}"
                )));
            }
            let mut bytes = vec![0; size as usize];
            self.from.read_exact(&mut bytes)?;
            *content = Content::inline(bytes);
        }
        Ok(node)
    }
}

impl ScriptRunner for Sandbox<'_> {
    fn run(&mut self, request: &ScriptRequest<'_>) -> Result<ScriptRun, ScriptRunError> {
        self.exchange(request)
            .map_err(|error| ScriptRunError { what: request.name.clone(), source: Some(error.into()) })
    }
}

impl Drop for Sandbox<'_> {
    fn drop(&mut self) {
        drop(self.to.take());
        // At the end of its input the helper empties the working folder and ends.
        let _ = self.helper.wait();
    }
}

type Helper = (Child, BufWriter<ChildStdin>, BufReader<ChildStdout>);

fn start_helper(program: &Path, work: &Path, ids: &Ids, emulator: Option<&Emulator>) -> io::Result<Helper> {
    let mut helper = Command::new(program);
    helper.args([HELPER_ARG, "serve"]).arg(work);
    if let Some(Emulator { machine, program }) = emulator {
        helper.arg(machine).arg(program);
    }
    let mut helper =
        helper.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let (Some(to), Some(from)) = (helper.stdin.take(), helper.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let (mut to, mut from) = (BufWriter::with_capacity(1 << 20, to), BufReader::with_capacity(1 << 16, from));
    let mut succeeded = || match wire::receive(&mut from)?.as_slice() {
        [] => Ok(()),
        problem => Err(io::Error::other(String::from_utf8_lossy(problem).into_owned())),
    };
    let mapped = succeeded().and_then(|()| {
        ids.apply(helper.id())?;
        wire::send(&mut to, b"")?;
        to.flush()?;
        succeeded()
    });
    if let Err(error) = mapped {
        let _ = helper.kill();
        let _ = helper.wait();
        return Err(error);
    }
    Ok((helper, to, from))
}
