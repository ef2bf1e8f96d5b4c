//! What a user is told of scripts that stand in the way of roots: those of every architecture at once, and what to do.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use assemble::{BlockedScript, ScriptRunError};
use spec::appliance::Arch;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec_file::host_arch;

/// The scripts that stand in the way of one root.
pub struct Blocked {
    /// The architecture of the root.
    pub arch: Arch,
    /// Each of them, in the order in which they are met.
    pub scripts: Vec<BlockedScript>,
    /// Why none can be run here, where they may be run.
    pub problem: Option<ScriptRunError>,
}

/// The packages that have qemu's user mode emulator, linked statically.
const EMULATOR: &str =
    "the package qemu-user-static, on Debian 13 and later qemu-user, has qemu's user mode emulator, linked statically";

/// One error for all of them; of several architectures, or of another one than this host's, it says which.
pub fn failure(all: &[Blocked], of_several: bool) -> Failure {
    let is_foreign = |one: &Blocked| host_arch().is_ok_and(|host| host != one.arch);
    let foreign: Vec<&str> = all.iter().filter(|one| is_foreign(one)).map(|one| one.arch.name()).collect();
    let help = help(all.iter().all(|one| one.problem.is_none()), &foreign.join(" or "));
    let error = Listed { lines: lines(all), cause: cause(problems(all)) };
    let names: Vec<&str> = all.iter().map(|one| one.arch.name()).collect();
    let doing = match names.as_slice() {
        [one] if of_several || !foreign.is_empty() => format!("assemble the root for {one}"),
        [_] => return with_help(Failure::new(Exit::Build, error), help),
        many => format!("assemble the roots for {}", many.join(" and ")),
    };
    with_help(Failure::doing(Exit::Build, doing, error), help)
}

fn with_help(failure: Failure, help: Option<String>) -> Failure {
    help.into_iter().fold(failure, Failure::help)
}

/// What to do, where scripts may be run, and where `foreign` names architectures that this host is not of.
fn help(only_emulated: bool, foreign: &str) -> Option<String> {
    let auto =
        only_emulated.then(|| "--scripts auto runs such a script in a sandbox and takes up what it changed".to_owned());
    let emulator = (!foreign.is_empty()).then(|| {
        let first = if only_emulated { format!("for {foreign} that takes") } else { format!("for {foreign} install") };
        format!(
            "{first} an emulator and Linux 6.7 or newer: {EMULATOR}; or build on a machine of {foreign}, or leave these \
             packages out"
        )
    });
    match (auto, emulator) {
        (Some(auto), Some(emulator)) => Some(format!("{auto}; {emulator}")),
        (one, other) => one.or(other),
    }
}

/// One line for each script, with the architectures that it stands in the way of where there are several.
fn lines(all: &[Blocked]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let mut arches: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for one in all {
        for script in &one.scripts {
            let text = format!("{} of package {}: {}", script.script, script.package, script.why);
            let known = arches.entry(text.clone()).or_default();
            if known.is_empty() {
                order.push(text);
            }
            if !known.contains(&one.arch.name()) {
                known.push(one.arch.name());
            }
        }
    }
    if all.len() == 1 {
        return order;
    }
    let label = |text: &String| arches.get(text).map(|names| names.join(" and ")).unwrap_or_default();
    order.iter().map(|text| format!("{}: {text}", label(text))).collect()
}

/// Why scripts are not run here, each reason once, with its architectures where there are several.
fn problems(all: &[Blocked]) -> Vec<String> {
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for (one, problem) in all.iter().filter_map(|one| Some((one, one.problem.as_ref()?))) {
        let text = in_one_line(problem);
        match told.iter_mut().find(|(known, _)| *known == text) {
            Some((_, names)) => names.push(one.arch.name()),
            None => told.push((text, vec![one.arch.name()])),
        }
    }
    let is_one = all.len() == 1;
    told.into_iter()
        .map(|(text, names)| if is_one { text } else { format!("{}: {text}", names.join(" and ")) })
        .collect()
}

/// An error with its causes.
fn in_one_line(error: &ScriptRunError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

/// The scripts, with why none of them runs behind it.
#[derive(Debug)]
struct Listed {
    lines: Vec<String>,
    cause: Option<Box<Cause>>,
}

/// One reason, and the next.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Cause {
    text: String,
    #[source]
    next: Option<Box<Cause>>,
}

/// Reasons one behind the other.
fn cause(problems: Vec<String>) -> Option<Box<Cause>> {
    problems.into_iter().rev().fold(None, |next, text| Some(Box::new(Cause { text, next })))
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines.as_slice() {
            [one] => write!(f, "emulate {one}"),
            many => write!(f, "emulate {} maintainer scripts:\n    {}", many.len(), many.join("\n    ")),
        }
    }
}

impl Error for Listed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(arch: Arch, scripts: &[(&str, &str)], problem: Option<&str>) -> Blocked {
        let one = |(package, why): &(&str, &str)| BlockedScript {
            package: (*package).to_owned(),
            script: "postinst".to_owned(),
            why: (*why).to_owned(),
        };
        let problem = problem.map(|what| ScriptRunError { what: what.to_owned(), source: None });
        Blocked { arch, scripts: scripts.iter().map(one).collect(), problem }
    }

    fn told(all: &[Blocked]) -> String {
        let error = Listed { lines: lines(all), cause: cause(problems(all)) };
        let (mut text, mut next) = (error.to_string(), error.source());
        while let Some(cause) = next {
            text.push_str(&format!("\nbecause {cause}"));
            next = cause.source();
        }
        text
    }

    #[test]
    fn scripts_of_every_architecture_are_named() {
        let both = ("libc", "line 1: odd");
        let amd64 = blocked(Arch::Amd64, &[both, ("grub", "line 2: efi")], None);
        let arm64 = blocked(Arch::Arm64, &[both], Some("no emulator"));
        assert_eq!(
            told(&[amd64, arm64]),
            "emulate 2 maintainer scripts:\n    amd64 and arm64: postinst of package libc: line 1: odd\n    \
             amd64: postinst of package grub: line 2: efi\nbecause arm64: run a script in the sandbox: no emulator"
        );
        let one = blocked(Arch::Arm64, &[both], Some("no emulator"));
        assert_eq!(
            told(&[one]),
            "emulate postinst of package libc: line 1: odd\nbecause run a script in the sandbox: no emulator"
        );
    }

    #[test]
    fn the_help_names_the_package_that_has_the_emulator() {
        let (sandbox, emulator) = ("--scripts auto", "qemu-user");
        let is = |help: Option<String>, words: &[&str]| {
            let help = help.unwrap_or_default();
            let found = [sandbox, emulator].into_iter().filter(|word| help.contains(word)).collect::<Vec<_>>();
            assert_eq!(found, words, "{help}");
        };
        is(help(true, ""), &[sandbox]);
        is(help(true, "arm64"), &[sandbox, emulator]);
        is(help(false, "arm64"), &[emulator]);
        is(help(false, ""), &[]);
    }
}
