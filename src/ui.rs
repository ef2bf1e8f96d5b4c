//! All printing: diagnostics in frames on a terminal and in lines elsewhere, errors with their causes,
//! notes, and JSON where it was asked for. Results go to standard output, all else to standard error.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};
use serde_json::{Value, json};
use spec::{Diagnostic, Severity, Sources};

use crate::cli::{Color, Common};
use crate::failed_service::FailedService;
use crate::failure::Failure;

/// How this command speaks.
#[derive(Debug, Clone)]
pub struct Ui {
    /// Whether results and errors are JSON.
    pub json: bool,
    /// How much is said: 0 is normal.
    pub verbose: u8,
    quiet: bool,
    color: bool,
    terminal: bool,
}

/// A number with what it counts: `1 package`, `2 packages`.
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let word = if count == N::from(1) { one } else { many };
    format!("{count} {word}")
}

impl Ui {
    /// As the command line and the environment ask for.
    pub fn new(common: &Common) -> Self {
        let terminal = io::stderr().is_terminal();
        let color = match common.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { json: common.json, verbose: common.verbose, quiet: common.quiet, color, terminal }
    }

    /// Whether progress bars make sense.
    pub fn shows_progress(&self) -> bool {
        self.terminal && !self.quiet && !self.json
    }

    /// Prints a result.
    pub fn result(&self, text: &str) {
        // A closed pipe (`appliance explain | head`) is the reader's choice, not an error.
        let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    }

    /// Prints a result as JSON.
    pub fn json(&self, value: &Value) {
        self.result(&format!("{value:#}\n"));
    }

    /// Prints JSON beside a program's own output: on standard error, on one line.
    pub fn json_aside(&self, value: &Value) {
        eprintln!("{value}");
    }

    /// Tells a program what happens while another one runs, where JSON was asked for.
    pub fn event(&self, value: &Value) {
        if self.json {
            self.json_aside(value);
        }
    }

    /// Says what is being done or was done, unless quiet or JSON.
    pub fn note(&self, text: impl fmt::Display) {
        if !self.quiet && !self.json {
            eprintln!("{text}");
        }
    }

    /// Says something that matters even in quiet mode.
    pub fn warn(&self, text: impl fmt::Display) {
        if !self.json {
            eprintln!("{}: {text}", self.paint("33;1", "warning"));
        }
    }

    /// Says something that only `-v` asks for.
    pub fn detail(&self, text: impl fmt::Display) {
        if self.verbose > 0 {
            self.note(text);
        }
    }

    /// Prints diagnostics, also in quiet mode: graphical on a terminal, else one line each.
    pub fn diagnostics(&self, found: &[Diagnostic], sources: &Sources) {
        if self.json {
            return;
        }
        if !self.terminal {
            eprint!("{}", spec::plain(found));
            return;
        }
        let theme = if self.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme);
        for diagnostic in found {
            let mut text = String::new();
            match handler.render_report(&mut text, &Framed::new(diagnostic, sources)) {
                Ok(()) => eprint!("{text}"),
                Err(fmt::Error) => eprint!("{}", spec::plain(std::slice::from_ref(diagnostic))),
            }
        }
    }

    /// Prints why a command ended early.
    pub fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Spec { found, .. } if self.json => {
                self.json(&json!({ "ok": false, "exit": failure.exit().code(), "diagnostics": found }));
            }
            Failure::Spec { found, sources, .. } => {
                self.diagnostics(found, sources);
                let count = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
                eprintln!("{}", counted(count, "error", "errors"));
            }
            Failure::World { help, .. } if self.json => {
                self.json(
                    &json!({ "ok": false, "exit": failure.exit().code(), "error": failure.texts(), "help": help }),
                );
            }
            Failure::World { help, .. } => {
                let texts = failure.texts();
                eprintln!("{}: failed to {}", self.paint("31;1", "error"), texts.first().map_or("", String::as_str));
                for cause in texts.iter().skip(1) {
                    eprintln!("  because: {cause}");
                }
                if let Some(help) = help {
                    eprintln!("  {}: {help}", self.paint("36", "help"));
                }
            }
        }
    }

    /// Prints which service ended a run, its last words, and what to do about it.
    pub fn failed_service(&self, failed: &FailedService, help: &str) {
        if self.json {
            return;
        }
        eprintln!("{}: {}", self.paint("31;1", "error"), failed.what());
        if !failed.lines.is_empty() {
            eprintln!("  its last words:");
            failed.lines.iter().for_each(|line| eprintln!("    {line}"));
        }
        eprintln!("  {}: {help}", self.paint("36", "help"));
    }

    /// Text in a colour, where colours are used. `code` is the number of an SGR sequence (ECMA-48, 8.3.117).
    pub fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A diagnostic as the frame drawer sees it: one text, its labels, and places in other texts as further reports.
#[derive(Debug)]
struct Framed {
    message: String,
    code: &'static str,
    severity: Severity,
    help: Option<String>,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Framed>,
}

impl Framed {
    fn new(diagnostic: &Diagnostic, sources: &Sources) -> Self {
        let main = diagnostic.labels.first().map(|label| label.source.clone()).unwrap_or_default();
        let (here, there): (Vec<_>, Vec<_>) = diagnostic.labels.iter().partition(|label| label.source == main);
        let spans = here.iter().map(|label| {
            LabeledSpan::new_with_span(Some(label.text.clone()), SourceSpan::from((label.span.offset, label.span.len)))
        });
        let elsewhere = there.into_iter().map(|label| {
            let alone = Diagnostic {
                message: label.text.clone(),
                labels: vec![label.clone()],
                help: None,
                ..diagnostic.clone()
            };
            Self::new(&alone, sources)
        });
        Self {
            message: diagnostic.message.clone(),
            code: diagnostic.code,
            severity: diagnostic.severity,
            help: diagnostic.help.clone(),
            source: sources.text(&main).map(|text| NamedSource::new(&main, text.to_owned())),
            labels: spans.collect(),
            elsewhere: elsewhere.collect(),
        }
    }
}

impl fmt::Display for Framed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Framed {}

impl miette::Diagnostic for Framed {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        if self.elsewhere.is_empty() {
            return None;
        }
        Some(Box::new(self.elsewhere.iter().map(|framed| framed as &dyn miette::Diagnostic)))
    }
}
