//! Whether a container can get a network device: the device that makes them is tried.

use std::io;

use serde::{Deserialize, Serialize};

/// What came of opening [`host::TUN`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tun {
    /// It was not needed.
    #[default]
    NotTried,
    /// It works.
    Works,
    /// The kernel has none, or its module is not loaded.
    Missing,
    /// This user may not.
    Forbidden,
    /// It does not work, for this reason.
    Fails(String),
}

impl Tun {
    /// Tries it.
    pub fn look() -> Self {
        /// `ENXIO` and `ENODEV`: the file is there, and what it stands for is not.
        const NO_DEVICE: [i32; 2] = [6, 19];
        match host::open_tun() {
            Ok(_) => Self::Works,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(error) if error.raw_os_error().is_some_and(|code| NO_DEVICE.contains(&code)) => Self::Missing,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Forbidden,
            Err(error) => Self::Fails(error.to_string()),
        }
    }
}
