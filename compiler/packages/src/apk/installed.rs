//! apk's database of what is installed (apk-package(5), "Installed database"): paragraphs with the fields of an index, then
//! `F:` for each folder and below it `R:` for each file. Paths are bytes; all else is text.

use spec::appliance::Arch;

use crate::apk::arch_name;
use crate::{Installed, InstalledError, InstalledPackage};

/// Where apk keeps it: version 2, and version 3.
pub(crate) const DATABASES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// The letters that an index has too and that decide what fits together.
const INDEX_LETTERS: &str = "PVASITotkDpir";

/// One installed package with its paths. Nothing is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstalledEntry<'a> {
    /// The fields before the first folder, in the order written.
    pub fields: Vec<(char, &'a str)>,
    /// Its folders with its files in them.
    pub folders: Vec<InstalledFolder<'a>>,
}

/// A folder of an installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstalledFolder<'a> {
    /// Its path, without a slash before it; empty for the root.
    pub path: &'a [u8],
    /// The line `M:`, its owner and mode, where it has one.
    pub access: Option<&'a [u8]>,
    /// The package's files in it.
    pub files: Vec<InstalledFile<'a>>,
}

/// A file of an installed package: anything but a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstalledFile<'a> {
    /// Its name in its folder.
    pub name: &'a [u8],
    /// The lines that describe it (`a:`, `Z:`), as written.
    pub lines: Vec<&'a [u8]>,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InstalledSyntax {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl<'a> InstalledEntry<'a> {
    /// The value of a field; empty where there is none.
    pub fn field(&self, letter: char) -> &'a str {
        self.fields.iter().find(|(own, _)| *own == letter).map_or("", |(_, value)| value)
    }

    fn take(&mut self, line: &'a [u8]) -> Result<(), &'static str> {
        let &[letter, b':', ref value @ ..] = line else { return Err("that is no letter with a colon and a value") };
        match (letter, self.folders.last_mut()) {
            (b'F', _) => self.folders.push(InstalledFolder { path: value, ..InstalledFolder::default() }),
            (b'M', Some(folder)) => folder.access = Some(line),
            (b'R', Some(folder)) => folder.files.push(InstalledFile { name: value, lines: Vec::new() }),
            (b'a' | b'Z', Some(folder)) => {
                folder.files.last_mut().ok_or("there is no file that it could describe")?.lines.push(line);
            }
            (b'M' | b'R' | b'a' | b'Z', None) => return Err("there is no folder before it"),
            _ => {
                let value = std::str::from_utf8(value).map_err(|_| "the text is not UTF-8")?;
                self.fields.push((char::from(letter), value));
            }
        }
        Ok(())
    }

    /// Its paragraph of an index. What a database may leave out and an index may not means nothing here.
    fn index(&self) -> String {
        let mut text = format!("C:Q1{}=\n", "A".repeat(27));
        for letter in INDEX_LETTERS.chars() {
            let value = self.field(letter);
            if letter == 'S' && value.parse::<u64>().is_err() {
                text.push_str("S:0\n");
            } else if !value.is_empty() {
                text.push_str(&format!("{letter}:{value}\n"));
            }
        }
        text + "\n"
    }
}

/// Reads a database.
///
/// # Errors
/// On the first line that cannot be read, and on a package without a name or a version.
pub fn parse_installed(bytes: &[u8]) -> Result<Vec<InstalledEntry<'_>>, InstalledSyntax> {
    let mut entries: Vec<InstalledEntry<'_>> = Vec::new();
    let mut open = InstalledEntry::default();
    for (at, line) in bytes.split(|byte| *byte == b'\n').chain([&b""[..]]).enumerate() {
        let wrong = |problem| InstalledSyntax { line: at + 1, problem };
        if !line.is_empty() {
            open.take(line).map_err(wrong)?;
        } else if open != InstalledEntry::default() {
            if open.field('P').is_empty() || open.field('V').is_empty() {
                return Err(wrong("the package above has no name or no version"));
            }
            entries.push(std::mem::take(&mut open));
        }
    }
    Ok(entries)
}

/// Reads the installed packages of an architecture and those for all architectures.
pub(crate) fn read_installed(path: &'static str, bytes: &[u8], arch: Arch) -> Result<Installed, InstalledError> {
    if path != DATABASES[0] {
        let what = "it is apk version 3's, and only version 2 is read; take an image of a release before that";
        return Err(InstalledError::Unread { path, what });
    }
    let entries = parse_installed(bytes);
    let entries = entries.map_err(|source| InstalledError::Syntax { path, source: Box::new(source) })?;
    let mut installed = Installed::default();
    for entry in &entries {
        // `f:` lists what of a package is broken.
        if !entry.field('f').is_empty() {
            let shown = |text: &str| text.chars().take(80).flat_map(char::escape_debug).collect::<String>();
            let state = format!("broken: {}", shown(entry.field('f')));
            return Err(InstalledError::State { package: shown(entry.field('P')), state });
        }
        if ![arch_name(arch), "noarch"].contains(&entry.field('A')) {
            continue;
        }
        let (name, version) = (entry.field('P').to_owned(), entry.field('V').to_owned());
        installed.index.push_str(&entry.index());
        installed.packages.push(InstalledPackage { name, version });
    }
    installed.packages.sort();
    Ok(installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"C:Q1yY8lhMF1VhgegJgkcXfqaNabDJw=\nP:b\nV:1-r0\nA:x86_64\nS:9\nT:toy\nL:MIT\nD:so:x a>=1\np:cmd:b=1\n\
        F:\nF:etc\nM:0:0:700\nR:b\na:0:0:600\nZ:Q1yY8lhMF1VhgegJgkcXfqaNabDJw=\nR:\xff\n\nC:Q2x\nP:a\nV:2-r1\nA:noarch\n\n\
        P:other\nV:1\nA:s390x\n\n";

    #[test]
    fn paragraphs_have_fields_and_paths() {
        let entries = parse_installed(TEXT).unwrap();
        let [b, a, _] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((b.field('D'), a.field('V'), a.folders.len()), ("so:x a>=1", "2-r1", 0));
        let etc = &b.folders[1];
        assert_eq!((etc.path, etc.access, etc.files.len()), (&b"etc"[..], Some(&b"M:0:0:700"[..]), 2));
        assert_eq!((etc.files[0].lines.len(), etc.files[1].name), (2, &b"\xff"[..]));
    }

    #[test]
    fn what_is_installed_becomes_an_index() {
        let installed = read_installed(DATABASES[0], TEXT, Arch::Amd64).unwrap();
        let names: Vec<_> = installed.packages.iter().map(|one| format!("{} {}", one.name, one.version)).collect();
        assert_eq!(names, ["a 2-r1", "b 1-r0"]);
        let mut catalog = crate::Catalog::new(spec::base::Family::Apk, Arch::Amd64).unwrap();
        installed.add_to(&mut catalog).unwrap();
        let (_, b) = catalog.named("b").next().unwrap();
        assert_eq!(catalog.rules().provides(b).unwrap()[0].name, "cmd:b");
        assert_eq!(catalog.len(), 2);
    }

    #[test]
    fn what_cannot_be_built_on_is_told() {
        let check = |path, text: &str, words: &str| {
            let error = read_installed(path, text.as_bytes(), Arch::Amd64).unwrap_err();
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            assert!(format!("{error}{cause}").contains(words), "{error}{cause}");
        };
        check(DATABASES[1], "", "apk version 3's");
        check(DATABASES[0], "P:a\nV:1\nA:noarch\nf:s\n\n", "a is in the state `broken: s`");
        check(DATABASES[0], "P:a\nV:1\nR:x\n", "line 3: there is no folder before it");
        check(DATABASES[0], "P:a\nF:x\nZ:Q1\n", "line 3: there is no file");
        check(DATABASES[0], "P:a\n\n", "line 2: the package above has no name or no version");
        check(DATABASES[0], "no paragraph", "line 1: that is no letter");
    }
}
