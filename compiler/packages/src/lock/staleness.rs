//! Whether a lock still fits what is asked for, in words that name each change.

use std::collections::BTreeSet;

use spec::appliance::{PackageRequest, VersionRule};
use tree::Digest;

use crate::requests::init_word;
use crate::rules::sign;
use crate::{Lock, RequestedBase, RequestedRepository, Requests};

impl Requests {
    /// The requests as lines of kind and text, sorted, each once.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = BTreeSet::new();
        let mut line = |kind: &str, text: String| {
            lines.insert((kind.to_owned(), text));
        };
        line("appliance", self.appliance.clone());
        line("base", format!("{} {}", self.base, self.release));
        line("base-image", self.base_digest.clone());
        line("init", init_word(self.init).to_owned());
        line("required", if self.with_required { "yes" } else { "no" }.to_owned());
        self.arches.iter().for_each(|arch| line("arch", arch.name().to_owned()));
        self.packages.iter().for_each(|request| line("package", words(request)));
        self.base_packages.iter().for_each(|name| line("base-package", name.clone()));
        self.excluded.iter().for_each(|name| line("exclude", name.clone()));
        self.repositories.iter().for_each(|r| line("repository", repository_words(r)));
        self.boot.iter().for_each(|(arch, name)| line("boot-package", format!("{} {name}", arch.name())));
        if let Some(RequestedBase { name, release, digest }) = &self.boot_base {
            line("boot-base", format!("{name} {release}"));
            line("boot-base-image", digest.clone());
        }
        self.facts.iter().for_each(|(name, value)| line("fact", format!("{name} {value}")));
        lines.into_iter().collect()
    }

    /// BLAKE3 over the lines, each part preceded by its length so that no two requests run together.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("appliance lock requests 1");
        for part in self.lines().iter().flat_map(|(kind, text)| [kind, text]) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Digest::from(hasher.finalize())
    }
}

fn repository_words(repository: &RequestedRepository) -> String {
    let RequestedRepository { url, suite, components, tag } = repository;
    let tag = tag.as_ref().map(|tag| format!("@{tag}"));
    let parts = [url, suite].into_iter().chain(components).chain(&tag).filter(|part| !part.is_empty());
    parts.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn words(request: &PackageRequest) -> String {
    let rule = |rule: &VersionRule| format!(" {} {}", sign(rule.relation), rule.version);
    format!("{}{}", request.name, request.rule.as_ref().map(rule).unwrap_or_default())
}

impl Lock {
    /// What changed since the lock was made, one sentence each; empty when it is current.
    pub fn staleness(&self, requests: &Requests) -> Vec<String> {
        let now: BTreeSet<_> = requests.lines().into_iter().collect();
        let then: BTreeSet<_> = self.requests.iter().cloned().collect();
        let mut changes: Vec<String> = then.difference(&now).map(|(kind, text)| removed(kind, text)).collect();
        changes.extend(now.difference(&then).map(|(kind, text)| added(kind, text)));
        let unlocked = requests.arches.iter().filter(|arch| self.root(**arch).is_none());
        changes.extend(unlocked.map(|arch| format!("no packages are locked for {}", arch.name())));
        if changes.is_empty() && self.spec != requests.digest() {
            changes.push("the lock was changed by hand, or made by another version of this program".to_owned());
        }
        changes
    }
}

/// A base for people: an image by its reference alone, which says where it is.
fn base(text: &str) -> &str {
    text.strip_prefix("oci ").unwrap_or(text).trim_end()
}

/// The beginning of a digest, behind the name of its kind.
fn short(digest: &str) -> &str {
    let kind = digest.find(':').map_or(0, |at| at + 1);
    digest.get(..kind + 12).unwrap_or(digest)
}

fn removed(kind: &str, text: &str) -> String {
    match kind {
        "appliance" => format!("it was made for the appliance {text}"),
        "base" => format!("it was made for the base {}", base(text)),
        "base-image" => format!("it was made with the base image {}", short(text)),
        "boot-base" => format!("it was made with the kernel of the base {text}"),
        "boot-base-image" => format!("the kernel's base image was {}", short(text)),
        "required" => format!("it was made with required packages: {text}"),
        "init" => format!("it was made with the init {text}"),
        "fact" => format!("it was made with {text}"),
        _ => format!("{kind} removed: {text}"),
    }
}

fn added(kind: &str, text: &str) -> String {
    match kind {
        "appliance" => format!("the appliance is {text} now"),
        "base" => format!("the base is {} now", base(text)),
        "base-image" => format!("the base image is {} now", short(text)),
        "boot-base" => format!("the kernel is of the base {text} now"),
        "boot-base-image" => format!("the kernel's base image is {} now", short(text)),
        "required" => format!("required packages are asked for now: {text}"),
        "init" => format!("the init is {text} now"),
        "fact" => format!("{} now", text.replacen(' ', " is ", 1)),
        _ => format!("{kind} added: {text}"),
    }
}
