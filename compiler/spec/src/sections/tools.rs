//! What may be started in a running appliance from outside.

use super::Body;
use crate::appliance::Appliance;
use crate::explain::{BUILT_IN, Page};
use crate::table::{ArgRule, Kind, NodeRule, Occurs};

/// `tools`
pub(crate) const TOOLS: NodeRule = NodeRule {
    name: "tools",
    doc: "Programs that `appliance exec` may start, by the name that is given to it; any other is refused. Default: any.",
    args: &[ArgRule { default: Some("any"), ..ArgRule::some("programs", Kind::Line) }],
    occurs: Occurs::Many,
    example: "tools \"python3\" \"git\"",
    ..NodeRule::EMPTY
};

/// Decodes `tools`.
pub(crate) fn decode(body: Body<'_>) -> Vec<String> {
    let mut tools: Vec<String> = Vec::new();
    for item in body.all("tools") {
        tools.extend(item.texts_from(0).map(|(text, _)| text.to_owned()));
    }
    tools.sort_unstable();
    tools.dedup();
    tools
}

/// Prints the tools.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    for tool in &appliance.tools {
        page.node("tools", &format!("tools {tool}"), BUILT_IN).arg(tool).end();
    }
}
