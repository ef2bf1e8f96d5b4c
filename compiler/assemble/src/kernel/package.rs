//! What the packages of a kernel install: the image, its modules, and the list of what is built in.

use std::collections::BTreeMap;

use formats::kernel::{Kernel, MAX_KERNEL_BYTES};
use formats::kmod::{self, Builtin};
use tree::{Blobs, Content, Kind, Tree, TreePath};

use super::KernelProblem;

/// The largest list; that of a kernel with everything built in has a few megabytes.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Where modules are, in packages of systems with and without a merged `/usr`.
const MODULE_FOLDERS: [&str; 2] = ["lib/modules/", "usr/lib/modules/"];

/// A kernel as its packages bring it. Holding one proves that there is one image, that all modules are of one release,
/// and that the image, where it says, is of that release too.
#[derive(Debug, Clone)]
pub struct KernelPackage {
    /// The release, as in `6.1.0-9-cloud-amd64`; the name of the folder of its modules.
    pub release: String,
    /// The bytes of the image as shipped.
    pub image: Vec<u8>,
    path: TreePath,
    pub(super) modules: BTreeMap<String, (TreePath, Content)>,
    pub(super) builtin: Builtin,
}

impl KernelPackage {
    /// Takes a kernel apart that one or several packages bring together.
    ///
    /// # Errors
    /// When there is no kernel, more than one, or image and modules do not belong together.
    pub fn find(packages: &[&Tree], blobs: &dyn Blobs) -> Result<Self, KernelProblem> {
        let files = packages.iter().flat_map(|tree| tree.iter()).filter_map(|(path, _, node)| match &node.kind {
            Kind::File(content) => Some((path, content)),
            _ => None,
        });
        let (mut image, mut release, mut modules, mut lists) = (None, None, BTreeMap::new(), BTreeMap::new());
        for (path, content) in files {
            if is_image(path) {
                let first = image.get_or_insert((path, content));
                same(first.0.display(), path.display())?;
            }
            let Some((folder, name)) = in_modules(path) else { continue };
            same(release.get_or_insert(folder.to_owned()).clone(), folder.to_owned())?;
            if let Some(module) = kmod::name_of_file(name.rsplit('/').next().unwrap_or(name)) {
                modules.insert(module, (path.clone(), content.clone()));
            } else if name.starts_with("modules.builtin") {
                lists.insert(name.to_owned(), read(blobs, path, content, MAX_LIST_BYTES)?);
            }
        }
        let (path, content) = image.ok_or(KernelProblem::NoImage)?;
        let (path, image) = (path.clone(), read(blobs, path, content, MAX_KERNEL_BYTES)?);
        let release = release_of(&path, &image, release)?;
        let list = |name: &str| lists.get(name).map(Vec::as_slice).unwrap_or_default();
        let builtin = Builtin::read(list("modules.builtin"), list("modules.builtin.modinfo"));
        Ok(Self { release, image, path, modules, builtin })
    }

    /// The kernel as direct boot takes it where there is no loader: not compressed.
    ///
    /// # Errors
    /// When the image is compressed in a way that is not known here, or damaged.
    pub fn uncompressed(&self) -> Result<Vec<u8>, KernelProblem> {
        let wrong = |source| KernelProblem::Image { path: self.path.clone(), source };
        Kernel::recognise(&self.image).and_then(|kernel| kernel.unpack(MAX_KERNEL_BYTES)).map_err(wrong)
    }
}

/// Reads a whole content of a package.
pub(super) fn read(
    blobs: &dyn Blobs,
    path: &TreePath,
    content: &Content,
    limit_bytes: u64,
) -> Result<Vec<u8>, KernelProblem> {
    blobs.bytes(content, limit_bytes).map_err(|source| KernelProblem::Content { path: path.clone(), source })
}

fn release_of(path: &TreePath, image: &[u8], folder: Option<String>) -> Result<String, KernelProblem> {
    let kernel = Kernel::recognise(image).map_err(|source| KernelProblem::Image { path: path.clone(), source })?;
    match (kernel.release(), folder) {
        (Some(own), Some(modules)) if own != modules => Err(KernelProblem::Release { image: own.to_owned(), modules }),
        (_, Some(modules)) => Ok(modules),
        (Some(own), None) => Ok(own.to_owned()),
        (None, None) => {
            let name = String::from_utf8_lossy(path.name()).into_owned();
            Ok(name.split_once('-').map(|(_, release)| release.to_owned()).unwrap_or(name))
        }
    }
}

fn is_image(path: &TreePath) -> bool {
    let text = path.as_bytes();
    let in_boot = text.starts_with(b"boot/") && !text[5..].contains(&b'/');
    let beside_modules = in_modules(path).is_some_and(|(_, name)| name == "vmlinuz");
    beside_modules || in_boot && (path.name().starts_with(b"vmlinuz") || path.name().starts_with(b"Image"))
}

/// The release and the rest of a path below the folder of modules.
fn in_modules(path: &TreePath) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    MODULE_FOLDERS.iter().find_map(|folder| text.strip_prefix(folder))?.split_once('/')
}

fn same(first: String, second: String) -> Result<(), KernelProblem> {
    if first == second { Ok(()) } else { Err(KernelProblem::TwoKernels(first, second)) }
}
