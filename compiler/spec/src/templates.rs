//! Starting specs for `appliance new`: each is a whole spec with one hole, the name. The base can be another one where the
//! packages of the spec do not belong to one distribution.

use crate::base::BaseImage;

/// A starting spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// How it is asked for.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    text: &'static str,
    /// Whether it asks for nothing that only its own base has.
    any_base: bool,
}

impl Template {
    /// The spec for an appliance of this name. A name that the language does not take is found by `check`.
    pub fn fill(&self, name: &str) -> String {
        self.text.replace(HOLE, name)
    }

    /// The same on this release of another base; none where the template stands on its own base alone.
    pub fn fill_on(&self, name: &str, base: &BaseImage) -> Option<String> {
        let own = self.text.lines().find(|line| line.trim_start().starts_with("base "))?;
        let other = format!("    base \"{}\" release=\"{}\"", base.name, base.version);
        let is_own = own.contains(&format!("\"{}\"", base.name));
        (self.any_base || is_own).then(|| self.text.replace(own, &other).replace(HOLE, name))
    }
}

/// What stands in a template where the name goes.
const HOLE: &str = "{{NAME}}";

/// Every template, sorted by name.
pub fn templates() -> &'static [Template] {
    &[
        Template {
            name: "agent",
            summary: "a Python workspace for an agent, without a network",
            text: include_str!("../../../templates/agent/appliance.kdl"),
            any_base: false,
        },
        Template {
            name: "inference",
            summary: "a local model server with a volume for models, a GPU if there is one",
            text: include_str!("../../../templates/inference/appliance.kdl"),
            any_base: false,
        },
        Template {
            name: "minimal",
            summary: "one service and nothing else",
            text: include_str!("../../../templates/minimal/appliance.kdl"),
            any_base: true,
        },
        Template {
            name: "web",
            summary: "a web page on port 8080",
            text: include_str!("../../../templates/web/appliance.kdl"),
            any_base: false,
        },
    ]
}
