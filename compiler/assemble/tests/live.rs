//! Debian's own packages: every script of the minimal set and of common programs is emulated, and dpkg and apt agree.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may read files and ask the reference tools"
)]

mod support;

use std::path::Path;
use std::process::Command;

use assemble::{ScriptPolicy, ScriptRequest, ScriptRun, ScriptRunError, ScriptRunner};
use packages::ScriptClass;

const NAMES: [&str; 7] = ["python3", "nodejs", "busybox-static", "nginx-light", "ca-certificates", "curl", "dbus"];

/// Says that every script succeeded and changed nothing, so that one run shows all that is not emulated.
struct Pretend;

impl ScriptRunner for Pretend {
    fn run(&mut self, _: &ScriptRequest<'_>) -> Result<ScriptRun, ScriptRunError> {
        Ok(ScriptRun::default())
    }
}

#[test]
fn every_script_is_emulated_and_dpkg_agrees() {
    let packages = match support::debs(&NAMES) {
        Ok(packages) => packages,
        Err(reason) => return support::skip("every_script_is_emulated_and_dpkg_agrees", &reason),
    };
    let mut reversed = packages.clone();
    reversed.reverse();
    let built = support::build("", packages, ScriptPolicy::Auto, Some(&mut Pretend))
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    let lines: Vec<String> = built
        .ledger
        .iter()
        .filter(|line| line.class == ScriptClass::Run)
        .map(|line| format!("{} {}: {}", line.package, line.script, line.reason))
        .collect();
    if let Some(folder) = std::env::var_os("APPLIANCE_TEST_KEEP") {
        let ledger: String = built.ledger.iter().map(|line| format!("{line:?}\n")).collect();
        std::fs::write(Path::new(&folder).with_extension("ledger"), ledger).unwrap();
        std::fs::write(Path::new(&folder).with_extension("dump"), tree::dump(&built.tree)).unwrap();
        support::materialise(&built.tree, Path::new(&folder));
    }
    assert!(lines.is_empty(), "{} scripts are not emulated:\n{}", lines.len(), lines.join("\n"));
    let again = support::build("", reversed, ScriptPolicy::EmulateOnly, None).unwrap();
    assert!(tree::dump(&again.tree) == tree::dump(&built.tree), "the order in which packages are given matters");
    assert_eq!(again.ledger, built.ledger);
    chroot_checks(&built.tree);
}

/// dpkg's own view of the tree, where a chroot is allowed.
fn chroot_checks(tree: &tree::Tree) {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    if !Command::new("chroot").args(["/", "true"]).status().is_ok_and(|status| status.success()) {
        return support::skip("dpkg's view of the tree", "chroot needs root");
    }
    support::materialise(tree, root.path());
    for check in ["dpkg --verify", "dpkg --audit"] {
        let out = Command::new("chroot").arg(root.path()).args(check.split(' ')).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success() && said.is_empty(), "{check}: {said}");
    }
    let out = Command::new("chroot").arg(root.path()).args(["dpkg", "-l"]).output().unwrap();
    let odd = String::from_utf8_lossy(&out.stdout).lines().skip(5).filter(|line| !line.starts_with("ii ")).count();
    assert_eq!(odd, 0, "{}", String::from_utf8_lossy(&out.stdout));
}
