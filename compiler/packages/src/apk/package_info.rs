//! The text `.PKGINFO` of a package (apk-package(5), "PKGINFO"): lines of `name = value`, some more than once.

/// What a package says of itself. Texts are not copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageInfo<'a> {
    /// `pkgname`
    pub name: &'a str,
    /// `pkgver`
    pub version: &'a str,
    /// `arch`
    pub arch: &'a str,
    /// `depend`, one dependency each, in the order written.
    pub depends: Vec<&'a str>,
    /// `provides`, one name each.
    pub provides: Vec<&'a str>,
    /// `replaces`, one dependency each.
    pub replaces: Vec<&'a str>,
    /// `install_if`, one dependency each.
    pub install_if: Vec<&'a str>,
    /// `triggers`, one pattern of folders each.
    pub triggers: Vec<&'a str>,
    /// `replaces_priority`: of two packages that bring a file, the higher keeps it.
    pub replaces_priority: u16,
    /// `provider_priority`
    pub provider_priority: u16,
    /// `builddate`, in seconds since 1970.
    pub built_secs: i64,
    /// `size`: of the files once installed, in bytes.
    pub installed_bytes: u64,
    /// All lines as written, in order: name and value. The installed database holds some that are not named here.
    pub lines: Vec<(&'a str, &'a str)>,
}

/// Why a text is no package information.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageInfoError {
    /// Not UTF-8.
    #[error("read .PKGINFO: it is not UTF-8")]
    NotUtf8,
    /// A line or a value that cannot be read.
    #[error("read .PKGINFO: `{0}` cannot be read")]
    Line(String),
    /// It names no package or no version.
    #[error("read .PKGINFO: there is no `{0}`")]
    Missing(&'static str),
}

impl<'a> PackageInfo<'a> {
    /// Reads the text.
    ///
    /// # Errors
    /// When it is not UTF-8, has a line that is none, a number that is none, or no name and version.
    pub fn parse(text: &'a [u8]) -> Result<Self, PackageInfoError> {
        let text = std::str::from_utf8(text).map_err(|_| PackageInfoError::NotUtf8)?;
        let mut info = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let wrong = || PackageInfoError::Line(line.chars().take(80).collect());
            let (name, value) = line.split_once('=').ok_or_else(wrong)?;
            let (name, value) = (name.trim(), value.trim());
            info.take(name, value).ok_or_else(wrong)?;
            info.lines.push((name, value));
        }
        match (info.name, info.version) {
            ("", _) => Err(PackageInfoError::Missing("pkgname")),
            (_, "") => Err(PackageInfoError::Missing("pkgver")),
            _ => Ok(info),
        }
    }

    fn take(&mut self, name: &str, value: &'a str) -> Option<()> {
        let words = || value.split_ascii_whitespace();
        match name {
            "pkgname" => self.name = value,
            "pkgver" => self.version = value,
            "arch" => self.arch = value,
            "depend" => self.depends.push(value),
            "provides" => self.provides.push(value),
            "replaces" => self.replaces.push(value),
            "install_if" => self.install_if.extend(words()),
            "triggers" => self.triggers.extend(words()),
            "replaces_priority" => self.replaces_priority = value.parse().ok()?,
            "provider_priority" => self.provider_priority = value.parse().ok()?,
            "builddate" => self.built_secs = value.parse::<u32>().ok()?.into(),
            "size" => self.installed_bytes = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }
}
