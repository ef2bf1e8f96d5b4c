//! `pam-auth-update` (pam-auth-update(8)): the common PAM stacks from the profiles that packages ship, defaults only.

use std::collections::BTreeMap;

use super::{Call, Unknown};

const PROFILES: &str = "/usr/share/pam-configs";
const STATE: &str = "/var/lib/pam";
const STACKS: [&str; 5] = ["account", "auth", "password", "session", "session-noninteractive"];

/// One profile: its fields by name, blocks of lines joined with newlines.
struct Profile {
    name: String,
    fields: BTreeMap<String, String>,
}

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut args = call.args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--package" | "--force" => {}
            "--root" => {
                if args.next().is_none_or(|root| !root.is_empty() && root != "/") {
                    return call.unknown_option(arg);
                }
            }
            _ => return call.unknown_option(arg),
        }
    }
    let mut profiles = Vec::new();
    for name in call.files.names_in(PROFILES) {
        let text = call.files.read_text(format!("{PROFILES}/{name}"))?;
        profiles.push(Profile { name, fields: fields(&text) });
    }
    profiles.sort_by(|a, b| b.priority().cmp(&a.priority()).then_with(|| a.name.cmp(&b.name)));
    let seen: String = profiles.iter().map(|profile| format!("{}\n", profile.name)).collect();
    call.files.write(format!("{STATE}/seen"), 0o644, seen)?;
    profiles.retain(|profile| profile.field("Default") == "yes");
    for stack in STACKS {
        write_stack(call, stack, &profiles)?;
    }
    Ok(0)
}

impl Profile {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn priority(&self) -> i64 {
        self.field("Priority").parse().unwrap_or(0)
    }
}

fn write_stack(call: &mut Call<'_, '_>, stack: &str, profiles: &[Profile]) -> Result<(), Unknown> {
    let kind = stack.trim_end_matches("-noninteractive");
    let field = format!("{}{}", kind[..1].to_uppercase(), &kind[1..]);
    let used =
        |profile: &&Profile| !(stack == "session-noninteractive" && profile.field("Session-Interactive-Only") == "yes");
    let lines = |block: &str| -> Vec<(String, Vec<String>)> {
        let of_block = profiles.iter().filter(used).filter(|profile| profile.field(&format!("{field}-Type")) == block);
        let mut found = Vec::new();
        for (at, profile) in of_block.enumerate() {
            let first = profile.field(&format!("{field}-Initial"));
            let text = if at == 0 && !first.is_empty() { first } else { profile.field(&field) };
            found.push((
                profile.name.clone(),
                text.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect(),
            ));
        }
        found
    };
    let mut primary = lines("Primary");
    let additional = lines("Additional");
    if primary.is_empty() {
        primary.push(("null".to_owned(), vec!["[default=1]\t\t\tpam_permit.so".to_owned()]));
    }
    let state = |(name, lines): &(String, Vec<String>)| {
        format!("Module: {name}\n{}", lines.iter().map(|line| format!("{line}\n")).collect::<String>())
    };
    call.files.write(
        format!("{STATE}/{stack}"),
        0o644,
        primary.iter().chain(&additional).map(state).collect::<String>(),
    )?;
    let template = call.files.read_text(format!("/usr/share/pam/common-{stack}"))?;
    let name = stack.replace('-', "_");
    let mut out = String::new();
    for line in template.lines() {
        match line {
            line if line == format!("${name}_primary")
                || line == format!("${kind}_primary")
                || line == format!("${}_nonint_primary", kind) =>
            {
                out.push_str(&block(kind, &primary))
            }
            line if line == format!("${name}_additional")
                || line == format!("${kind}_additional")
                || line == format!("${}_nonint_additional", kind) =>
            {
                out.push_str(&block(kind, &additional))
            }
            line if line.starts_with('$') => return call.unknown(&format!("the template has {line}")),
            line => out.push_str(&format!("{line}\n")),
        }
    }
    call.files.write(format!("/etc/pam.d/common-{stack}"), 0o644, out)?;
    Ok(())
}

/// The lines of a block; `end` in a jump becomes the number of modules up to the end of the block.
fn block(kind: &str, profiles: &[(String, Vec<String>)]) -> String {
    let all: Vec<&String> = profiles.iter().flat_map(|(_, lines)| lines).collect();
    let count = all.len();
    all.iter().enumerate().map(|(at, line)| format!("{kind}\t{}\n", written(line, count - at))).collect()
}

/// The tool writes `control<TAB>module arguments`, with a space after a module without arguments.
fn written(line: &str, left: usize) -> String {
    let line = line.replace("=end", &format!("={left}"));
    match line.rsplit_once('\t') {
        Some((_, module)) if !module.contains(' ') && !line.contains("\t\t") => format!("{line} "),
        _ => line,
    }
}

/// The fields of a profile; a field without a value has the indented lines that follow, without their indentation.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if line.starts_with(['\t', ' ']) {
            let value = fields.entry(last.clone()).or_default();
            value.push_str(line.trim_start());
            value.push('\n');
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_owned();
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    fields
}
