//! What the appliance can reach, and what of it the host can reach.

use std::net::IpAddr;

use super::Body;
use crate::appliance::{Appliance, Network, NetworkMode, Port};
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::table::{ArgRule, Count, Kind, NodeRule, Occurs, PropRule};

/// `network`
pub(crate) const NETWORK: NodeRule = NodeRule {
    name: "network",
    doc: "What it can reach: `\"none\"`; `\"outbound\"`: what `allow` lists, or every public address where nothing is listed; \
          `\"full\"`: the networks of the host too. The host itself is reached in no mode, and the host reaches declared ports in \
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
            args: &[ArgRule::some("destinations", Kind::Line)],
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
            if let Some(problem) = problem(text) {
                let bare = text.split("://").last().unwrap_or_default().split('/').next().unwrap_or_default();
                let error = report.error(
                    "bad-value",
                    place,
                    "`allow` takes a host, an address or a range, perhaps with a port",
                    "not a destination",
                );
                error.help(match self::problem(bare) {
                    None if text.contains("://") => format!("write \"{bare}\""),
                    _ => problem.to_owned(),
                });
            }
            list.push(text.to_owned());
        }
    }
    list.sort_unstable();
    list.dedup();
    list
}

/// Why this is no destination, and what to write; `None` where it is one.
fn problem(text: &str) -> Option<&'static str> {
    let (what, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((what, "")) => (what, None),
        Some((what, rest)) => match rest.strip_prefix(':') {
            Some(port) => (what, Some(port)),
            None => return Some("after the bracket comes nothing, or a colon and a port"),
        },
        None if text.matches(':').count() == 1 => text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b))),
        None => (text, None),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if port.is_some_and(|port| !is_number(port) || !matches!(port.parse::<u16>(), Ok(1..))) {
        return Some("a port is a number from 1 to 65535");
    }
    let (address, bits) = what.split_once('/').map_or((what, None), |(address, bits)| (address, Some(bits)));
    match (address.parse::<IpAddr>(), bits) {
        (Ok(_), None) => None,
        (Ok(address), Some(bits)) => {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let fits = is_number(bits) && bits.parse::<u8>().is_ok_and(|bits| bits <= most);
            (!fits).then_some("a range ends with a number of bits, as in \"10.0.0.0/8\"")
        }
        (Err(_), Some(_)) => Some("only an address has a range, as in \"10.0.0.0/8\""),
        (Err(_), None) => {
            bad_name(what).then_some("write \"api.example.com:443\", \"*.example.com\" or \"10.0.0.0/8\"")
        }
    }
}

/// Whether this is no name of a host (RFC 1123, section 2.1, with underscores), perhaps after `*.`. What ends like a number
/// would be taken for an address (WHATWG URL, section 3.5).
fn bad_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let name = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        (1..=63).contains(&label.len()) && letters && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_numeric = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    name.len() > 253 || !name.split('.').all(is_label) || is_numeric
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
