//! What is wrong with a text, as plain data: codes, messages, places and help.
//! Rendering with colours and frames belongs to the command; only a one-line-per-problem form is here.

use serde::Serialize;

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The text cannot be used.
    Error,
    /// The text can be used, but not all that it says has an effect.
    Warning,
}

/// A stretch of a source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// First byte.
    pub offset: usize,
    /// Number of bytes.
    pub len: usize,
}

/// A place that a diagnostic points at, and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Label {
    /// Name of the source, as it was given to the parser.
    pub source: String,
    /// Where in the source.
    pub span: Span,
    /// Line of the first byte, from 1.
    pub line: usize,
    /// Column of the first byte in characters, from 1.
    pub column: usize,
    /// What to say about it.
    pub text: String,
}

/// One thing that is wrong, or that a user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable name of the kind of problem, in kebab-case.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in the user's words.
    pub message: String,
    /// Where; the first label is the main one.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// A warning without a place yet.
    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same with one more label.
    pub(crate) fn at(mut self, label: Label) -> Self {
        self.labels.push(label);
        self
    }

    /// The same with a help line.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Sorts by place and drops what is there twice.
pub fn settle(mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    problems.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    problems.dedup();
    problems
}

/// Every code with what it means, sorted. A code never changes its meaning.
pub const CODES: &[(&str, &str)] = &[
    ("allow-without-outbound", "`allow` stands in a network that lists nothing"),
    ("arch-not-supported", "the base does not exist for this architecture"),
    ("bad-name", "a name holds what its kind of name cannot"),
    ("bad-path", "a path is not absolute, holds `..`, or cannot be where it is"),
    ("bad-value", "a value is not one that can stand there"),
    ("bad-version-rule", "a package's version rule cannot be read"),
    ("base-not-supported", "the base is known and cannot be built yet"),
    ("conflict", "two places set the same thing differently"),
    ("disk-too-small", "what is built does not fit the disk that the spec asks for"),
    ("duplicate-name", "two things have one name or one path"),
    ("excluded-package", "a package is asked for and excluded"),
    ("file-missing", "a file beside the spec that the spec names is not there"),
    ("file-unusable", "a file beside the spec cannot be read, or is none that an appliance can hold"),
    ("foreign-program", "a program is for another processor than the root that it is put into (warning)"),
    ("gpu-impossible", "no declared platform can give the required GPU"),
    ("hidden", "what is put somewhere is never seen, because something is mounted over it (warning)"),
    ("image-unusable", "the image of the base cannot be had, or is none that can be built on"),
    ("init-impossible", "the base does not have the init that is asked for"),
    ("kernel-unfit", "the kernel cannot boot what is asked for"),
    ("key-missing", "a base image names a key file that is not there"),
    ("key-unusable", "a file that should hold the key of a repository holds none"),
    ("launch-without-output", "a platform has no output that it can take"),
    ("level-conflict", "two settings of isolation exclude each other"),
    ("missing-appliance", "the file describes no appliance"),
    ("missing-argument", "a node lacks a value"),
    ("missing-node", "a block lacks a node"),
    ("missing-property", "a node lacks a property"),
    ("no-effect", "`allow` lists what is never reached (warning)"),
    ("no-machine", "what needs a machine has no output that is one (warning)"),
    ("no-packages", "the base has no packages to take from"),
    ("not-expanded", "a value or an argument holds what only a shell understands (warning)"),
    ("not-utf8", "the file is not UTF-8 text"),
    ("not-yet", "a section is valid and has no effect yet (warning)"),
    ("output-impossible", "the base or an architecture cannot have this output"),
    ("overwritten", "two lines bring one file, and the later one wins (warning)"),
    ("path-outside", "a path leads out of the spec's folder"),
    ("repeated-node", "a node stands twice that may stand once"),
    ("repeated-property", "a property or variable is set twice"),
    ("repository-untrusted", "a repository is not signed by its key"),
    ("service-cycle", "services wait for each other in a circle"),
    ("syntax", "the text is not KDL"),
    ("too-deep", "blocks nest too deep, or fragments are too many"),
    ("too-large", "the file is larger than is read"),
    ("uid-clash", "two users have one id"),
    ("undeclared-port", "`open` names a port that `network` does not declare"),
    ("unexpected-annotation", "a (type) stands in front of a node or value"),
    ("unexpected-argument", "a value too many"),
    ("unexpected-block", "a block where none can stand"),
    ("unit-missing", "an amount without its unit"),
    ("unknown-base", "there is no such base"),
    ("unknown-group", "there is no such group (a warning for the groups of a user)"),
    ("unknown-node", "there is no such section here"),
    ("unknown-program", "a service's program is not in the image"),
    ("unknown-property", "there is no such property here"),
    ("unknown-release", "the base has no such release"),
    ("unknown-service", "there is no such service"),
    ("unknown-suite", "an archive does not have the suite or component that a base image or a repository reads"),
    ("unknown-user", "there is no such user"),
    ("use-cycle", "fragments use each other in a circle"),
    ("use-missing", "a fragment cannot be read"),
    ("user-clash", "a user of the spec is one that a package makes too"),
    ("volume-not-writable", "no service can write to a volume (warning)"),
    ("writable-below-volume", "a writable path is in a volume"),
    ("wrong-type", "a value of another kind is needed"),
];

/// The diagnostics as plain lines: `file:line:column: error: message [code]`, further places and help indented below.
pub fn plain(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(plain_one).collect()
}

fn sort_key(diagnostic: &Diagnostic) -> (Option<(&str, Span)>, Severity, &str, &str) {
    let place = diagnostic.labels.first().map(|label| (label.source.as_str(), label.span));
    (place, diagnostic.severity, diagnostic.code, &diagnostic.message)
}

fn plain_one(diagnostic: &Diagnostic) -> String {
    let word = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = diagnostic.labels.first().map(|label| format!("{}: ", position(label))).unwrap_or_default();
    let mut out = format!("{place}{word}: {} [{}]\n", diagnostic.message, diagnostic.code);
    let told = |label: &&Label| diagnostic.labels.first().is_none_or(|first| first.text != label.text);
    for label in diagnostic.labels.iter().skip(1).filter(told) {
        out.push_str(&format!("    {}: {}\n", position(label), label.text));
    }
    if let Some(help) = &diagnostic.help {
        out.push_str(&format!("    help: {help}\n"));
    }
    out
}

fn position(label: &Label) -> String {
    format!("{}:{}:{}", label.source, label.line, label.column)
}
