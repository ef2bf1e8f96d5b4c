//! What the caller of a run chooses: folders, ports, the command, the terminal.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The choices for one run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The program that answers to [`crate::HELPER_ARG`]; usually `/proc/self/exe`.
    pub helper: PathBuf,
    /// Where unpacked layers are kept.
    pub cache_folder: PathBuf,
    /// Where running instances leave their journal.
    pub state_folder: PathBuf,
    /// Where volumes are kept; each appliance has a folder of its name below.
    pub volumes_folder: PathBuf,
    /// What to run instead of the appliance's services; empty for the services.
    pub command: Vec<String>,
    /// Who the command runs as: `USER` or `USER:GROUP`, names of the appliance or numbers; root if nobody is named.
    pub user: Option<String>,
    /// Further environment.
    pub env: BTreeMap<String, String>,
    /// Whether the command gets a terminal; the caller's standard input and output must be one.
    pub terminal: bool,
    /// Ports of the host to use; others get the same number as inside, or the next free one.
    pub ports: Vec<PortChoice>,
    /// The instance's name; none for one that nobody else has.
    pub name: Option<String>,
    /// The instance goes on without the command that starts it, and what it prints is kept.
    pub detached: bool,
    /// Milliseconds between the request to stop and the kill, if not the plan's.
    pub grace_ms: Option<u64>,
    /// Run it as a machine of its own, whatever it asks for.
    pub vm: bool,
    /// Milliseconds within which the guest of a machine must be heard, if not what its kind commonly takes.
    pub boot_ms: Option<u64>,
}

/// Which port of the host leads to a port inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortChoice {
    /// The port on the host's loopback address.
    pub host: u16,
    /// The declared port inside.
    pub inside: u16,
}

impl RunOptions {
    /// Choices for this program and user, with the services and no terminal.
    pub fn new(cache_folder: PathBuf, volumes_folder: PathBuf) -> Self {
        Self {
            helper: PathBuf::from("/proc/self/exe"),
            cache_folder,
            state_folder: default_state_folder(),
            volumes_folder,
            command: Vec::new(),
            user: None,
            env: BTreeMap::new(),
            terminal: false,
            ports: Vec::new(),
            name: None,
            detached: false,
            grace_ms: None,
            vm: false,
            boot_ms: None,
        }
    }
}

/// `$XDG_RUNTIME_DIR/appliance`; for root, or where that is not set, a folder of the user's own in `/run` or `/tmp`.
pub fn default_state_folder() -> PathBuf {
    let uid = host::effective_uid();
    if uid == 0 {
        return PathBuf::from("/run/appliance");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder).join("appliance"),
        _ => std::env::temp_dir().join(format!("appliance-{uid}")),
    }
}
