//! What an appliance asks of whatever runs it: a checked appliance in, a [`Plan`] out.
//!
//! The plan knows no platform and no host. Nothing is read here: the text of a seccomp profile is an argument.

mod error;
mod isolation;
mod network;
mod process;
mod resources;

pub use error::PlanError;

use bundle::plan::{Plan, SCHEMA, Volume};
use spec::Appliance;

/// Makes the plan of an appliance.
///
/// `seccomp_profile` is the text of the profile file that the spec names; needed only where it names one.
pub fn plan(appliance: &Appliance, seccomp_profile: Option<&str>) -> Result<Plan, PlanError> {
    Ok(Plan {
        schema: SCHEMA,
        name: appliance.name.clone(),
        version: appliance.version.clone(),
        hostname: appliance.hostname.clone(),
        process: process::process(appliance),
        root: resources::root(appliance),
        isolation: isolation::isolation(&appliance.isolation, seccomp_profile)?,
        network: network::network(&appliance.network),
        resources: resources::resources(&appliance.resources),
        volumes: volumes(appliance),
        open: appliance.opens.iter().map(network::open).collect(),
        gpu: resources::gpu(&appliance.gpu),
    })
}

/// In the order in which they are mounted: what is in another one comes after it.
fn volumes(appliance: &Appliance) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = appliance.volumes.iter().map(volume).collect();
    volumes.sort_by_key(|volume| volume.at.matches('/').count());
    volumes
}

fn volume(volume: &spec::appliance::Volume) -> Volume {
    Volume { name: volume.name.clone(), at: volume.at.clone(), size_bytes: volume.size_bytes }
}
