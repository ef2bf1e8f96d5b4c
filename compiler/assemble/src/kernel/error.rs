//! Why a kernel package is of no use. Each text reads after "failed to".

use std::io;

use formats::kmod::KmodError;
use tree::TreePath;

use super::Platform;

/// Why a kernel package is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelProblem {
    /// The packages hold no kernel.
    #[error("find the kernel: none of the kernel's packages brings a vmlinuz in /boot or beside its modules")]
    NoImage,
    /// No package brings the program that firmware starts.
    #[error("find systemd's EFI stub: none of the packages to boot from brings /{0}")]
    NoStub(String),
    /// The packages hold more than one.
    #[error("find the kernel: its packages bring {0} and {1}")]
    TwoKernels(String, String),
    /// The kernel's own name for its release is not that of its modules.
    #[error("use the kernel: it calls itself {image}, but its package brings modules for {modules}")]
    Release {
        /// What the image says.
        image: String,
        /// What the folder of modules says.
        modules: String,
    },
    /// A driver that a platform cannot do without.
    #[error("boot on {platform}: the kernel {release} has no driver for {driver} ({modules})")]
    NoDriver {
        /// The platform.
        platform: Platform,
        /// What the driver is for.
        driver: &'static str,
        /// The kernel.
        release: String,
        /// The modules that would do.
        modules: String,
    },
    /// A module that another one needs is neither in the package nor built in.
    #[error("boot on {platform}: the kernel module {module} needs {needs}, which the kernel's package does not bring")]
    NoDependency {
        /// The platform.
        platform: Platform,
        /// The module.
        module: String,
        /// What it needs.
        needs: String,
    },
    /// Modules that need one another.
    #[error("order the kernel modules: {0} needs itself through others")]
    Circle(String),
    /// A module that was built for another kernel.
    #[error("load the kernel module {path}: it was built for the kernel {built_for:?}, and this is {release}")]
    OtherKernel {
        /// The module.
        path: TreePath,
        /// What it says.
        built_for: String,
        /// The kernel.
        release: String,
    },
    /// A module that cannot be read.
    #[error("read the kernel module {path}")]
    Module {
        /// The module.
        path: TreePath,
        /// Why.
        #[source]
        source: KmodError,
    },
    /// A content cannot be read.
    #[error("read {path} of the kernel's package")]
    Content {
        /// The file.
        path: TreePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel image cannot be read.
    #[error("use the kernel {path}")]
    Image {
        /// The file.
        path: TreePath,
        /// Why.
        #[source]
        source: formats::kernel::KernelError,
    },
}

impl KernelProblem {
    /// The platform that the kernel is not good for; none where it is good for nothing.
    pub fn platform(&self) -> Option<Platform> {
        match self {
            Self::NoDriver { platform, .. } | Self::NoDependency { platform, .. } => Some(*platform),
            _ => None,
        }
    }

    /// What can be done about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoImage => "name the package that brings the image, such as Debian's linux-image-cloud-amd64",
            Self::NoStub(_) => {
                "take what boots from a base whose packages have it: kernel base=\"debian\"; or leave the disks out: \
                 output \"microvm\" needs no stub"
            }
            Self::TwoKernels(..) => "name a package of one kernel",
            Self::NoDriver { .. } | Self::NoDependency { .. } => {
                "name another kernel, such as Debian's linux-image-amd64, or leave the output out"
            }
            Self::Release { .. } | Self::OtherKernel { .. } => {
                "these packages do not belong together: choose them anew with `appliance lock --update`, or name another \
                 kernel"
            }
            Self::Circle(_) | Self::Module { .. } | Self::Content { .. } | Self::Image { .. } => {
                "name another kernel, such as Debian's linux-image-amd64"
            }
        }
    }
}
