//! What a double-click shows.

use super::Body;
use crate::appliance::{Appliance, Open};
use crate::explain::{BUILT_IN, Page};
use crate::report::Report;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};

/// Schemes, each a property.
const SCHEMES: [&str; 2] = ["http", "vnc"];

/// `open`
pub(crate) const OPEN: NodeRule = NodeRule {
    name: "open",
    doc: "What a double-click on the appliance shows: a page or a screen at one of the ports of `network`.",
    args: &[ArgRule::one("the name", Kind::Name)],
    props: &[
        PropRule::new("http", Kind::Integer(1, 65535), "port of a web page"),
        PropRule::new("vnc", Kind::Integer(1, 65535), "port of a VNC screen"),
    ],
    occurs: Occurs::Named,
    example: "open \"ui\" http=8080",
    ..NodeRule::EMPTY
};

/// Decodes what opens.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Vec<Open> {
    let mut opens = Vec::new();
    for item in body.all("open") {
        if item.props.len() != 1 {
            let error = report.error(
                "missing-property",
                item.place,
                "`open` takes exactly one of http= and vnc=",
                format!("{} of them", item.props.len()),
            );
            error.help("write open \"ui\" http=8080");
            continue;
        }
        for scheme in SCHEMES {
            if let (Some(name), Some(port)) = (item.arg(0), item.number(scheme)) {
                opens.push(Open {
                    name: name.to_owned(),
                    scheme: scheme.to_owned(),
                    port: u16::try_from(port).unwrap_or_default(),
                });
            }
        }
    }
    opens
}

/// Prints what opens.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    for open in &appliance.opens {
        page.node("open", &format!("open {}", open.name), BUILT_IN)
            .arg(&open.name)
            .bare_prop(&open.scheme, &open.port.to_string(), BUILT_IN)
            .end();
    }
}
