//! What an instance may use: memory, processors, writable places, a GPU.

use bundle::plan::{Gpu, GpuNeed, Memory, Resources, Root, Scratch};
use spec::Appliance;
use spec::appliance as declared;

pub(crate) fn root(appliance: &Appliance) -> Root {
    let scratch = appliance.resources.scratch.iter();
    Root {
        read_only: appliance.isolation.read_only_root,
        writable: appliance.isolation.writable.clone(),
        scratch: scratch.map(|(path, size_bytes)| Scratch { path: path.clone(), size_bytes: *size_bytes }).collect(),
    }
}

pub(crate) fn resources(wanted: &declared::Resources) -> Resources {
    Resources {
        memory: memory(wanted),
        cpus_milli: wanted.cpus_milli,
        pids: wanted.pids,
        disk_bytes: wanted.disk_bytes,
    }
}

pub(crate) fn gpu(wanted: &declared::Gpu) -> Gpu {
    Gpu {
        need: match wanted.need {
            declared::GpuNeed::None => GpuNeed::None,
            declared::GpuNeed::Optional => GpuNeed::Optional,
            declared::GpuNeed::Required => GpuNeed::Required,
        },
        vendors: wanted.vendors.clone(),
        memory_bytes: wanted.memory_bytes,
    }
}

/// One number stands for all three; a bound that was not written is the amount asked for.
fn memory(wanted: &declared::Resources) -> Option<Memory> {
    let bytes = wanted.memory_bytes.or(wanted.memory_max_bytes).or(wanted.memory_min_bytes)?;
    Some(Memory {
        bytes,
        min_bytes: wanted.memory_min_bytes.unwrap_or(bytes),
        max_bytes: wanted.memory_max_bytes.unwrap_or(bytes),
    })
}
