//! Debian's own commands over a tree, one file each, and the attempt to emulate a script with them.
//!
//! A command that meets what it does not understand answers [`Unknown`]: the script is then undone and run elsewhere.

mod accounts;
mod acl;
mod alternatives;
mod attempt;
mod certificates;
mod debconf;
mod divert;
mod dpkg;
mod init_links;
mod ldconfig;
mod maintscript_helper;
mod nothing;
mod pam;
mod query;
mod shells;
mod statoverride;
mod systemd_helper;
mod sysusers;
mod tmpfiles;
mod trigger;

pub(crate) use attempt::attempt;

use super::system::System;
use crate::files::{Files, PathProblem};

/// What a command does not understand, in words for the ledger.
#[derive(Debug)]
pub(crate) struct Unknown(pub String);

impl From<PathProblem> for Unknown {
    fn from(problem: PathProblem) -> Self {
        use std::error::Error;
        let cause = problem.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self(format!("a file cannot be used: {problem}{cause}"))
    }
}

/// One call of a command.
pub(crate) struct Call<'c, 'f> {
    /// The name it was called by, without folders.
    pub name: &'c str,
    /// Its arguments, without its name.
    pub args: &'c [String],
    /// The exported variables.
    pub env: &'c dyn Fn(&str) -> Option<String>,
    pub files: &'c mut Files<'f>,
    pub system: &'c mut System,
    /// What it prints.
    pub out: String,
    /// What it complains.
    pub err: String,
}

/// A command: its exit status, or that it does not understand the call.
pub(crate) type Command = fn(&mut Call<'_, '_>) -> Result<i32, Unknown>;

impl Call<'_, '_> {
    /// Prints a line.
    pub fn say(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// Complains with the command's name and ends with this status.
    pub fn fail(&mut self, status: i32, what: &str) -> Result<i32, Unknown> {
        self.err.push_str(&format!("{}: {what}\n", self.name));
        Ok(status)
    }

    /// The call is not understood.
    pub fn unknown<T>(&self, what: &str) -> Result<T, Unknown> {
        Err(Unknown(format!("`{} {}`: {what}", self.name, self.args.join(" "))))
    }

    /// An option is not understood.
    pub fn unknown_option<T>(&self, option: &str) -> Result<T, Unknown> {
        self.unknown(&format!("the option {option} is not understood"))
    }
}

/// The commands by name. All stand for a program of the same name in the image and are there only if it is, but for those
/// of dpkg itself and for debconf's end, which the replaced `confmodule` calls.
pub(crate) const COMMANDS: &[(&str, Command)] = &[
    ("/usr/lib/usrmerge/convert-etc-shells", shells::convert),
    (debconf::NAME, debconf::call),
    ("add-shell", shells::add),
    ("addgroup", accounts::addgroup),
    ("adduser", accounts::adduser),
    ("dbus-send", nothing::no_daemon),
    ("dbus-uuidgen", nothing::machine_id),
    ("deb-systemd-helper", systemd_helper::call),
    ("deb-systemd-invoke", nothing::no_init),
    ("debconf-communicate", nothing::refuse),
    ("delgroup", accounts::delgroup),
    ("deluser", accounts::deluser),
    ("dpkg", dpkg::call),
    ("dpkg-divert", divert::call),
    ("dpkg-maintscript-helper", maintscript_helper::call),
    ("dpkg-query", query::call),
    ("dpkg-realpath", nothing::realpath),
    ("dpkg-statoverride", statoverride::call),
    ("dpkg-trigger", trigger::call),
    ("getcap", nothing::getcap),
    ("getent", accounts::getent),
    ("groupadd", accounts::groupadd),
    ("groupdel", accounts::delgroup),
    ("invoke-rc.d", nothing::invoke_rc),
    ("ischroot", nothing::in_chroot),
    ("journalctl", nothing::left_to_first_boot),
    ("ldconfig", ldconfig::call),
    ("pam-auth-update", pam::call),
    ("pidof", nothing::no_process),
    ("py3clean", nothing::no_bytecode),
    ("py3compile", nothing::no_bytecode),
    ("pyclean", nothing::no_bytecode),
    ("pycompile", nothing::no_bytecode),
    ("remove-shell", shells::remove),
    ("runlevel", nothing::no_process),
    ("service", nothing::no_init),
    ("shadowconfig", accounts::shadowconfig),
    ("ss", nothing::no_daemon),
    ("systemctl", nothing::systemctl),
    ("systemd-hwdb", nothing::left_to_first_boot),
    ("systemd-machine-id-setup", nothing::machine_id),
    ("systemd-sysusers", sysusers::call),
    ("systemd-tmpfiles", tmpfiles::call),
    ("telinit", nothing::no_init),
    ("udevadm", nothing::no_init),
    ("update-alternatives", alternatives::call),
    ("update-ca-certificates", certificates::call),
    ("update-passwd", accounts::update_passwd),
    ("update-rc.d", init_links::call),
    ("update-shells", shells::update),
    ("useradd", accounts::useradd),
    ("userdel", accounts::deluser),
    ("usermod", accounts::usermod),
    ("who", nothing::no_process),
];

#[cfg(test)]
pub(crate) mod testing {
    use spec::appliance::Arch;
    use tree::{NoBlobs, Tree};

    use super::*;

    /// Runs command lines over a prepared tree; gives the tree, and each line's output with its status.
    pub(crate) fn run(prepare: impl FnOnce(&mut Files<'_>), lines: &[&str]) -> (Tree, Vec<String>) {
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 86_400 };
        prepare(&mut files);
        let mut system = System::new(Arch::Amd64, &[], &[]);
        system.package = "pkg".to_owned();
        let said = lines.iter().map(|line| run_line(&mut files, &mut system, line)).collect();
        (tree, said)
    }

    fn run_line(files: &mut Files<'_>, system: &mut System, line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (name, command) = COMMANDS.iter().find(|(name, _)| *name == words[0]).unwrap();
        let mut call =
            Call { name, args: &words[1..], env: &|_| None, files, system, out: String::new(), err: String::new() };
        match command(&mut call) {
            Ok(status) => format!("{}{}{status}", call.out, call.err),
            Err(Unknown(what)) => what,
        }
    }

    /// Lines `PATH TARGET-OR-CONTENT` of everything that is no folder.
    pub(crate) fn listing(tree: &Tree) -> Vec<String> {
        let text = |node: &tree::Node| match &node.kind {
            tree::Kind::File(tree::Content::Inline(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            tree::Kind::Symlink(target) => Some(format!("-> {}", String::from_utf8_lossy(target))),
            _ => None,
        };
        tree.iter().filter_map(|(path, _, node)| Some(format!("{path} {}", text(node)?))).collect()
    }
}
