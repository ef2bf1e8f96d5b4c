//! Rules for outputs that boot: there is a kernel for each architecture, and room on the disk.

use crate::appliance::{Appliance, Base, Output};
use crate::base::BaseImage;
use crate::report::Report;
use crate::sections::Body;
use crate::units::size_text;

/// The line that helps where there is no kernel.
const FROM_ANOTHER: &str = "take one from another base: kernel base=\"debian\"";

impl Output {
    /// Whether a machine boots it, which takes a kernel.
    pub fn boots(self) -> bool {
        !matches!(self, Self::Oci | Self::Ext4 | Self::Wsl)
    }

    /// Whether it is a disk that firmware starts.
    pub fn is_disk(self) -> bool {
        self.boots() && self != Self::Microvm
    }
}

/// Checks all of them.
pub(crate) fn check(appliance: &Appliance, body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) {
    kernel_is_there(appliance, body, image, report);
    disk_has_room(appliance, body, report);
}

/// The least disk that firmware can start: a FAT32 system partition of 33 MiB, the smallest that there is, the tables
/// before and behind the partitions, and a root.
const LEAST_DISK_BYTES: u64 = 36 << 20;

/// A disk has room for what every disk has.
fn disk_has_room(appliance: &Appliance, body: Body<'_>, report: &mut Report<'_>) {
    let is_small = |bytes: &u64| (1..LEAST_DISK_BYTES).contains(bytes);
    let Some(bytes) = appliance.resources.disk_bytes.filter(is_small) else { return };
    let Some(output) = appliance.outputs.iter().find(|output| output.is_disk()) else { return };
    for disk in body.all("resources").flat_map(|item| item.child("disk")) {
        let (least, given) = (size_text(LEAST_DISK_BYTES), size_text(bytes));
        let message = format!("a disk of {given} is too small for the output \"{}\"", output.name());
        report
            .error("disk-too-small", disk.arg_place(0), message, format!("less than {least}"))
            .help(format!("its tables and the partition that firmware reads take {least} with the smallest root"));
    }
}

/// Where something boots, the base has a kernel, or the spec takes one from another base.
fn kernel_is_there(appliance: &Appliance, body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) {
    let may_be = report.unread.may_hold_section("kernel") || report.unread.may_hold_section("base");
    let named = body.one("kernel");
    if may_be || named.is_some_and(|item| item.prop("base").is_some()) {
        return;
    }
    if !appliance.outputs.iter().any(|output| output.boots()) {
        return;
    }
    let Some(why) = lacks_kernel(appliance, body, image, named.is_some()) else { return };
    if let Some(item) = named {
        let package = item.arg(0).unwrap_or("PACKAGE");
        report
            .error("no-packages", item.place, format!("`kernel` names a package, and {why}"), "from where?")
            .help(format!("name a base that has it: kernel \"{package}\" base=\"debian\""));
        return;
    }
    for (text, place) in body.all("output").flat_map(|item| item.texts_from(0)) {
        if Output::ALL.into_iter().any(|output| output.name() == text && output.boots()) {
            let message = format!("the output \"{text}\" boots, and {why}");
            report.error("output-impossible", place, message, "cannot boot").help(FROM_ANOTHER);
        }
    }
}

/// Why there is no kernel, in words; none where there is one, or where that cannot be known.
fn lacks_kernel(appliance: &Appliance, body: Body<'_>, image: Option<&BaseImage>, is_named: bool) -> Option<String> {
    match &appliance.base {
        Base::Oci(_) => Some("the base \"oci\" has no kernel".to_owned()),
        // A base that is wrong was reported, and may have been one with a kernel.
        Base::Scratch => {
            let is_scratch = body.one("base").is_some_and(|item| item.arg(0) == Some("scratch"));
            is_scratch.then(|| "the base \"scratch\" has no kernel".to_owned())
        }
        Base::Distro { name, .. } => {
            let missing =
                |image: &BaseImage| appliance.arches.iter().find(|arch| image.kernel(**arch).is_none()).copied();
            let arch = image.and_then(missing).filter(|_| !is_named)?;
            Some(format!("the base \"{name}\" names no kernel for {}", arch.name()))
        }
    }
}
