//! `appliance build`: a spec becomes a bundle.

use bundle::manifest::{Artifact, ArtifactKind};
use packages::{Lock, ScriptClass};
use serde_json::json;

use crate::build::{Built, build as build_spec};
use crate::cli::Build;
use crate::clock::show;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec_file::host_arch;
use crate::ui::{Ui, counted};

/// Builds a spec and says what came of it.
pub fn build(args: &Build, ui: &Ui) -> Result<Exit, Failure> {
    let built = build_spec(args, ui)?;
    let signed = args.secure_boot.secure_boot_key.is_some();
    if ui.json {
        let stages: Vec<_> = built
            .clock
            .stages()
            .iter()
            .map(|(name, time)| json!({ "name": name, "millis": time.as_millis() }))
            .collect();
        ui.json(&json!({
            "ok": true,
            "bundle": built.folder,
            "unchanged": built.unchanged,
            "manifest": built.manifest,
            "stages": stages,
        }));
    }
    if let Some(ledger) = ledger(&built.lock) {
        ui.detail(ledger);
    }
    tell(&built, signed, ui);
    if !built.unchanged && runs_here(&built) {
        ui.note(format!("run it with: appliance run {}", built.folder.display()));
    }
    if !signed && built.manifest.artifacts.iter().any(is_disk) {
        ui.detail("the disks are not signed for Secure Boot; --secure-boot-key and --secure-boot-cert sign them");
    }
    Ok(Exit::Success)
}

/// Whether this host can start what was built: some architecture of it is this host's.
fn runs_here(built: &Built) -> bool {
    host_arch().is_ok_and(|host| built.manifest.arch.iter().any(|arch| arch == host.name()))
}

/// Whether firmware starts it.
fn is_disk(artifact: &Artifact) -> bool {
    use ArtifactKind::{Ova, Qcow2, Raw, Vhdx, Vmdk};
    matches!(artifact.kind, Raw | Qcow2 | Vhdx | Vmdk | Ova)
}

/// Says what was built, where it is and how long it took; of disks that are not signed for Secure Boot it says so.
pub fn tell(built: &Built, signed: bool, ui: &Ui) {
    let folder = built.folder.display();
    if built.unchanged {
        ui.note(format!("{folder} is up to date ({})", show(built.clock.total())));
        return;
    }
    for artifact in &built.manifest.artifacts {
        ui.note(format!(
            "  {:16} {:>10}  blake3 {}{}",
            artifact.path,
            size(artifact.size_bytes),
            short(&artifact.blake3),
            if is_disk(artifact) && !signed { "  unsigned" } else { "" }
        ));
    }
    let stages: Vec<String> =
        built.clock.stages().iter().map(|(name, time)| format!("{name} {}", show(*time))).collect();
    ui.note(format!("built {folder} in {} ({})", show(built.clock.total()), stages.join(", ")));
    let ran =
        built.lock.roots.iter().flat_map(|root| &root.ledger).filter(|line| line.class == ScriptClass::Run).count();
    if ran > 0 {
        let scripts = counted(ran, "maintainer script", "maintainer scripts");
        ui.note(format!("{scripts} ran in the sandbox; -v shows which"));
    }
}

/// The ledger of maintainer scripts as a table; nothing where there are none.
fn ledger(lock: &Lock) -> Option<String> {
    let mut text = String::new();
    for root in lock.roots.iter().filter(|root| !root.ledger.is_empty()) {
        // What is done may differ between architectures, so each has its own table.
        let of_arch = if lock.roots.len() > 1 { format!(" for {}", root.arch.name()) } else { String::new() };
        let line = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{line}maintainer scripts{of_arch}:"));
        for line in &root.ledger {
            let reason = if line.reason.is_empty() { String::new() } else { format!(": {}", line.reason) };
            text.push_str(&format!("\n  {:10} {} {}{reason}", line.class.word(), line.package, line.script));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// A size for people, in binary units.
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}
