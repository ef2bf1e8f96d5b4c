//! A lock as text: KDL, one line for each thing, sorted, so that a diff names exactly what moved.

use std::fmt::Write;

use tree::Digest;

use super::{
    AllocatedId, IdKind, LedgerLine, Lock, LockedBootBase, LockedIndex, LockedPackage, LockedRoot, ScriptClass,
};
use crate::date::format_utc;

/// The version of the text's form. A reader refuses every other.
pub(super) const FORMAT: u32 = 1;

const HEADER: &str =
    "// Exactly which bytes this appliance is made of. Written by `appliance`: commit it, do not edit it.\n";

/// The canonical text of a lock.
pub fn render(lock: &Lock) -> String {
    let mut out = String::from(HEADER);
    line(&mut out, 0, "lock", &[], &[("version", &FORMAT.to_string())]);
    line(&mut out, 0, "spec", &[&lock.spec.to_string()], &[]);
    let base = &lock.base;
    line(&mut out, 0, "base", &[&base.name], &[("release", &base.release), ("digest", &base.digest)]);
    line(&mut out, 0, "epoch", &[&format_utc(lock.epoch_secs)], &[]);
    for (name, version) in &lock.encoders {
        line(&mut out, 0, "encoder", &[name], &[("version", &version.to_string())]);
    }
    for (kind, text) in sorted(&lock.requests) {
        line(&mut out, 0, "request", &[kind, text], &[]);
    }
    sorted(&lock.indexes).into_iter().for_each(|index| render_index(&mut out, "index", index));
    if let Some(LockedBootBase { base, epoch_secs, indexes }) = &lock.boot_base {
        let epoch = format_utc(*epoch_secs);
        let properties = [("release", base.release.as_str()), ("epoch", &epoch), ("digest", &base.digest)];
        line(&mut out, 0, "boot-base", &[&base.name], &properties);
        sorted(indexes).into_iter().for_each(|index| render_index(&mut out, "boot-index", index));
    }
    let mut roots: Vec<&LockedRoot> = lock.roots.iter().collect();
    roots.sort_by_key(|root| root.arch);
    roots.into_iter().for_each(|root| render_root(&mut out, root));
    out
}

impl Lock {
    /// BLAKE3 over what was decided before anything was built: the lock without script ledgers, allocated ids and
    /// digests of fetched archives. Ids are derived from it, so it must not depend on them.
    pub fn core_digest(&self) -> Digest {
        let mut core = self.clone();
        core.boot_base = None;
        for root in &mut core.roots {
            root.ledger.clear();
            root.ids.clear();
            // Another kernel does not make another root.
            root.boot.clear();
            root.packages.iter_mut().for_each(|package| package.blake3 = None);
        }
        let mut hasher = blake3::Hasher::new_derive_key("appliance lock core 1");
        hasher.update(render(&core).as_bytes());
        Digest::from(hasher.finalize())
    }
}

fn render_index(out: &mut String, word: &str, index: &LockedIndex) {
    let LockedIndex { archive, suite, date_secs, sha256, key } = index;
    let (date, sha256) = (format_utc(*date_secs), sha256.to_string());
    let mut properties = vec![("key", key.as_str()), ("sha256", &sha256)];
    if *date_secs != 0 {
        properties.insert(0, ("date", &date));
    }
    line(out, 0, word, &[archive, suite], &properties);
}

fn render_root(out: &mut String, root: &LockedRoot) {
    let _ = writeln!(out, "root \"{}\" {{", root.arch.name());
    for (word, packages) in [("package", &root.packages), ("boot-package", &root.boot)] {
        let mut packages: Vec<&LockedPackage> = packages.iter().collect();
        packages.sort_by_key(|package| (&package.name, &package.arch));
        packages.into_iter().for_each(|package| render_package(out, word, package));
    }
    sorted(&root.ledger).into_iter().for_each(|entry| render_script(out, entry));
    sorted(&root.ids).into_iter().for_each(|id| render_id(out, id));
    out.push_str("}\n");
}

fn render_package(out: &mut String, word: &str, package: &LockedPackage) {
    let size = package.size_bytes.to_string();
    let digest = package.digest.to_string();
    let blake3 = package.blake3.map(|digest| digest.to_string());
    let mut properties = vec![
        ("arch", package.arch.as_str()),
        ("archive", &package.origin.archive),
        ("suite", &package.origin.suite),
        ("component", &package.origin.component),
        ("path", &package.path),
        ("size", &size),
        (package.digest.property(), &digest),
    ];
    properties.extend(blake3.as_deref().map(|digest| ("blake3", digest)));
    line(out, 1, word, &[&package.name, &package.version], &properties);
}

fn render_script(out: &mut String, entry: &LedgerLine) {
    let digest = entry.digest.to_string();
    let properties = [("class", entry.class.word()), ("reason", entry.reason.as_str()), ("blake3", &digest)];
    line(out, 1, "script", &[&entry.package, &entry.script], &properties);
}

fn render_id(out: &mut String, id: &AllocatedId) {
    line(out, 1, id.kind.word(), &[&id.name, &id.value], &[]);
}

fn sorted<T: Ord>(items: &[T]) -> Vec<&T> {
    let mut items: Vec<&T> = items.iter().collect();
    items.sort();
    items
}

/// One node on one line. All values are strings but those made of up to 18 digits, which are numbers.
fn line(out: &mut String, depth: usize, name: &str, arguments: &[&str], properties: &[(&str, &str)]) {
    out.push_str(&"    ".repeat(depth));
    out.push_str(name);
    for argument in arguments {
        out.push(' ');
        quote(out, argument);
    }
    for (name, value) in properties {
        let _ = write!(out, " {name}=");
        match is_number(name) {
            true => out.push_str(value),
            false => quote(out, value),
        }
    }
    out.push('\n');
}

/// Properties that are numbers in the text.
pub(super) fn is_number(property: &str) -> bool {
    matches!(property, "version" | "size")
}

/// A quoted string (KDL 2.0.0 section 3.13.1); whatever is not plain becomes an escape.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() || !is_plain(c) => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Characters that KDL does not allow as they are, or that end a line (KDL 2.0.0 sections 3.18 and 3.19), are not plain.
fn is_plain(c: char) -> bool {
    !matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl ScriptClass {
    /// Its word in the lock.
    pub fn word(self) -> &'static str {
        match self {
            Self::Emulated => "emulated",
            Self::Run => "run",
            Self::FirstBoot => "first-boot",
            Self::Refused => "refused",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Emulated, Self::Run, Self::FirstBoot, Self::Refused].into_iter().find(|class| class.word() == word)
    }
}

impl IdKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Uuid => "uuid",
        }
    }
}
