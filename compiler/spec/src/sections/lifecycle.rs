//! Sleep, wake and pool.

use super::{Body, not_yet};
use crate::appliance::{Appliance, Lifecycle};
use crate::explain::{BUILT_IN, Page};
use crate::report::Report;
use crate::table::{ArgRule, Kind, NodeRule};
use crate::units::duration_text;

/// `lifecycle`
pub(crate) const LIFECYCLE: NodeRule = NodeRule {
    name: "lifecycle",
    doc: "When it sleeps and wakes, and how many stand ready. *Has no effect yet.*",
    children: &[
        NodeRule {
            name: "sleep-after",
            doc: "Idle time before it sleeps.",
            args: &[ArgRule { default: Some("never"), ..ArgRule::one("the time", Kind::Duration) }],
            example: "sleep-after \"30m\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "wake-on",
            doc: "What wakes it.",
            args: &[ArgRule::one("the event", Kind::Word(&["connect"]))],
            example: "wake-on \"connect\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "pool",
            doc: "Instances that are kept started ahead of use.",
            args: &[ArgRule { default: Some("0"), ..ArgRule::one("the number", Kind::Integer(0, 1000)) }],
            example: "pool 2",
            ..NodeRule::EMPTY
        },
    ],
    example: "lifecycle {\n    sleep-after \"30m\"\n    wake-on \"connect\"\n}",
    ..NodeRule::EMPTY
};

/// Decodes `lifecycle`.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Lifecycle {
    let Some(item) = body.one("lifecycle") else {
        return Lifecycle::default();
    };
    not_yet(item, "`lifecycle`", report);
    Lifecycle {
        sleep_after_ms: item.child("sleep-after").and_then(|child| child.arg_number(0)),
        wake_on: item.child("wake-on").and_then(|child| child.arg(0)).map(str::to_owned),
        pool: item.child("pool").and_then(|child| child.arg_number(0)),
    }
}

/// Prints the lifecycle, if anything of it is set.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    let lifecycle = &appliance.lifecycle;
    if *lifecycle == Lifecycle::default() {
        return;
    }
    page.node("lifecycle", "lifecycle", BUILT_IN).open();
    if let Some(ms) = lifecycle.sleep_after_ms {
        page.node("sleep-after", "sleep-after", BUILT_IN).arg(&duration_text(ms)).end();
    }
    if let Some(event) = &lifecycle.wake_on {
        page.node("wake-on", "wake-on", BUILT_IN).arg(event).end();
    }
    if let Some(pool) = lifecycle.pool {
        page.node("pool", "pool", BUILT_IN).bare(&pool.to_string()).end();
    }
    page.close();
}
