//! Whether a GPU is needed.

use super::{Body, LATER};
use crate::appliance::{Appliance, Gpu, GpuNeed};
use crate::explain::{BUILT_IN, Page};
use crate::report::Report;
use crate::suggest::nearest;
use crate::table::{ArgRule, Kind, NodeRule, PropRule, either};
use crate::units::size_text;

const VENDORS: &[&str] = &["nvidia", "amd", "intel", "apple"];

/// `gpu`
pub(crate) const GPU: NodeRule = NodeRule {
    name: "gpu",
    doc: "Whether it needs a GPU: `\"required\"`, `\"optional\"` or `\"none\"`. *Noted in the plan; no GPU is handed in yet.*",
    args: &[ArgRule {
        default: Some("none"),
        ..ArgRule::one("the need", Kind::Word(&["required", "optional", "none"]))
    }],
    props: &[
        PropRule::new("vendor", Kind::Line, "makers in order of preference: nvidia, amd, intel, apple")
            .list()
            .default("any"),
        PropRule::new("memory", Kind::Size, "least video memory"),
    ],
    example: "gpu \"optional\" vendor=\"nvidia\" \"amd\" memory=\"6GiB\"",
    ..NodeRule::EMPTY
};

/// Decodes `gpu`.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Gpu {
    let Some(item) = body.one("gpu") else {
        return Gpu { need: GpuNeed::None, vendors: Vec::new(), memory_bytes: None };
    };
    let need = match item.arg(0) {
        Some("required") => GpuNeed::Required,
        Some("optional") => GpuNeed::Optional,
        _ => GpuNeed::None,
    };
    if need != GpuNeed::None {
        let warning = report.warning(
            "not-yet",
            item.place,
            "`gpu` is noted in the plan, but no GPU is handed in yet",
            "checked and kept",
        );
        warning.help(LATER);
    }
    let mut vendors = Vec::new();
    for (vendor, place) in item.list("vendor") {
        if !VENDORS.contains(&vendor) {
            let near = nearest(vendor, VENDORS.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
            let error = report.error(
                "bad-value",
                place,
                format!("`vendor` of `gpu` takes {}, not \"{vendor}\"", either(VENDORS)),
                "unknown maker",
            );
            error.maybe_help(near);
        } else if !vendors.iter().any(|known| known == vendor) {
            vendors.push(vendor.to_owned());
        }
    }
    Gpu { need, vendors, memory_bytes: item.number("memory") }
}

/// Prints the GPU.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    let gpu = &appliance.gpu;
    let need = match gpu.need {
        GpuNeed::None => "none",
        GpuNeed::Optional => "optional",
        GpuNeed::Required => "required",
    };
    let memory = gpu.memory_bytes.map(size_text);
    page.node("gpu", "gpu", BUILT_IN).arg(need).list("vendor", &gpu.vendors).maybe("memory", memory.as_deref()).end();
}
