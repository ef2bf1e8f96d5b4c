//! Who the appliance is: its name, version, summary and host name.

use super::Body;
use crate::appliance::Appliance;
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::table::{ArgRule, Kind, NodeRule, PropRule};

/// The node around everything.
pub(crate) const APPLIANCE: NodeRule = NodeRule {
    name: "appliance",
    doc: "One file describes one appliance. The name also names the image, the host name and the instance.",
    args: &[ArgRule::one("the name", Kind::Name)],
    props: &[PropRule::new("version", Kind::Name, "the version of the appliance").default("0")],
    example: "appliance \"hello\" version=\"1.0.0\" {\n}",
    ..NodeRule::EMPTY
};

/// `summary`
pub(crate) const SUMMARY: NodeRule = NodeRule {
    name: "summary",
    doc: "One line for people, shown where appliances are listed.",
    args: &[ArgRule::one("the text", Kind::Line)],
    example: "summary \"A small web page\"",
    ..NodeRule::EMPTY
};

/// `hostname`
pub(crate) const HOSTNAME: NodeRule = NodeRule {
    name: "hostname",
    doc: "The host name inside. Default: the appliance's name.",
    args: &[ArgRule::one("the name", Kind::Line)],
    example: "hostname \"hello\"",
    ..NodeRule::EMPTY
};

/// Name, version, summary and host name.
pub(crate) struct Identity {
    /// Empty when it is missing.
    pub name: String,
    /// As written, or `0`.
    pub version: String,
    /// Perhaps empty.
    pub summary: String,
    /// A host name by RFC 1123.
    pub hostname: String,
}

/// Decodes who the appliance is.
pub(crate) fn decode(head: &Item, body: Body<'_>, report: &mut Report<'_>) -> Identity {
    let name = head.arg(0).unwrap_or_default().to_owned();
    let written = body.one("hostname").and_then(|item| item.arg(0).map(|text| (text, item.arg_place(0))));
    let hostname = match written {
        Some((text, _)) if is_hostname(text) => text.to_owned(),
        Some((text, place)) => {
            let message = format!("\"{text}\" cannot be a host name");
            let error = report.error("bad-name", place, message, "not a host name");
            error.help(format!("letters, digits and `-`, at most 63: \"{}\"", as_hostname(text)));
            text.to_owned()
        }
        None => as_hostname(&name),
    };
    Identity {
        version: head.text_or("version", "0"),
        summary: body.one("summary").and_then(|item| item.arg(0)).unwrap_or_default().to_owned(),
        name,
        hostname,
    }
}

/// Prints the summary.
pub(crate) fn explain_summary(appliance: &Appliance, page: &mut Page<'_>) {
    page.node("summary", "summary", BUILT_IN).arg(&appliance.summary).end();
}

/// Prints the host name.
pub(crate) fn explain_hostname(appliance: &Appliance, page: &mut Page<'_>) {
    page.node("hostname", "hostname", "from the appliance's name").arg(&appliance.hostname).end();
}

/// Whether every label of a name fits RFC 1123, section 2.1, and the kernel's 64 bytes.
fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= 64 && text.split('.').all(label)
}

fn as_hostname(name: &str) -> String {
    let label: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(63).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "appliance".to_owned() } else { label.to_owned() }
}
