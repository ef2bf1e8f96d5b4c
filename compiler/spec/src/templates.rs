//! Starting specs for `appliance new`: each is a whole spec with one hole, the name.

/// A starting spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// How it is asked for.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    text: &'static str,
}

impl Template {
    /// The spec for an appliance of this name. A name that the language does not take is found by `check`.
    pub fn fill(&self, name: &str) -> String {
        self.text.replace(HOLE, name)
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
        },
        Template {
            name: "inference",
            summary: "a local model server with a volume for models, a GPU if there is one",
            text: include_str!("../../../templates/inference/appliance.kdl"),
        },
        Template {
            name: "minimal",
            summary: "one service and nothing else",
            text: include_str!("../../../templates/minimal/appliance.kdl"),
        },
        Template {
            name: "web",
            summary: "a web page on port 8080",
            text: include_str!("../../../templates/web/appliance.kdl"),
        },
    ]
}
