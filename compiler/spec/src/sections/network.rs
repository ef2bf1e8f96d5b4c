//! What the appliance can reach, and what of it the host can reach.

use super::Body;
use crate::appliance::{Appliance, Network, NetworkMode, Port};
use crate::destination;
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::table::{ArgRule, Count, Kind, NodeRule, Occurs, PropRule};

/// `network`
pub(crate) const NETWORK: NodeRule = NodeRule {
    name: "network",
    doc: "What it can reach: `\"none\"`; `\"outbound\"`: what `allow` lists, or every public address where nothing is listed; \
          `\"full\"`: private addresses too, such as those of the networks that the host is in. The host itself, loopback and \
          link-local addresses are reached in no mode, and the host reaches declared ports in \
          every mode. It holds where `appliance run` runs the appliance, as a container or a machine; another engine or \
          hypervisor gives what it runs a network of its own.",
    args: &[ArgRule {
        count: Count::Optional,
        default: Some("none"),
        ..ArgRule::one("the mode", Kind::Word(&["none", "outbound", "full"]))
    }],
    children: &[
        NodeRule {
            name: "port",
            doc: "A port that the host can reach, also with `\"none\"`.",
            args: &[ArgRule::one("the number", Kind::Integer(1, 65535))],
            props: &[PropRule::new("name", Kind::Name, "what it is for")],
            occurs: Occurs::Named,
            example: "port 8080 name=\"ui\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "allow",
            doc: "Destinations that `\"outbound\"` may reach, by TCP and UDP: a host, every host below one (`*.example.com`), an \
                  address or a range, perhaps with a port; an IPv6 address with one stands in brackets. A host is looked up by the \
                  host's own resolver, and leads to public addresses alone: private ones are listed by address.",
            args: &[ArgRule::some("destinations", Kind::Destination)],
            occurs: Occurs::Many,
            example: "allow \"api.example.com:443\" \"10.0.0.0/8\"",
            ..NodeRule::EMPTY
        },
    ],
    example: "network \"none\" {\n    port 8080 name=\"ui\"\n}",
    ..NodeRule::EMPTY
};

/// Decodes `network`.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Network {
    let Some(item) = body.one("network") else {
        return Network { mode: NetworkMode::None, allow: Vec::new(), ports: Vec::new() };
    };
    let mode = match item.arg(0) {
        Some("outbound") => NetworkMode::Outbound,
        Some("full") => NetworkMode::Full,
        _ => NetworkMode::None,
    };
    Network { mode, allow: allow(item, mode, report), ports: ports(item, report) }
}

/// Prints the network.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    let network = &appliance.network;
    page.node("network", "network", BUILT_IN).arg(mode_text(network.mode)).open();
    for port in &network.ports {
        page.node("port", &format!("port {}", port.port), BUILT_IN)
            .bare(&port.port.to_string())
            .maybe("name", port.name.as_deref())
            .end();
    }
    for destination in &network.allow {
        page.node("allow", &format!("allow {destination}"), BUILT_IN).arg(destination).end();
    }
    page.close();
}

fn allow(item: &Item, mode: NetworkMode, report: &mut Report<'_>) -> Vec<String> {
    let mut list = Vec::new();
    for child in item.all("allow") {
        if mode != NetworkMode::Outbound {
            let mode = mode_text(mode);
            let error = report.error(
                "allow-without-outbound",
                child.place,
                format!("`network \"{mode}\"` takes no `allow`"),
                "nothing to allow",
            );
            error.help("write network \"outbound\" { allow … }, or remove `allow`");
        }
        for (text, place) in child.texts_from(0) {
            if let Some(problem) = destination::problem(text) {
                let bare = text.split("://").last().unwrap_or_default().split('/').next().unwrap_or_default();
                let message =
                    format!("`allow` takes a host, an address or a range, perhaps with a port, and \"{text}\" is none");
                report.error("bad-value", place, message, "not a destination").help(match destination::problem(bare) {
                    None if text.contains("://") => format!("write \"{bare}\""),
                    _ => problem.to_owned(),
                });
            } else if let (NetworkMode::Outbound, Some(why)) = (mode, destination::never(text)) {
                let message = format!("\"{text}\" is never reached, listed or not: {why}");
                report.warning("no-effect", place, message, "has no effect").help("remove it from `allow`");
            }
            list.push(text.to_owned());
        }
    }
    list.sort_unstable();
    list.dedup();
    list
}

fn ports(item: &Item, report: &mut Report<'_>) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    let mut named: Vec<&Item> = Vec::new();
    for child in item.all("port") {
        let Some(number) = child.arg_number(0).and_then(|number| u16::try_from(number).ok()) else { continue };
        if let Some(first) =
            named.iter().find(|other| child.text("name").is_some() && other.text("name") == child.text("name"))
        {
            let message = format!("two ports are named \"{}\"", child.text_or("name", ""));
            let error = report.error("duplicate-name", child.prop_place("name"), message, "again here");
            error.also(first.prop_place("name"), "first here").help("give each port its own name");
        }
        named.push(child);
        ports.push(Port { port: number, name: child.text("name").map(str::to_owned) });
    }
    ports.sort_by_key(|port| port.port);
    ports
}

fn mode_text(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::None => "none",
        NetworkMode::Outbound => "outbound",
        NetworkMode::Full => "full",
    }
}
