//! What is built, and for which platforms launch plans are made.

use super::Body;
use crate::appliance::{Appliance, Level, Output, Qcow2Compression};
use crate::explain::{BUILT_IN, Page};
use crate::report::Report;
use crate::source::Place;
use crate::suggest::nearest;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule, either};

/// Outputs where a spec names none.
const DEFAULT: [Output; 2] = [Output::Oci, Output::Ext4];

/// `output`
pub(crate) const OUTPUT: NodeRule = NodeRule {
    name: "output",
    doc: "What to build: `oci` (image layout), `ext4` (bare root), `microvm` (with it: kernel, initial file system and command line for direct boot); disks that boot by UEFI: `raw`, `qcow2` (QEMU), `vhdx` (Hyper-V), `vmdk` and `ova` (VMware, VirtualBox); `wsl` (a distribution for WSL).",
    args: &[ArgRule { default: Some("oci ext4"), ..ArgRule::some("outputs", Kind::Name) }],
    props: &[PropRule::new(
        "compression",
        Kind::Word(&["zstd", "zlib"]),
        "how the clusters of `qcow2` are compressed: `zstd` is smaller and faster, for QEMU 5.1 or newer; `zlib` is for programs that know no other",
    )
    .default("zstd")],
    occurs: Occurs::Many,
    example: "output \"oci\" \"ext4\"\noutput \"qcow2\" compression=\"zlib\"",
    ..NodeRule::EMPTY
};

/// `launch`
pub(crate) const LAUNCH: NodeRule = NodeRule {
    name: "launch",
    doc: "Platforms to make launch plans for: `podman`, `docker`, `wsl`, `qemu`, `firecracker`, `cloud-hypervisor`, `hyperv`, `vmware`, `virtualbox`. \
          Default: every platform that the outputs allow. What boots has drivers for the machines of these platforms only. *No plan is made yet*; the built-in runner needs none.",
    args: &[ArgRule { default: Some("all that the outputs allow"), ..ArgRule::some("platforms", Kind::Name) }],
    occurs: Occurs::Many,
    example: "launch \"podman\" \"qemu\"",
    ..NodeRule::EMPTY
};

/// A platform that appliances can be launched on.
pub(crate) struct Platform {
    /// Its name in a spec.
    pub name: &'static str,
    /// The isolation that it gives.
    pub level: Level,
    /// Whether it can hand in a GPU.
    pub gives_gpu: bool,
    /// Outputs, one of which it needs.
    pub needs: &'static [Output],
}

/// Every platform.
pub(crate) const PLATFORMS: &[Platform] = &[
    Platform { name: "podman", level: Level::Container, gives_gpu: true, needs: &[Output::Oci] },
    Platform { name: "docker", level: Level::Container, gives_gpu: true, needs: &[Output::Oci] },
    Platform { name: "wsl", level: Level::Container, gives_gpu: true, needs: &[Output::Wsl] },
    Platform { name: "qemu", level: Level::Vm, gives_gpu: true, needs: &[Output::Raw, Output::Qcow2, Output::Microvm] },
    Platform { name: "firecracker", level: Level::Vm, gives_gpu: false, needs: &[Output::Microvm] },
    Platform { name: "cloud-hypervisor", level: Level::Vm, gives_gpu: true, needs: &[Output::Raw, Output::Microvm] },
    Platform { name: "hyperv", level: Level::Vm, gives_gpu: true, needs: &[Output::Vhdx] },
    Platform { name: "vmware", level: Level::Vm, gives_gpu: false, needs: &[Output::Vmdk, Output::Ova] },
    Platform { name: "virtualbox", level: Level::Vm, gives_gpu: false, needs: &[Output::Vmdk, Output::Ova] },
];

/// Decodes `output`.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Vec<Output> {
    let mut outputs = Vec::new();
    let names: Vec<&str> = Output::ALL.iter().map(|output| output.name()).collect();
    for (text, place) in body.all("output").flat_map(|item| item.texts_from(0)) {
        match Output::ALL.into_iter().find(|output| output.name() == text) {
            Some(output) => outputs.push(output),
            None => {
                let near = nearest(text, names.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
                let error = report.error("bad-value", place, format!("there is no output \"{text}\""), "unknown");
                error.help(near.unwrap_or_else(|| format!("known are {}", either(&names))));
            }
        }
    }
    if outputs.is_empty() {
        outputs.extend(DEFAULT);
    }
    outputs.sort_unstable();
    outputs.dedup();
    outputs
}

/// Decodes `compression` of `output`.
pub(crate) fn decode_compression(body: Body<'_>, report: &mut Report<'_>) -> Qcow2Compression {
    let mut first: Option<(&str, Place)> = None;
    for item in body.all("output") {
        let Some((text, place)) = item.prop("compression").and_then(|prop| Some((prop.value.text()?, prop.place)))
        else {
            continue;
        };
        if !item.texts_from(0).any(|(output, _)| output == Output::Qcow2.name()) {
            let message = "`compression` is of the output \"qcow2\", which this `output` does not name";
            let error = report.error("bad-value", place, message, "of no output here");
            error.help(format!("write: output \"qcow2\" compression=\"{text}\""));
        }
        match first {
            None => first = Some((text, place)),
            Some((known, _)) if known == text => {}
            Some((_, before)) => {
                let message = "`compression` of `output` is set twice, and there is one qcow2 disk";
                let error = report.error("conflict", place, message, "set to another value here");
                error.also(before, "set here").help("keep one of the two");
            }
        }
    }
    match first {
        Some(("zlib", _)) => Qcow2Compression::Zlib,
        _ => Qcow2Compression::Zstd,
    }
}

/// Decodes `launch`.
pub(crate) fn decode_launches(body: Body<'_>, report: &mut Report<'_>) -> Vec<String> {
    let names: Vec<&str> = PLATFORMS.iter().map(|platform| platform.name).collect();
    let mut launches: Vec<String> = Vec::new();
    let mut later = Vec::new();
    for (text, place) in body.all("launch").flat_map(|item| item.texts_from(0)) {
        if names.contains(&text) {
            later.push((text, place));
            if !launches.iter().any(|known| known == text) {
                launches.push(text.to_owned());
            }
        } else {
            let near = nearest(text, names.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
            let error = report.error("bad-value", place, format!("there is no platform \"{text}\""), "unknown");
            error.help(near.unwrap_or_else(|| format!("known are {}", either(&names))));
        }
    }
    left_out(&later, "get no launch plan yet", "`appliance run` starts the appliance with the built-in runner", report);
    launches
}

/// Prints outputs and platforms.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    let written = page.written("output.compression").unwrap_or(BUILT_IN);
    for output in &appliance.outputs {
        let line = page.node("output", &format!("output {}", output.name()), BUILT_IN).arg(output.name());
        match output {
            Output::Qcow2 => line.prop("compression", appliance.qcow2_compression.name(), written).end(),
            _ => line.end(),
        }
    }
    for name in &appliance.launches {
        page.node("launch", &format!("launch {name}"), BUILT_IN).arg(name).end();
    }
}

/// One warning for all values that have no effect yet.
fn left_out(later: &[(&str, Place)], what: &str, help: &str, report: &mut Report<'_>) {
    let Some(((_, first), rest)) = later.split_first() else { return };
    let names: Vec<String> = later.iter().map(|(text, _)| format!("\"{text}\"")).collect();
    let warning = report.warning("not-yet", *first, format!("these {what}: {}", names.join(", ")), "is left out");
    rest.iter().fold(warning, |warning, (_, place)| warning.also(*place, "is left out")).help(help);
}
