//! How strongly an instance is kept apart from its host.

use bundle::plan::{Isolation, Level, Seccomp};
use spec::appliance as declared;

use crate::PlanError;

pub(crate) fn isolation(wanted: &declared::Isolation, profile: Option<&str>) -> Result<Isolation, PlanError> {
    Ok(Isolation {
        level: wanted.level.map(level),
        at_least: level(wanted.at_least),
        capabilities: wanted.capabilities.clone(),
        seccomp: match &wanted.seccomp {
            declared::Seccomp::Default => Seccomp::Default,
            declared::Seccomp::Strict => Seccomp::Strict,
            declared::Seccomp::File(path) => Seccomp::Profile(checked_profile(path, profile)?),
        },
    })
}

fn level(level: declared::Level) -> Level {
    match level {
        declared::Level::Container => Level::Container,
        declared::Level::Vm => Level::Vm,
    }
}

/// The profile as compact JSON. That it has the outer form of OCI's `linux.seccomp` is known here; whether a host
/// can enforce each rule is found out when it is bound to one.
fn checked_profile(path: &str, text: Option<&str>) -> Result<String, PlanError> {
    let path = || path.to_owned();
    let text = text.ok_or_else(|| PlanError::MissingProfile { path: path() })?;
    let profile: serde_json::Value =
        serde_json::from_str(text).map_err(|source| PlanError::ProfileSyntax { path: path(), source })?;
    match profile.get("defaultAction") {
        Some(serde_json::Value::String(_)) => Ok(profile.to_string()),
        _ => Err(PlanError::NotAProfile { path: path() }),
    }
}
