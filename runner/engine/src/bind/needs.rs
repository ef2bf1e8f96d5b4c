//! The needs that any way of running has: what the caller chose must be possible, and what is asked must be carried out.

use bundle::plan::{GpuNeed, Plan};

use super::{Reach, Unmet};
use crate::options::RunOptions;

/// Needs that are not there; each is looked at.
#[derive(Debug, Default)]
pub struct Needs(pub Vec<Unmet>);

impl Needs {
    /// Notes a need where it is missing.
    pub fn want(&mut self, missing: bool, need: String, remedy: &str) {
        if missing {
            self.0.push(Unmet { need, remedy: remedy.to_owned() });
        }
    }
}

/// What a container and a machine both need.
pub fn common(plan: &Plan, options: &RunOptions) -> Needs {
    let mut needs = Needs::default();
    if let Some(Err(bad)) = Reach::of(&plan.network).map(|reach| reach.rules()) {
        needs.want(true, bad.to_string(), "correct `allow` in the spec and build it again");
    }
    let gpu = plan.gpu.need == GpuNeed::Required;
    needs.want(gpu, "a GPU is required, and this engine hands none in yet".into(), "set gpu \"optional\"");
    for folder in [&options.cache_folder, &options.state_folder, &options.volumes_folder] {
        needs.want(
            folder.is_relative(),
            format!("the folder {} is not absolute", folder.display()),
            "give its full path",
        );
    }
    for choice in &options.ports {
        let declared = plan.network.ports.iter().any(|port| port.port == choice.inside);
        let need = format!("port {} is not declared by the appliance", choice.inside);
        needs.want(!declared, need, &declared_ports(plan, choice.inside));
    }
    let unknown = plan.isolation.capabilities.iter().filter(|name| bundle::capability::number(name).is_none());
    for name in unknown {
        needs.want(true, format!("the capability {name} is unknown"), "see capabilities(7)");
    }
    needs
}

/// What to do about a port that is not declared.
fn declared_ports(plan: &Plan, wanted: u16) -> String {
    let one = |port: &bundle::plan::Port| match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    };
    let declared: Vec<String> = plan.network.ports.iter().map(one).collect();
    match declared.as_slice() {
        [] => format!("it declares none; declare it in the spec with: network \"none\" {{ port {wanted}; }}"),
        [only] => format!("it declares {only}"),
        all => format!("it declares {}", all.join(", ")),
    }
}
