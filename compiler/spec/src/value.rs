//! One written value against what its place takes: text, paths, numbers and values with units.

use kdl::KdlValue;

use crate::image_reference::ImageReference;
use crate::report::Report;
use crate::source::Place;
use crate::suggest::nearest;
use crate::syntax::Entry;
use crate::table::{Kind, either};
use crate::units::{self, UnitError};

/// A value that fits its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text, a name, a word or a path, normalised.
    Text(String),
    /// A number: plain, bytes, milliseconds, permission bits or thousandths.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Something else, reported already.
    Bad,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
}

impl Decoded {
    /// The text, unless it was bad.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, unless it was bad.
    pub fn number(&self) -> Option<u64> {
        match self.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }
}

/// What values are read with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Whether paths beside the spec may lead out of its folder.
    pub allow_outside: bool,
    /// For each source, the folder that its paths are relative to.
    pub folders: &'a [String],
}

impl Reading<'_> {
    /// Decodes one value; `owner` names the place in messages: "`mode` of `file`".
    pub fn decode(self, entry: &Entry, kind: Kind, owner: &str, report: &mut Report<'_>) -> Decoded {
        let place = entry.value_place;
        if entry.annotated {
            let error = report.error(
                "unexpected-annotation",
                entry.place,
                "a value takes no (type) in front of it",
                "remove the (type)",
            );
            error.help("the language knows what each value is; write the value alone");
        }
        let value = self.value(entry, kind).unwrap_or_else(|problem| {
            report.unread.value(entry);
            report
                .error(problem.code, place, format!("{owner} {}", problem.message), problem.label)
                .maybe_help(problem.help);
            Value::Bad
        });
        Decoded { value, place }
    }

    fn value(self, entry: &Entry, kind: Kind) -> Result<Value, Problem> {
        match (kind, &entry.value) {
            (Kind::Flag, KdlValue::Bool(flag)) => Ok(Value::Flag(*flag)),
            (Kind::Integer(low, high), KdlValue::Integer(number)) => integer(*number, low, high),
            (Kind::Cpus, KdlValue::Integer(_) | KdlValue::Float(_)) => cpus(&entry.written),
            (Kind::Size | Kind::Duration | Kind::Mode, KdlValue::Integer(_) | KdlValue::Float(_)) => {
                Err(bare_number(entry, kind))
            }
            (Kind::Integer(..) | Kind::Cpus | Kind::Flag, _) => Err(Problem::wrong(kind, entry)),
            (Kind::Beside, KdlValue::String(text)) => {
                let folder = self.folders.get(entry.place.source).map_or("", String::as_str);
                path_beside(folder, text, self.allow_outside)
            }
            (Kind::Image, KdlValue::String(text)) if !text.chars().any(char::is_control) => {
                let folder = self.folders.get(entry.place.source).map_or("", String::as_str);
                image(folder, text, self.allow_outside)
            }
            (_, KdlValue::String(text)) => text_value(text, kind),
            _ => Err(Problem::wrong(kind, entry)),
        }
    }
}

fn text_value(text: &str, kind: Kind) -> Result<Value, Problem> {
    if text.contains('\0') {
        return Err(Problem::bad("must not hold a NUL character", "here"));
    }
    match kind {
        Kind::Word(words) => word(text, words),
        Kind::Name => name(text),
        Kind::Line | Kind::Image | Kind::Destination if text.chars().any(char::is_control) => {
            Err(Problem::bad("must be one line without control characters", "not one line"))
        }
        Kind::Path => path_inside(text),
        Kind::Size => quantity(units::size_bytes(text), text, kind),
        Kind::Duration => quantity(units::duration_ms(text), text, kind),
        Kind::Mode => quantity(units::mode(text).map(u64::from), text, kind),
        _ => Ok(Value::Text(text.to_owned())),
    }
}

struct Problem {
    code: &'static str,
    message: String,
    label: String,
    help: Option<String>,
}

impl Problem {
    fn bad(message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { code: "bad-value", message: message.into(), label: label.into(), help: None }
    }

    fn wrong(kind: Kind, entry: &Entry) -> Self {
        let label = match entry.value {
            KdlValue::String(_) => "this is text",
            KdlValue::Integer(_) | KdlValue::Float(_) => "this is a number",
            KdlValue::Bool(_) => "this is yes or no",
            KdlValue::Null => "this is nothing",
        };
        let quoted = matches!(entry.value, KdlValue::Integer(_) | KdlValue::Float(_))
            .then(|| format!("write \"{}\"", entry.written));
        let wants_text = !matches!(kind, Kind::Integer(..) | Kind::Cpus | Kind::Flag);
        let bare = match &entry.value {
            KdlValue::String(text) if kind.accepts_bare(text) => {
                Some(format!("write {} without quotes", kind.bare(text)))
            }
            _ if !wants_text => Some(format!("write {}", kind.what())),
            _ => None,
        };
        Self {
            code: "wrong-type",
            message: format!("takes {}", kind.what()),
            label: label.to_owned(),
            help: match kind {
                Kind::Destination => {
                    Some("write allow \"api.example.com:443\": a port stands behind its host".to_owned())
                }
                _ => bare.or(quoted.filter(|_| wants_text)),
            },
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Kind {
    fn accepts_bare(self, text: &str) -> bool {
        match self {
            Self::Flag => matches!(text, "true" | "false" | "yes" | "no"),
            Self::Integer(..) => text.parse::<u64>().is_ok(),
            Self::Cpus => units::thousandths(text).is_some(),
            _ => false,
        }
    }

    fn bare(self, text: &str) -> String {
        match (self, text) {
            (Self::Flag, "true" | "yes") => "#true".to_owned(),
            (Self::Flag, _) => "#false".to_owned(),
            _ => text.to_owned(),
        }
    }
}

fn integer(number: i128, low: u64, high: u64) -> Result<Value, Problem> {
    let fits = u64::try_from(number).ok().filter(|number| (low..=high).contains(number));
    let what = Kind::Integer(low, high).what();
    fits.map(Value::Number).ok_or_else(|| {
        Problem::bad(format!("takes {what}, not {number}"), "out of range").help(format!("write {what}"))
    })
}

fn cpus(written: &str) -> Result<Value, Problem> {
    let milli = units::thousandths(written).filter(|milli| *milli >= 10);
    milli
        .map(Value::Number)
        .ok_or_else(|| Problem::bad(format!("takes {}, at least 0.01", Kind::Cpus.what()), "out of range"))
}

fn bare_number(entry: &Entry, kind: Kind) -> Problem {
    let written = &entry.written;
    let (code, label, help) = match kind {
        Kind::Size => ("unit-missing", "needs a unit", size_example(written)),
        Kind::Duration => ("unit-missing", "needs a unit", format!("write \"{written}s\" or \"{written}ms\"")),
        _ => {
            let name = entry.key.as_ref().map(|(name, _)| format!("{name}=")).unwrap_or_default();
            let help =
                format!("write {name}\"{written}\": permissions are octal digits in quotes, not a decimal number");
            ("wrong-type", "needs quotes", help)
        }
    };
    Problem { code, message: format!("takes {}", kind.what()), label: label.to_owned(), help: Some(help) }
}

fn quantity(read: Result<u64, UnitError>, text: &str, kind: Kind) -> Result<Value, Problem> {
    let takes = format!("takes {}", kind.what());
    read.map(Value::Number).map_err(|error| match (error, kind) {
        (UnitError::Missing, Kind::Size) => {
            Problem { code: "unit-missing", ..Problem::bad(takes, "needs a unit") }.help(size_example(text))
        }
        (UnitError::Missing, _) => Problem { code: "unit-missing", ..Problem::bad(takes, "needs a unit") }
            .help(format!("write \"{text}s\" or \"{text}ms\"")),
        (UnitError::TooLarge, _) => Problem::bad("is larger than can be counted", "too large"),
        (UnitError::Unreadable, Kind::Size) => Problem::bad(takes, "not a size").maybe(size_guess(text)),
        (UnitError::Unreadable, Kind::Duration) => Problem::bad(takes, "not a time").maybe(duration_guess(text)),
        (UnitError::Unreadable, _) => Problem::bad(takes, "not octal permissions")
            .help("read 4, write 2, run 1, for owner, group and others: \"0750\""),
    })
}

impl Problem {
    fn maybe(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

/// The same number with the unit that is meant most likely: people count memory and disks in MiB and GiB, and what is
/// beyond them was counted in bytes.
fn size_example(number: &str) -> String {
    match number.parse::<u64>() {
        Ok(bytes) if bytes >= 1 << 20 => format!("write \"{}\" if bytes are meant", units::size_text(bytes)),
        Ok(64..) => format!("write \"{number}MiB\" if mebibytes are meant"),
        _ => format!("write \"{number}GiB\" or \"{number}MiB\""),
    }
}

/// `1G`, `512m`, `2 gb`: the unit is clear, its spelling is not.
fn size_guess(text: &str) -> Option<String> {
    let (number, unit) = split_number(text)?;
    let first = unit.chars().next()?.to_ascii_uppercase();
    let unit = ["KiB", "MiB", "GiB", "TiB"].into_iter().find(|known| known.starts_with(first))?;
    Some(format!("did you mean \"{number}{unit}\"?"))
}

/// `30min`, `10 sec`: the unit is clear, its spelling is not.
fn duration_guess(text: &str) -> Option<String> {
    let (number, unit) = split_number(text)?;
    let first = unit.chars().next()?.to_ascii_lowercase();
    let milli = unit.to_ascii_lowercase().starts_with("mil");
    let unit = if milli { "ms" } else { ["s", "m", "h", "d"].into_iter().find(|known| known.starts_with(first))? };
    Some(format!("did you mean \"{number}{unit}\"?"))
}

fn split_number(text: &str) -> Option<(&str, &str)> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    (!number.is_empty()).then(|| (number, unit.trim()))
}

fn word(text: &str, words: &[&str]) -> Result<Value, Problem> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let meant = meant_family(text).filter(|meant| words.contains(meant));
    let help = match meant.or_else(|| nearest(text, words.iter().copied())) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write {}", either(words)),
    };
    Err(Problem::bad(format!("takes {}, not \"{text}\"", either(words)), "not one of them").help(help))
}

/// The family whose tools or distributions have this name.
fn meant_family(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "dpkg" | "apt" | "debian" | "ubuntu" => Some("deb"),
        "alpine" => Some("apk"),
        "dnf" | "yum" | "fedora" => Some("rpm"),
        _ => None,
    }
}

fn name(text: &str) -> Result<Value, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let good = !text.is_empty()
        && text.len() <= 128
        && text.chars().all(fits)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if good {
        return Ok(Value::Text(text.to_owned()));
    }
    let proposal: String = text.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    let proposal = proposal.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let help = (!proposal.is_empty() && text.len() <= 128).then(|| format!("write \"{proposal}\""));
    Err(Problem { code: "bad-name", ..Problem::bad(format!("takes {}", Kind::Name.what()), "not a name") }.maybe(help))
}

/// The parts of a path with `.` and empty ones gone and `..` resolved; how often `..` leads out comes first.
fn parts(text: &str) -> (usize, Vec<&str>) {
    let (mut above, mut parts) = (0, Vec::new());
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." if parts.pop().is_none() => above += 1,
            ".." => {}
            part => parts.push(part),
        }
    }
    (above, parts)
}

fn path_inside(text: &str) -> Result<Value, Problem> {
    let (_, list) = parts(text);
    let normal = format!("/{}", list.join("/"));
    let problem = |message: &str, label: &str| Problem { code: "bad-path", ..Problem::bad(message, label) };
    if text.is_empty() {
        return Err(problem("takes an absolute path, not an empty text", "empty"));
    }
    if !text.starts_with('/') {
        return Err(problem(
            "takes an absolute path: inside the appliance there is no current folder",
            "does not begin with `/`",
        )
        .help(format!("write \"{normal}\"")));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(problem("takes a path without `..`", "holds `..`").help(format!("write \"{normal}\"")));
    }
    if list.iter().any(|part| part.len() > 255) || normal.len() > 4095 {
        return Err(problem("takes a path that Linux can hold: at most 255 bytes a part, 4095 in all", "too long"));
    }
    Ok(Value::Text(normal))
}

/// A reference to an image; the path of a local one is seen from the spec's folder.
fn image(folder: &str, text: &str, allow_outside: bool) -> Result<Value, Problem> {
    // What is no reference is told where it is known that one is meant.
    let Ok(reference) = ImageReference::parse(text) else { return Ok(Value::Text(text.to_owned())) };
    match reference.local_path().map(str::to_owned) {
        None => Ok(Value::Text(reference.to_string())),
        Some(path) => match path_beside(folder, &path, allow_outside)? {
            Value::Text(path) => Ok(Value::Text(reference.with_local_path(&path).to_string())),
            other => Ok(other),
        },
    }
}

/// A path beside the spec, seen from the spec's folder; `folder` is where the file that writes it stands.
fn path_beside(folder: &str, text: &str, allow_outside: bool) -> Result<Value, Problem> {
    let problem = |code, message: &str, label: &str| Problem { code, ..Problem::bad(message, label) };
    if text.is_empty() || text.contains('\0') {
        return Err(problem("bad-path", "takes a path beside the spec", "not a path"));
    }
    let absolute = text.starts_with('/');
    let joined = if absolute { text.to_owned() } else { format!("{folder}/{text}") };
    let (above, list) = parts(&joined);
    if (absolute || above > 0) && !allow_outside {
        let label = if absolute { "an absolute path" } else { "leads out of the spec's folder" };
        return Err(problem("path-outside", "takes a path inside the spec's folder", label)
            .help("copy what is needed beside the spec, or allow it with `--allow-outside`"));
    }
    let body = format!("{}{}", "../".repeat(above), list.join("/"));
    let normal = if absolute { format!("/{}", list.join("/")) } else { body.trim_end_matches('/').to_owned() };
    Ok(Value::Text(if normal.is_empty() { ".".to_owned() } else { normal }))
}
