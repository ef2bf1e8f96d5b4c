//! dpkg's triggers: who is interested, what was activated (deb-triggers(5), and dpkg's `triggers/` folder).

use std::collections::{BTreeMap, BTreeSet};

use super::control::Package;
use super::unpack::Shipped;
use crate::files::{Files, PathProblem};

const UNINCORPORATED: &str = "/var/lib/dpkg/triggers/Unincorp";

/// Which packages are interested in which triggers; a trigger is a path or a name.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    /// Trigger → package, and whether it may be left for later.
    by_trigger: BTreeMap<String, Vec<(String, bool)>>,
}

impl Interests {
    pub fn of(packages: &[Package]) -> Self {
        let mut interests = Self::default();
        for package in packages {
            for (directive, trigger) in directives(package) {
                let no_await = match directive.as_str() {
                    "interest" | "interest-await" => false,
                    "interest-noawait" => true,
                    _ => continue,
                };
                interests.by_trigger.entry(trigger).or_default().push((package.info_name(), no_await));
            }
        }
        interests
    }

    /// Writes `triggers/File` and a file for each named trigger, sorted.
    pub fn save(&self, files: &mut Files<'_>) -> Result<(), PathProblem> {
        let line =
            |(package, no_await): &(String, bool)| format!("{package}{}\n", if *no_await { "/noawait" } else { "" });
        for name in files.names_in("/var/lib/dpkg/triggers") {
            // Nobody is interested any more.
            if !["File", "Unincorp", "Lock"].contains(&name.as_str()) && !self.by_trigger.contains_key(&name) {
                files.remove(format!("/var/lib/dpkg/triggers/{name}"));
            }
        }
        let mut paths = String::new();
        for (trigger, who) in &self.by_trigger {
            if trigger.starts_with('/') {
                who.iter().for_each(|one| paths.push_str(&format!("{trigger} {}", line(one))));
            } else {
                files.write(
                    format!("/var/lib/dpkg/triggers/{trigger}"),
                    0o644,
                    who.iter().map(line).collect::<String>(),
                )?;
            }
        }
        files.write("/var/lib/dpkg/triggers/File", 0o644, paths)
    }

    fn packages_of(&self, trigger: &str) -> impl Iterator<Item = &str> {
        self.by_trigger.get(trigger).into_iter().flatten().map(|(package, _)| package.as_str())
    }

    /// The path triggers that a shipped path activates: those that name it or a folder above it.
    fn covering(&self, path: &str) -> impl Iterator<Item = &str> {
        let covers = move |trigger: &str| {
            trigger.starts_with('/')
                && path.strip_prefix(trigger).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.by_trigger.keys().map(String::as_str).filter(move |trigger| covers(trigger))
    }
}

/// Triggers that are pending, by the package that has to answer.
#[derive(Debug, Default)]
pub(crate) struct Pending(pub BTreeMap<String, BTreeSet<String>>);

impl Pending {
    /// What unpacking activates: paths below an interest, and `activate` lines.
    pub fn of_unpacking(interests: &Interests, packages: &[Package], shipped: &Shipped) -> Self {
        let is_new = |(package, _): &(&Package, _)| package.installed.is_none();
        let mut pending = Self::default();
        for (package, list) in packages.iter().zip(&shipped.lists).filter(is_new) {
            for (directive, trigger) in directives(package) {
                if directive.starts_with("activate") {
                    pending.activate(interests, &trigger);
                }
            }
            for path in list {
                let path = path.display();
                for trigger in interests.covering(&path) {
                    pending.activate(interests, trigger);
                }
            }
        }
        pending
    }

    pub fn activate(&mut self, interests: &Interests, trigger: &str) {
        for package in interests.packages_of(trigger) {
            self.0.entry(package.to_owned()).or_default().insert(trigger.to_owned());
        }
    }

    /// Takes up what `dpkg-trigger` wrote down while scripts ran, and empties its file.
    pub fn incorporate(&mut self, interests: &Interests, files: &mut Files<'_>) -> Result<(), PathProblem> {
        let text = files.read_text(UNINCORPORATED)?;
        if text.is_empty() {
            return Ok(());
        }
        for trigger in text.lines().filter_map(|line| line.split(' ').next()) {
            self.activate(interests, trigger);
            interests.covering(trigger).for_each(|covering| self.activate(interests, covering));
        }
        files.write(UNINCORPORATED, 0o644, "")
    }
}

/// What `dpkg-trigger` does: writes the activation down for later.
pub(crate) fn note(files: &mut Files<'_>, trigger: &str, by: &str) -> Result<(), PathProblem> {
    let mut text = files.read_text(UNINCORPORATED)?;
    text.push_str(&format!("{trigger} {by}\n"));
    files.write(UNINCORPORATED, 0o644, text)
}

/// The directives of a package's `triggers` file: `DIRECTIVE TRIGGER`, comments left out, hostile names too.
fn directives(package: &Package) -> Vec<(String, String)> {
    let text = package.control_text("triggers");
    let one = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (directive, trigger) = (words.next()?, words.next()?);
        let plain = trigger.starts_with('/')
            || (!trigger.contains('/') && !trigger.starts_with('.') && trigger != "File" && trigger != "Unincorp");
        plain.then(|| (directive.to_owned(), trigger.to_owned()))
    };
    text.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use tree::{NoBlobs, Tree};

    use super::super::testing::package;
    use super::super::{database, unpack};
    use super::*;

    #[test]
    fn interests_are_written_and_activated() {
        let mut a = package("a", &[]);
        a.control_files.insert(
            "triggers".to_owned(),
            b"# c\ninterest-noawait /usr/share/x\ninterest ldconfig\ninterest ../../etc/x\n".to_vec(),
        );
        let mut b = package("b", &[("d usr", ""), ("d usr/share", ""), ("d usr/share/x", ""), ("f usr/share/x/f", "")]);
        b.control_files.insert("triggers".to_owned(), b"activate-noawait ldconfig\n".to_vec());
        let packages = [a, b];
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 0 };
        let mut shipped = Shipped::default();
        database::create(&mut files, "amd64").unwrap();
        (0..2).for_each(|at| unpack::unpack(&mut files, &packages, at, &mut shipped).unwrap());
        let interests = Interests::of(&packages);
        interests.save(&mut files).unwrap();
        assert_eq!(files.read_text("/var/lib/dpkg/triggers/File").unwrap(), "/usr/share/x a/noawait\n");
        assert_eq!(files.read_text("/var/lib/dpkg/triggers/ldconfig").unwrap(), "a\n");
        assert!(!files.exists("/etc/x"));
        let mut pending = Pending::of_unpacking(&interests, &packages, &shipped);
        assert_eq!(format!("{:?}", pending.0), r#"{"a": {"/usr/share/x", "ldconfig"}}"#);
        pending.0.clear();
        note(&mut files, "/usr/share/x/new", "b").unwrap();
        pending.incorporate(&interests, &mut files).unwrap();
        assert_eq!(format!("{:?}", pending.0), r#"{"a": {"/usr/share/x"}}"#);
    }
}
