//! Work with the ids of a container: in a user namespace that is mapped as the container's is, or right here where ids are the host's.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use host::{Child, Namespaces};

use crate::bind::Ids;
use crate::helper::{Failure, causes};
use crate::oci::IdMapping;

/// How ids are mapped.
#[derive(Debug, Clone, Copy)]
pub struct IdNamespace<'a> {
    /// The kind of mapping.
    pub ids: &'a Ids,
    /// User ids.
    pub uid_mappings: &'a [IdMapping],
    /// Group ids.
    pub gid_mappings: &'a [IdMapping],
}

impl IdNamespace<'_> {
    /// Does the work as root of the namespace, in a process of its own; gives the work's result.
    pub fn inside(&self, work: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Result<Vec<u8>, Failure> {
        if *self.ids == Ids::Host {
            return work();
        }
        let (mut ours, theirs) = UnixStream::pair()?;
        let namespaces = Namespaces { user: true, ..Namespaces::default() };
        let may_set_groups = *self.ids != Ids::Single;
        let child = host::clone_child(namespaces, || {
            let mut go = [0u8; 1];
            let ready = host::close_all_but(&[theirs.as_raw_fd()])
                .and_then(|()| (&theirs).read_exact(&mut go))
                .and_then(|()| host::become_root_inside(may_set_groups))
                .and_then(|()| host::die_with_parent());
            let (answer, status) = match ready.map_err(Failure::from).and_then(|()| work()) {
                Ok(answer) => (answer, 0),
                Err(failure) => (causes(failure.as_ref()).into_bytes(), 1),
            };
            (&theirs).write_all(&answer).map_or(1, |()| status)
        })?;
        drop(theirs);
        let mapped = self.map(&child).and_then(|()| Ok(ours.write_all(b"g")?));
        if let Err(failure) = mapped {
            // Without the word to go the child ends by itself.
            drop(ours);
            child.wait()?;
            return Err(failure);
        }
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer)?;
        match child.wait()? {
            host::Ended::Exit(0) => Ok(answer),
            _ => Err(String::from_utf8_lossy(&answer).into_owned().into()),
        }
    }

    /// Gives the child's user namespace its ids; more than one needs the set-id programs of the system.
    pub fn map(&self, child: &Child) -> Result<(), Failure> {
        match self.ids {
            Ids::Host => Ok(()),
            Ids::Single => {
                let folder = format!("/proc/{}", child.pid);
                std::fs::write(format!("{folder}/setgroups"), "deny")?;
                let line = |mappings: &[IdMapping]| mappings.iter().map(map_line).collect::<Vec<_>>().join("\n");
                std::fs::write(format!("{folder}/uid_map"), line(self.uid_mappings))?;
                Ok(std::fs::write(format!("{folder}/gid_map"), line(self.gid_mappings))?)
            }
            Ids::Subordinate(tools) => {
                map_with(&tools.newuidmap, child.pid, self.uid_mappings)?;
                map_with(&tools.newgidmap, child.pid, self.gid_mappings)
            }
        }
    }
}

fn map_with(tool: &Path, pid: i32, mappings: &[IdMapping]) -> Result<(), Failure> {
    let numbers = mappings.iter().flat_map(|one| [one.container_id, one.host_id, one.size]);
    let output = Command::new(tool).arg(pid.to_string()).args(numbers.map(|number| number.to_string())).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("map ids with {}: {}", tool.display(), said.trim()).into())
}

fn map_line(mapping: &IdMapping) -> String {
    format!("{} {} {}", mapping.container_id, mapping.host_id, mapping.size)
}
