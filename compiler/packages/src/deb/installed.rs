//! What dpkg's `status` file says is installed, as an index that further packages are chosen on top of.

use crate::{Installed, InstalledError, InstalledPackage};

use super::stanza::Stanzas;

/// dpkg's database (dpkg(1), "FILES").
pub(crate) const STATUS: &str = "/var/lib/dpkg/status";

/// Fields that say what a package needs and gives.
const FIELDS: [&str; 13] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Priority",
    "Source",
    "Depends",
    "Pre-Depends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Description",
];

/// Reads the installed packages of an architecture by Debian's name, and those of all architectures.
///
/// # Errors
/// When it is no such file, or a package is half installed.
pub fn read_installed(status: &str, arch: &str) -> Result<Installed, InstalledError> {
    let mut installed = Installed::default();
    for stanza in Stanzas::new(status) {
        let stanza = stanza.map_err(|error| InstalledError::Syntax { path: STATUS, source: Box::new(error) })?;
        let get = |name: &str| stanza.get(name).unwrap_or_default();
        let state = get("Status").split(' ').next_back().unwrap_or_default();
        match state {
            "installed" => {}
            "config-files" | "not-installed" => continue,
            _ => {
                let shown = |text: &str| text.chars().take(80).flat_map(char::escape_debug).collect();
                return Err(InstalledError::State { package: shown(get("Package")), state: shown(state) });
            }
        }
        if ![arch, "all"].contains(&get("Architecture")) {
            continue;
        }
        let package = InstalledPackage { name: get("Package").to_owned(), version: get("Version").to_owned() };
        for field in FIELDS {
            if let Some(value) = stanza.get(field).filter(|value| !value.is_empty()) {
                installed.index.push_str(&format!("{field}: {value}\n"));
            }
        }
        let nothing = "0".repeat(64);
        installed.index.push_str(&format!("Filename: image/{}\nSize: 0\nSHA256: {nothing}\n\n", package.name));
        installed.packages.push(package);
    }
    installed.packages.sort();
    Ok(installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_counts_and_what_is_gone_does_not() {
        let status = "Package: b\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2\nDepends: a (>= 1),\n c\nConffiles:\n /etc/b 0\n\n\
            Package: a\nEssential: yes\nStatus: hold ok installed\nArchitecture: all\nVersion: 1\n\n\
            Package: c\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n\
            Package: f\nStatus: install ok installed\nArchitecture: i386\nVersion: 1\n";
        let installed = read_installed(status, "amd64").unwrap();
        let names: Vec<_> = installed.packages.iter().map(|one| format!("{} {}", one.name, one.version)).collect();
        assert_eq!(names, ["a 1", "b 2"]);
        assert!(installed.index.contains("Depends: a (>= 1),\n c\n"), "{}", installed.index);
        assert!(!installed.index.contains("Essential"), "it is there already: nobody has to ask for it");
        let half = "Package: x\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1\n";
        assert!(read_installed(half, "amd64").unwrap_err().to_string().contains("half-configured"));
        assert!(read_installed("no stanza", "amd64").is_err());
    }
}
