//! What the last lines of a failed service tell about why it failed: the few reasons that come from what the spec allows.

/// What stands around paths and words in messages.
const AROUND: [char; 13] = [' ', '\t', '"', '\'', '`', '(', ')', '[', ']', ',', ';', '=', ':'];

/// A reason that the spec can do something about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It was refused a port that only a capability gives.
    LowPort,
    /// It wrote where the root is read-only, to this path if it said which.
    ReadOnly(Option<String>),
    /// It may not write in this volume.
    Volume(String),
}

/// The reason in these lines, the last one if there are several. `volumes` are the paths of volumes inside.
pub fn cause(lines: &[&str], volumes: &[String]) -> Option<Cause> {
    lines.iter().rev().find_map(|line| {
        let lower = line.to_ascii_lowercase();
        if says(&lower, &["read-only file system", "erofs"]) {
            return Some(Cause::ReadOnly(last_path(line)));
        }
        let is_refused = says(&lower, &["permission denied", "eacces"]);
        if let Some(volume) = last_path(line).filter(|_| is_refused).and_then(|path| volume_of(&path, volumes)) {
            return Some(Cause::Volume(volume));
        }
        (is_refused && lines.iter().any(|line| is_about_a_port(line))).then_some(Cause::LowPort)
    })
}

impl Cause {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::LowPort => {
                "perhaps it listens on a port below 1024, which takes `capabilities \"net_bind_service\"` in \
                              `isolation`; a higher port takes nothing"
                    .to_owned()
            }
            Self::ReadOnly(path) => {
                let folder = path.as_deref().map_or("/path", folder_of);
                format!(
                    "it writes to the read-only root: `writable \"{folder}\"` in `isolation` allows that until it stops, \
                     a `volume` keeps what is written"
                )
            }
            Self::Volume(at) => format!(
                "{at} is a volume, and its folder belongs to another user: `dir \"{at}\" owner=\"NAME\"` with the `user` of \
                 the service gives it to that one"
            ),
        }
    }
}

/// The volume that a path is in.
fn volume_of(path: &str, volumes: &[String]) -> Option<String> {
    volumes.iter().find(|volume| std::path::Path::new(path).starts_with(volume)).cloned()
}

fn says(lower: &str, words: &[&str]) -> bool {
    words.iter().any(|word| lower.contains(word))
}

/// Sockets in the file system are bound too, and need no capability.
fn is_about_a_port(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let is_file = |word: &str| word.ends_with(".sock") || word == "unix";
    says(&lower, &["bind", "listen"]) && !lower.split(AROUND).any(is_file)
}

/// The last absolute path in a line, without what stands around it.
fn last_path(line: &str) -> Option<String> {
    let words = line.split(AROUND);
    let mut paths = words.filter(|word| word.starts_with('/')).map(|word| word.trim_end_matches(['.', '/']));
    paths.rfind(|path| path.len() > 1).map(str::to_owned)
}

/// The folder that a path is in; a path right below the root is one itself.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| !folder.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_ports_are_recognised() {
        let check = |lines: &[&str], expected: Option<Cause>| {
            assert_eq!(cause(lines, &["/data".to_owned()]), expected, "{lines:?}")
        };
        check(&["nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)"], Some(Cause::LowPort));
        check(&["Error: listen EACCES: permission denied 0.0.0.0:443"], Some(Cause::LowPort));
        check(
            &["    self.socket.bind(self.server_address)", "PermissionError: [Errno 13] Permission denied"],
            Some(Cause::LowPort),
        );
        check(&["bind(/run/web.sock): Permission denied"], None);
        check(&["cat: /etc/shadow: Permission denied"], None);
        check(&["listening on port 80", "ready"], None);
        let volume = Some(Cause::Volume("/data".to_owned()));
        check(&["sh: can't create /data/made: Permission denied"], volume.clone());
        check(&["PermissionError: [Errno 13] Permission denied: '/data'", "at line 3"], volume);
        check(&["sh: can't create /database/made: Permission denied"], None);
        check(&[], None);
    }

    #[test]
    fn writes_to_the_root_are_recognised_with_their_folder() {
        let check = |line: &str, folder: &str| {
            let help = cause(&["starting", line, "giving up"], &[]).map(|cause| cause.help()).unwrap_or_default();
            assert!(help.contains(&format!("`writable \"{folder}\"`")), "{line}: {help}");
        };
        check("touch: /srv/www/made: Read-only file system", "/srv/www");
        check("sh: 1: cannot create /var/x/y: Read-only file system", "/var/x");
        check("OSError: [Errno 30] Read-only file system: '/var/lib/app/state.json'", "/var/lib/app");
        check("mkdir() \"/var/cache/nginx/client_temp\" failed (30: Read-only file system)", "/var/cache/nginx");
        check("Error: EROFS: read-only file system, open '/app/log'", "/app");
        check("mkdir: can't create directory '/made': Read-only file system", "/made");
        check("it failed: Read-only file system", "/path");
    }
}
