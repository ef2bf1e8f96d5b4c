//! The language as a table: every node with its arguments, properties, children, units, defaults and words
//! for the reader. The shape check, did-you-mean and the generated reference all read this one table.

/// A node that may be written.
#[derive(Debug)]
pub(crate) struct NodeRule {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in Markdown.
    pub doc: &'static str,
    /// Its arguments in order.
    pub args: &'static [ArgRule],
    /// Its properties.
    pub props: &'static [PropRule],
    /// The nodes of its block.
    pub children: &'static [NodeRule],
    /// How often it may stand.
    pub occurs: Occurs,
    /// What properties of any name mean, for nodes that take them.
    pub free: Option<&'static str>,
    /// A line or block that shows it.
    pub example: &'static str,
}

/// An argument that may be written.
#[derive(Debug)]
pub(crate) struct ArgRule {
    /// What it is called in messages and the reference.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// How many.
    pub count: Count,
    /// What is taken when it is absent, for the reference.
    pub default: Option<&'static str>,
}

/// How many values an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// One or more.
    Some,
    /// Any number.
    Any,
}

/// A property that may be written.
#[derive(Debug)]
pub(crate) struct PropRule {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether the node means nothing without it.
    pub required: bool,
    /// Whether values right behind it belong to it: `groups="video" "audio"`.
    pub list: bool,
    /// What is taken when it is absent, for the reference.
    pub default: Option<&'static str>,
    /// What it is for.
    pub doc: &'static str,
}

/// How often a node may stand in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurs {
    /// Once; fragments may set it again only to the same.
    Once,
    /// Any number of times; all of them count.
    Many,
    /// Any number of times, each with another first argument.
    Named,
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// Text of one line without control characters.
    Line,
    /// What may be reached: one line, whose form is told with its section.
    Destination,
    /// A name: letters, digits, `-`, `.`, `_`, beginning with a letter or digit.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An absolute path inside the appliance.
    Path,
    /// A path beside the spec.
    Beside,
    /// A reference to an OCI image.
    Image,
    /// An amount of bytes with its unit.
    Size,
    /// A time with its unit.
    Duration,
    /// Permission bits.
    Mode,
    /// A whole number from the first to the second.
    Integer(u64, u64),
    /// A number of processors, also a fraction.
    Cpus,
    /// `#true` or `#false`.
    Flag,
}

impl Kind {
    /// What to write, for messages: reads after "takes".
    pub fn what(self) -> String {
        match self {
            Self::Text => "text in quotes".to_owned(),
            Self::Line => "one line of text".to_owned(),
            Self::Name => "a name of letters, digits, `-`, `.` and `_`".to_owned(),
            Self::Word(words) => format!("one of {}", either(words)),
            Self::Path => "an absolute path such as \"/var/lib/app\"".to_owned(),
            Self::Beside => "a path beside the spec such as \"app/\"".to_owned(),
            Self::Image => {
                "an image: \"registry.example.org/name:tag\", \"oci:FOLDER\", \"oci-archive:FILE\", \"docker-archive:FILE\"".to_owned()
            }
            Self::Destination => {
                "a host, an address or a range in quotes, perhaps with a port: \"api.example.com:443\", \"10.0.0.0/8\"".to_owned()
            }
            Self::Size => "a size with a unit: \"512MiB\", \"1GiB\" (KiB, MiB, GiB, TiB; kB, MB, GB, TB)".to_owned(),
            Self::Duration => "a time with a unit: \"500ms\", \"1.5s\", \"30m\", \"2h\" (ms, s, m, h, d)".to_owned(),
            Self::Mode => "permissions in octal: \"0644\", \"0755\"".to_owned(),
            Self::Integer(low, u64::MAX) => format!("a whole number from {low}"),
            Self::Integer(low, high) => format!("a whole number from {low} to {high}"),
            Self::Cpus => "a number of processors: 2, 0.5".to_owned(),
            Self::Flag => "#true or #false".to_owned(),
        }
    }
}

impl NodeRule {
    /// A node that stands once and holds nothing yet; the base for struct updates.
    pub const EMPTY: Self =
        Self { name: "", doc: "", args: &[], props: &[], children: &[], occurs: Occurs::Once, free: None, example: "" };
}

impl ArgRule {
    /// An argument that must be there.
    pub const fn one(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, count: Count::One, default: None }
    }

    /// One or more.
    pub const fn some(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, count: Count::Some, default: None }
    }

    /// Any number.
    pub const fn any(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, count: Count::Any, default: None }
    }
}

impl PropRule {
    /// A property that may be left out.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, required: false, list: false, default: None, doc }
    }

    /// The same with a default for the reference.
    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same, taking the values right behind it too.
    pub const fn list(self) -> Self {
        Self { list: true, ..self }
    }

    /// The same, but needed.
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// Words for people: "\"a\", \"b\" or \"c\"".
pub(crate) fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "nothing".to_owned(),
    }
}
