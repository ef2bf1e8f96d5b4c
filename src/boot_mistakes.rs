//! Kernels that do not fit and roots that are too large for their disk, told at the place of the spec that asks for them.

use std::error::Error;

use assemble::Mistake;
use assemble::kernel::KernelProblem;
use formats::gpt;
use image::{DiskError, WriteError};
use spec::Written;
use spec::appliance::{Appliance, Arch};

use crate::boot_platforms;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec_file::SpecFile;

/// What is wrong with a kernel, where the spec names it or an output that needs it.
pub fn of_kernel(spec: &SpecFile, arch: Arch, problem: &KernelProblem) -> Failure {
    let appliance = spec.appliance();
    let of_platform = problem.platform().and_then(|platform| {
        appliance
            .outputs
            .iter()
            .find(|output| boot_platforms::platforms(appliance, |one| one == **output).contains(&platform))
    });
    let (at, label) = match of_platform {
        Some(output) => (Written::Output(output.name().to_owned()), "needs the driver"),
        None if appliance.kernel.is_some() => (Written::Kernel, "this kernel"),
        None => (first_that_boots(appliance), "boots with it"),
    };
    let of_arch = if appliance.arches.len() > 1 { format!(" for {}", arch.name()) } else { String::new() };
    let message = format!("cannot make what boots{of_arch}: {}", chain(problem));
    let mistake = Mistake { at, code: "kernel-unfit", message, label, help: problem.help().to_owned() };
    spec.mistakes(Exit::Build, &[mistake])
}

fn first_that_boots(appliance: &Appliance) -> Written {
    let output = appliance.outputs.iter().find(|output| output.boots());
    Written::Output(output.map(|output| output.name().to_owned()).unwrap_or_default())
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// That something could not be written; a root that does not fit its disk where the spec gives the disk's size.
pub fn of_writing(spec: &SpecFile, error: WriteError) -> Failure {
    let WriteError::Disk(DiskError::Table {
        arch,
        source: gpt::PlanError::NoSpace { size_bytes, needed_bytes, partitions },
    }) = &error
    else {
        return Failure::new(Exit::Build, error);
    };
    let needed = needed_bytes.div_ceil(1 << 20);
    let given = match size_bytes % (1 << 20) {
        0 => format!("{} MiB", size_bytes >> 20),
        _ => format!("{} KiB", size_bytes >> 10),
    };
    let message = format!(
        "the root for {arch} does not fit a disk of {given}: its parts ({partitions}) and tables need {needed} MiB"
    );
    let help = format!("write disk \"{needed}MiB\" or more, or leave packages out");
    let mistake = Mistake { at: Written::Disk, code: "disk-too-small", message, label: "too small", help };
    spec.mistakes(Exit::Build, &[mistake])
}
