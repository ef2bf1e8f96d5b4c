//! System call filters: our table or a profile file becomes the OCI form, and that becomes programs for the kernel.
//!
//! Nothing is installed here.

use std::collections::BTreeSet;

use bundle::plan::Seccomp as Asked;
use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde_json::{Value, json};

use crate::oci::{Seccomp, SyscallArg, SyscallRule};

/// The table behind `seccomp "default"` and `seccomp "strict"`.
const TABLE: &str = include_str!("../data/seccomp.txt");

/// A profile larger than this is refused; those of container engines have some 30 KB.
const MAX_PROFILE_BYTES: usize = 1 << 20;

/// Error numbers of the Linux interface, the same on all architectures that this runs on.
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// The filter that is asked for, in the OCI form; `capabilities` are those that the container holds.
///
/// # Errors
/// Says what is wrong with a profile file.
pub fn profile(asked: &Asked, capabilities: &[String]) -> Result<Seccomp, String> {
    match asked {
        Asked::Default => Ok(table(capabilities, false)),
        Asked::Strict => Ok(table(capabilities, true)),
        Asked::Profile(text) => foreign_profile(text),
    }
}

/// A profile in the OCI form, as other programs write it.
pub fn foreign_profile(text: &str) -> Result<Seccomp, String> {
    if text.len() > MAX_PROFILE_BYTES {
        return Err(format!("the system call profile is larger than {MAX_PROFILE_BYTES} bytes"));
    }
    let profile: Seccomp =
        serde_json::from_str(text).map_err(|error| format!("the system call profile is malformed: {error}"))?;
    programs(&profile, TargetArch::x86_64)?;
    Ok(profile)
}

/// The programs for the kernel, in the order in which they are installed.
///
/// Each program knows two outcomes, so each further action of the profile is a program of its own; of
/// all answers the kernel takes the strictest, and of equally strict ones that of the last program.
pub fn programs(profile: &Seccomp, arch: TargetArch) -> Result<Vec<BpfProgram>, String> {
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let allow = json!("allow");
    let mut actions: Vec<Value> = Vec::new();
    for rule in &profile.syscalls {
        let one = action(&rule.action, rule.errno_ret)?;
        if one != allow && one != default && !actions.contains(&one) {
            actions.push(one);
        }
    }
    let names: BTreeSet<&str> = profile.syscalls.iter().flat_map(|rule| &rule.names).map(String::as_str).collect();
    let known = known(&names.into_iter().collect::<Vec<_>>(), arch);
    let mut programs = Vec::new();
    if default != allow {
        // Calls that another rule refuses pass here and are caught by that rule's own program.
        programs.push(program(profile, arch, &known, [&default, &allow], |one| *one != default)?);
    }
    for wanted in &actions {
        programs.push(program(profile, arch, &known, [&allow, wanted], |one| one == wanted)?);
    }
    Ok(programs)
}

/// This machine's architecture.
pub fn native_arch() -> Result<TargetArch, String> {
    TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| format!("no system call filter is known for {}", std::env::consts::ARCH))
}

fn program(
    profile: &Seccomp,
    arch: TargetArch,
    known: &BTreeSet<&str>,
    [otherwise, then]: [&Value; 2],
    wanted: impl Fn(&Value) -> bool,
) -> Result<BpfProgram, String> {
    let mut chosen = Vec::new();
    for rule in &profile.syscalls {
        if wanted(&action(&rule.action, rule.errno_ret)?) {
            chosen.push(rule);
        }
    }
    // The compiler would take a condition on a call as the only way to it, also beside a rule without one.
    let always: BTreeSet<&String> =
        chosen.iter().filter(|rule| rule.args.is_empty()).flat_map(|rule| &rule.names).collect();
    let mut rules: Vec<Value> =
        always.iter().filter(|name| known.contains(name.as_str())).map(|name| json!({ "syscall": name })).collect();
    for rule in chosen.iter().filter(|rule| !rule.args.is_empty()) {
        let conditions = rule.args.iter().map(condition).collect::<Result<Vec<Value>, String>>()?;
        for name in rule.names.iter().filter(|name| !always.contains(name) && known.contains(name.as_str())) {
            rules.push(json!({ "syscall": name, "args": conditions }));
        }
    }
    compile(&rules, arch, otherwise, then)
}

fn compile(rules: &[Value], arch: TargetArch, otherwise: &Value, then: &Value) -> Result<BpfProgram, String> {
    let text = json!({ "filter": { "mismatch_action": otherwise, "match_action": then, "filter": rules } }).to_string();
    let mut map = compile_from_json(text.as_bytes(), arch)
        .map_err(|error| format!("the system call filter cannot be compiled: {error}"))?;
    map.remove("filter").ok_or_else(|| "the system call filter is empty".to_owned())
}

/// Which of these calls the architecture has; a profile names those of all architectures.
///
/// The compiler builds its whole table of calls for every question, so all are asked about at once, and again without
/// the one that its answer names. One by one cost more than all else of a start together.
fn known<'n>(names: &[&'n str], arch: TargetArch) -> BTreeSet<&'n str> {
    let mut left = names.to_vec();
    loop {
        let rules: Vec<Value> = left.iter().map(|name| json!({ "syscall": name })).collect();
        let Err(problem) = compile(&rules, arch, &json!("allow"), &json!("trap")) else {
            return left.into_iter().collect();
        };
        let words: BTreeSet<&str> = problem.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let before = left.len();
        left.retain(|name| !words.contains(name));
        if left.len() + 1 != before {
            return known_by_halves(names, arch);
        }
    }
}

/// The same without a word from the compiler about what it does not know.
fn known_by_halves<'n>(names: &[&'n str], arch: TargetArch) -> BTreeSet<&'n str> {
    let rules: Vec<Value> = names.iter().map(|name| json!({ "syscall": name })).collect();
    if compile(&rules, arch, &json!("allow"), &json!("trap")).is_ok() {
        return names.iter().copied().collect();
    }
    match names.len() {
        0 | 1 => BTreeSet::new(),
        count => {
            let (some, others) = names.split_at(count / 2);
            known_by_halves(some, arch).into_iter().chain(known_by_halves(others, arch)).collect()
        }
    }
}

/// An action of the OCI form in the words of the compiler.
fn action(name: &str, errno: Option<u32>) -> Result<Value, String> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => json!("allow"),
        "SCMP_ACT_ERRNO" => json!({ "errno": errno.unwrap_or(EPERM) }),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_PROCESS" => json!("kill_process"),
        "SCMP_ACT_KILL_THREAD" => json!("kill_thread"),
        "SCMP_ACT_TRAP" => json!("trap"),
        "SCMP_ACT_LOG" => json!("log"),
        other => return Err(format!("the system call profile asks for {other}, which is not supported")),
    })
}

fn condition(arg: &SyscallArg) -> Result<Value, String> {
    let (op, val) = match arg.op.as_str() {
        "SCMP_CMP_EQ" => (json!("eq"), arg.value),
        "SCMP_CMP_NE" => (json!("ne"), arg.value),
        "SCMP_CMP_LT" => (json!("lt"), arg.value),
        "SCMP_CMP_LE" => (json!("le"), arg.value),
        "SCMP_CMP_GT" => (json!("gt"), arg.value),
        "SCMP_CMP_GE" => (json!("ge"), arg.value),
        "SCMP_CMP_MASKED_EQ" => (json!({ "masked_eq": arg.value }), arg.value_two),
        other => return Err(format!("the system call profile compares by {other}, which is not supported")),
    };
    // Arguments of 32 bits may have anything in their upper half.
    let width =
        if arg.value <= u64::from(u32::MAX) && arg.value_two <= u64::from(u32::MAX) { "dword" } else { "qword" };
    Ok(json!({ "index": arg.index, "type": width, "op": op, "val": val }))
}

/// Our table in the OCI form, for a container that holds these capabilities.
fn table(capabilities: &[String], strict: bool) -> Seccomp {
    let lines: Vec<Vec<&str>> = TABLE.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    let holds =
        |wanted: &str| capabilities.iter().any(|name| name.to_ascii_lowercase().trim_start_matches("cap_") == wanted);
    let denied: Vec<&str> =
        lines.iter().filter(|line| strict && line.first() == Some(&"strict-deny")).flatten().copied().collect();
    let left = |names: &[&str]| {
        names.iter().filter(|name| !denied.contains(name)).map(|name| (*name).to_owned()).collect::<Vec<String>>()
    };
    let mut syscalls = Vec::new();
    for line in &lines {
        let rule = match line.as_slice() {
            ["allow", names @ ..] => rule(left(names), "SCMP_ACT_ALLOW"),
            ["allow-with", capability, names @ ..] if holds(capability) => rule(left(names), "SCMP_ACT_ALLOW"),
            ["allow-if", name, arg @ ..] => SyscallRule { args: masked(arg), ..rule(left(&[name]), "SCMP_ACT_ALLOW") },
            ["deny-if", name, arg @ ..] => {
                SyscallRule { args: masked(arg), errno_ret: Some(ENOTTY), ..rule(left(&[name]), "SCMP_ACT_ERRNO") }
            }
            ["enosys", names @ ..] if !holds("sys_admin") => {
                SyscallRule { errno_ret: Some(ENOSYS), ..rule(left(names), "SCMP_ACT_ERRNO") }
            }
            _ => continue,
        };
        if !rule.names.is_empty() {
            syscalls.push(rule);
        }
    }
    Seccomp { default_action: "SCMP_ACT_ERRNO".to_owned(), default_errno_ret: Some(EPERM), syscalls }
}

/// What a program sees that asks a file for something only terminals do.
const ENOTTY: u32 = 25;

fn rule(names: Vec<String>, action: &str) -> SyscallRule {
    SyscallRule { names, action: action.to_owned(), errno_ret: None, args: Vec::new() }
}

/// `ARGUMENT MASK VALUE` of the table; the table is ours and a test reads all of it.
fn masked(words: &[&str]) -> Vec<SyscallArg> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap_or(u64::MAX),
        None => text.parse().unwrap_or(u64::MAX),
    };
    match words {
        [index, mask, value] => vec![SyscallArg {
            index: u8::try_from(number(index)).unwrap_or(u8::MAX),
            value: number(mask),
            value_two: number(value),
            op: "SCMP_CMP_MASKED_EQ".to_owned(),
        }],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compiles_everywhere() {
        for arch in [TargetArch::x86_64, TargetArch::aarch64] {
            for asked in [Asked::Default, Asked::Strict] {
                let profile = profile(&asked, &[]).unwrap();
                assert!(
                    programs(&profile, arch).unwrap().iter().all(|program| program.len() < 4096),
                    "too long for the kernel"
                );
            }
        }
    }

    #[test]
    fn what_an_architecture_lacks_is_found_either_way() {
        let names = ["accept", "mmap2", "name", "open", "read", "socketcall"];
        for (arch, expected) in
            [(TargetArch::x86_64, &["accept", "open", "read"][..]), (TargetArch::aarch64, &["accept", "read"])]
        {
            assert_eq!(known(&names, arch), expected.iter().copied().collect());
            assert_eq!(known_by_halves(&names, arch), expected.iter().copied().collect());
        }
    }

    #[test]
    fn every_line_of_the_table_is_understood() {
        for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let arity = match words[0] {
                "allow" | "enosys" | "strict-deny" => words.len() >= 2,
                "allow-with" => words.len() >= 3 && bundle::capability::number(words[1]).is_some(),
                "allow-if" | "deny-if" => {
                    words.len() == 5 && masked(&words[2..]).iter().all(|arg| arg.value_two <= arg.value)
                }
                _ => false,
            };
            assert!(arity, "{line}");
        }
    }

    #[test]
    fn strict_takes_away_what_default_allows() {
        let names = |strict| table(&[], strict).syscalls.into_iter().flat_map(|rule| rule.names).collect::<Vec<_>>();
        assert!(names(false).contains(&"ptrace".to_owned()));
        assert!(!names(true).contains(&"ptrace".to_owned()));
        assert!(!names(false).contains(&"mount".to_owned()));
    }

    #[test]
    fn a_capability_brings_its_calls() {
        let with = table(&["CAP_SYS_CHROOT".to_owned()], false);
        assert!(with.syscalls.iter().any(|rule| rule.names == ["chroot"]));
    }

    #[test]
    fn profiles_are_bounded_and_checked() {
        assert!(foreign_profile(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).is_err());
        assert!(foreign_profile("{").is_err());
        let rules = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","no_such_call"],"action":"SCMP_ACT_ERRNO"}]}"#;
        let programs = programs(&foreign_profile(rules).unwrap(), TargetArch::x86_64).unwrap();
        assert_eq!(programs.len(), 1);
    }
}
