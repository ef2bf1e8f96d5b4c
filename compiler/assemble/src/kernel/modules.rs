//! From the platforms to the modules that must be loaded, in order.

use std::collections::BTreeSet;

use formats::kmod::{self, MAX_MODULE_BYTES, Module};
use tree::{Blobs, TreePath};

use super::drivers::Driver;
use super::package::read;
use super::{KernelPackage, KernelProblem, Machines, Platform};

/// The modules for some platforms. Every module comes after all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModulePlan {
    /// What must be loaded, in this order.
    pub load: Vec<PlannedModule>,
    /// Drivers that were asked for and are built into the kernel, sorted.
    pub builtin: Vec<String>,
    /// Drivers that would be of use and that the kernel does not have, sorted.
    pub absent: Vec<&'static str>,
}

impl ModulePlan {
    /// The same modules without their signatures, where nobody asks for them: to check one costs a machine without hardware help
    /// more than all else that it takes to load a module.
    pub fn without_signatures(mut self) -> Self {
        for module in &mut self.load {
            module.elf.truncate(kmod::without_signature(&module.elf).len());
        }
        self
    }
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedModule {
    /// Its canonical name.
    pub name: String,
    /// The path in its package.
    pub path: TreePath,
    /// The ELF file, decompressed.
    pub elf: Vec<u8>,
}

/// Works out which modules these platforms need together.
///
/// # Errors
/// When the kernel lacks a driver that a platform cannot do without, or a module cannot be used.
pub fn plan_modules(
    kernel: &KernelPackage,
    machines: Machines<'_>,
    blobs: &dyn Blobs,
) -> Result<ModulePlan, KernelProblem> {
    let mut order = Order { kernel, blobs, load: Vec::new(), open: Vec::new(), platform: Platform::Qemu };
    let (mut builtin, mut absent) = (BTreeSet::new(), BTreeSet::new());
    let mut platforms = machines.platforms.to_vec();
    platforms.sort_unstable();
    platforms.dedup();
    for platform in platforms {
        order.platform = platform;
        for driver in platform.drivers(machines) {
            match driver.any_of.iter().find(|set| set.iter().all(|name| kernel.has(name))) {
                Some(set) => {
                    for name in *set {
                        if kernel.builtin.has(name) {
                            builtin.insert((*name).to_owned());
                        } else {
                            order.add(name)?;
                        }
                    }
                }
                None if driver.is_needed => return Err(no_driver(kernel, platform, driver)),
                None => drop(absent.insert(driver.purpose)),
            }
        }
    }
    Ok(ModulePlan { load: order.load, builtin: builtin.into_iter().collect(), absent: absent.into_iter().collect() })
}

impl KernelPackage {
    fn has(&self, name: &str) -> bool {
        self.modules.contains_key(name) || self.builtin.has(name)
    }
}

fn no_driver(kernel: &KernelPackage, platform: Platform, driver: Driver) -> KernelProblem {
    let sets: Vec<String> = driver.any_of.iter().map(|set| set.join(" with ")).collect();
    KernelProblem::NoDriver {
        platform,
        driver: driver.purpose,
        release: kernel.release.clone(),
        modules: sets.join(", or "),
    }
}

struct Order<'a> {
    kernel: &'a KernelPackage,
    blobs: &'a dyn Blobs,
    load: Vec<PlannedModule>,
    /// Modules whose needs are being looked at, the outermost first.
    open: Vec<String>,
    /// The platform that is looked at.
    platform: Platform,
}

impl Order<'_> {
    /// Adds a module of the package after all that it needs.
    fn add(&mut self, name: &str) -> Result<(), KernelProblem> {
        let Some((path, content)) = self.kernel.modules.get(name) else { return Ok(()) };
        if self.load.iter().any(|module| module.name == name) {
            return Ok(());
        }
        if self.open.iter().any(|open| open == name) {
            return Err(KernelProblem::Circle(name.to_owned()));
        }
        let file_name = String::from_utf8_lossy(path.name());
        let wrong = |source| KernelProblem::Module { path: path.clone(), source };
        let bytes = read(self.blobs, path, content, MAX_MODULE_BYTES)?;
        let elf = kmod::unpack(&file_name, &bytes).map_err(wrong)?;
        let module = Module::read(&elf).map_err(wrong)?;
        self.check(path, &module)?;
        self.open.push(name.to_owned());
        for needs in &module.depends {
            if !self.kernel.has(needs) {
                let (module, needs) = (name.to_owned(), needs.clone());
                return Err(KernelProblem::NoDependency { platform: self.platform, module, needs });
            }
            self.add(needs)?;
        }
        // Wishes are passed over where they would have to come after themselves.
        self.add_soft(&module.soft_before)?;
        self.open.pop();
        self.load.push(PlannedModule { name: name.to_owned(), path: path.clone(), elf });
        self.add_soft(&module.soft_after)
    }

    fn add_soft(&mut self, names: &[String]) -> Result<(), KernelProblem> {
        for name in names {
            if !self.open.contains(name) {
                self.add(name)?;
            }
        }
        Ok(())
    }

    fn check(&self, path: &TreePath, module: &Module) -> Result<(), KernelProblem> {
        let release = &self.kernel.release;
        if module.release() == release {
            return Ok(());
        }
        let built_for = module.release().to_owned();
        Err(KernelProblem::OtherKernel { path: path.clone(), built_for, release: release.clone() })
    }
}
