//! Which platforms the outputs of an appliance are for, so that exactly the drivers that those need are loaded.

use assemble::kernel::Platform;
use spec::Appliance;
use spec::appliance::Output;

/// What each output boots on.
fn platforms_of(output: Output) -> &'static [Platform] {
    match output {
        Output::Oci | Output::Ext4 | Output::Wsl => &[],
        Output::Raw => &[Platform::Qemu, Platform::CloudHypervisor],
        Output::Qcow2 => &[Platform::Qemu],
        Output::Vhdx => &[Platform::HyperV],
        Output::Vmdk => &[Platform::Vmware, Platform::VirtualBox],
        Output::Ova => &[Platform::Ova],
        Output::Microvm => &[Platform::QemuMicrovm, Platform::Firecracker, Platform::CloudHypervisor],
    }
}

/// Its name in `launch`.
fn name(platform: Platform) -> &'static str {
    match platform {
        Platform::QemuMicrovm | Platform::Qemu => "qemu",
        Platform::Firecracker => "firecracker",
        Platform::CloudHypervisor => "cloud-hypervisor",
        Platform::HyperV => "hyperv",
        Platform::Vmware => "vmware",
        Platform::VirtualBox => "virtualbox",
        // Whatever takes it, the archive itself says what the machine has.
        Platform::Ova => "",
    }
}

/// The platforms of those outputs that are chosen: all that each can boot on, unless `launch` names some of them.
pub fn platforms(appliance: &Appliance, chosen: impl Fn(Output) -> bool) -> Vec<Platform> {
    let mut all = Vec::new();
    for output in appliance.outputs.iter().copied().filter(|output| chosen(*output)) {
        let can = platforms_of(output);
        let is_named = |platform: &&Platform| appliance.launches.iter().any(|launch| launch == name(**platform));
        let named: Vec<Platform> = can.iter().filter(is_named).copied().collect();
        all.extend(if named.is_empty() { can.to_vec() } else { named });
    }
    all.sort_unstable();
    all.dedup();
    all
}
