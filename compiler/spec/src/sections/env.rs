//! The environment of every service and command.

use std::collections::BTreeMap;

use super::Body;
use crate::appliance::Appliance;
use crate::base::BaseImage;
use crate::explain::{Page, quoted};
use crate::item::{Item, Prop};
use crate::report::Report;
use crate::source::Place;
use crate::table::{NodeRule, Occurs};

/// `env`, in the appliance and in a service.
pub(crate) const ENV: NodeRule = NodeRule {
    name: "env",
    doc: "Environment variables, as many as are needed on a line. Values are taken as they stand: nothing is expanded. A service's own come on top of the appliance's.",
    free: Some("the value of the variable"),
    occurs: Occurs::Many,
    example: "env LANG=\"C.UTF-8\"",
    ..NodeRule::EMPTY
};

/// The appliance's environment, the base's below it.
pub(crate) fn decode_with_base(
    body: Body<'_>,
    image: Option<&BaseImage>,
    report: &mut Report<'_>,
) -> BTreeMap<String, String> {
    let mut env = image.map(|image| image.env.clone()).unwrap_or_default();
    env.extend(decode(body.all("env"), report));
    env
}

/// The variables of `env` nodes.
pub(crate) fn decode<'a>(items: impl Iterator<Item = &'a Item>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut seen: BTreeMap<&str, &Prop> = BTreeMap::new();
    let mut env = BTreeMap::new();
    for item in items {
        if item.props.is_empty() {
            let error = report.error("missing-property", item.place, "`env` names no variable", "nothing behind this");
            error.help("write env NAME=\"value\"");
        }
        for prop in &item.props {
            let Some(value) = prop.value.text() else { continue };
            refuse_bad_name(prop, report);
            warn_of_references(prop, value, report);
            match seen.get(prop.name.as_str()) {
                Some(first) if first.value.value == prop.value.value && first.place.source != prop.place.source => {}
                Some(first) => refuse_second(first, prop, report),
                None => {
                    seen.insert(&prop.name, prop);
                    env.insert(prop.name.clone(), value.to_owned());
                }
            }
        }
    }
    env
}

/// Prints the appliance's environment.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    explain_env(&appliance.env, "the base image", page);
}

/// Prints an environment, one variable a line.
pub(crate) fn explain_env(env: &BTreeMap<String, String>, default: &str, page: &mut Page<'_>) {
    for (name, value) in env {
        page.node("env", &format!("env.{name}"), default).only_prop(name, value).end();
    }
}

fn refuse_bad_name(prop: &Prop, report: &mut Report<'_>) {
    let name = &prop.name;
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good {
        let error =
            report.error("bad-name", prop.place, format!("\"{name}\" cannot be the name of a variable"), "not a name");
        error.help("letters, digits and `_`, not beginning with a digit");
    }
}

/// Nothing is expanded in a value, so what looks like another variable's name in it is most likely a slip.
fn warn_of_references(prop: &Prop, value: &str, report: &mut Report<'_>) {
    // A shell expands these itself, each time it prompts.
    if prop.name.starts_with("PS") || prop.name.starts_with("PROMPT") {
        return;
    }
    let Some(reference) = reference_in(value) else { return };
    let message = format!("`{reference}` in `{}` is taken as it stands: nothing is expanded", prop.name);
    report
        .warning("not-expanded", prop.value.place, message, "these characters themselves")
        .help("write the value itself; to expand it at start, run a shell: run \"/bin/sh\" \"-c\" \"…\"");
}

/// Words that mean something to a shell alone.
const SHELL_WORDS: [&str; 10] = ["&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>&1"];

/// Programs that understand them.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"];

/// Whether a text, of several words, is meant for a shell.
pub(crate) fn is_for_shell(text: &str) -> bool {
    let signs = ['$', '`', '|', ';', '<', '>', '*', '~', '"', '\'', '\n'];
    text.contains(signs) || text.split_whitespace().any(|word| SHELL_WORDS.contains(&word))
}

/// How a text is handed to a shell, in the words of a spec.
pub(crate) fn run_by_shell(text: &str) -> String {
    format!("run \"/bin/sh\" \"-c\" {}", quoted(text))
}

/// The same slip in the words of a program that is started without a shell.
pub(crate) fn warn_of_shell_words(run: &Item, report: &mut Report<'_>) {
    let words: Vec<(&str, Place)> = run.texts_from(0).collect();
    if words.iter().any(|(word, _)| SHELLS.contains(&word.rsplit('/').next().unwrap_or_default())) {
        return;
    }
    let sign = |word: &&str| SHELL_WORDS.contains(word);
    let meant = words.iter().find_map(|(word, place)| {
        let found = Some(*word).filter(|word| sign(word)).or_else(|| reference_in(word))?;
        Some((found, *place))
    });
    let Some((found, place)) = meant else { return };
    let is_plain = |word: &str| !word.is_empty() && !word.contains([' ', '\t', '\n', '"', '\'', '`', '\\', '*', '(']);
    let help = match words.iter().all(|(word, _)| is_plain(word)) {
        true => format!("write {}", run_by_shell(&words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" "))),
        false => "to have it understood, run a shell: run \"/bin/sh\" \"-c\" \"…\"".to_owned(),
    };
    let message = format!("`{found}` is handed to the program as it stands: there is no shell that understands it");
    report.warning("not-expanded", place, message, "these characters themselves").help(help);
}

/// The first `${NAME}` or `$NAME` in a text, the name in capitals as variables have it.
fn reference_in(text: &str) -> Option<&str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let end_of_name = |rest: &str| rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    text.match_indices('$').filter(|(at, _)| !text[..*at].ends_with(['\\', '$'])).find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let (name, frame) = match rest.strip_prefix('{') {
            Some(inner) => (&inner[..inner.find('}')?], 2),
            None => (&rest[..end_of_name(rest)], 0),
        };
        let good = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && (frame == 2 || name.len() > 1)
            && name.chars().all(|c| is_name(c) || (frame == 2 && c.is_ascii_lowercase()));
        good.then(|| &text[at..at + 1 + frame + name.len()])
    })
}

fn refuse_second(first: &Prop, second: &Prop, report: &mut Report<'_>) {
    let name = &second.name;
    let two_files = first.place.source != second.place.source;
    let (code, message) = match two_files {
        true => ("conflict", format!("`{name}` is set differently in two files")),
        false => ("repeated-property", format!("`{name}` is set twice")),
    };
    report
        .error(code, second.place, message, "set again here")
        .also(first.place, "first set here")
        .help("keep one of the two");
}

#[cfg(test)]
mod tests {
    use super::reference_in;

    #[test]
    fn what_looks_like_a_variable() {
        for (text, want) in [
            ("${FOO}", Some("${FOO}")),
            ("$HOME/bin:/bin", Some("$HOME")),
            ("a ${Name1} b", Some("${Name1}")),
            ("pa$word", None),
            ("pa$Word", None),
            ("5$", None),
            ("$5", None),
            ("a$B", None),
            ("\\$HOME", None),
            ("$$HOME", None),
            ("${", None),
            ("${}", None),
            ("${a:-b}", None),
            ("$host", None),
        ] {
            assert_eq!(reference_in(text), want, "{text}");
        }
    }
}
