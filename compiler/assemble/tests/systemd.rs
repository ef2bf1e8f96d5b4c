//! The units of an appliance: recorded as they are written, and read by systemd's own tool.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files and ask the reference tools"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use assemble::systemd::units;
use bundle::guest::{Probe, Ready, Restart, SCHEMA, Service, Settings, User};

fn settings() -> Settings {
    let service = |name: &str, after: &[&str], restart, ready: Option<Ready>, stop_grace_ms| Service {
        name: name.to_owned(),
        args: vec!["/bin/true".to_owned()],
        env: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
        user: User { name: "web".to_owned(), uid: 1000, gid: 1000, groups: vec![], home: "/srv".to_owned() },
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        restart,
        restart_delay_ms: 1000,
        ready,
        stop_grace_ms,
    };
    let ready = || Some(Ready { probe: Probe::Tcp("127.0.0.1:80".to_owned()), within_ms: 10_000 });
    Settings {
        schema: SCHEMA,
        hostname: "toy".to_owned(),
        env: BTreeMap::new(),
        services: vec![
            service("make.ready", &[], Restart::Never, None, 0),
            service("data", &["make.ready"], Restart::OnFailure, ready(), 10_000),
            service("web-page", &["make.ready", "data"], Restart::Always, ready(), 1_500),
        ],
        main: Some("web-page".to_owned()),
        tools: vec![],
        capabilities: vec![],
    }
}

#[test]
fn the_units_are_as_recorded() {
    let text: String = units(&settings())
        .into_iter()
        .map(|unit| format!("# {} for {}\n{}\n", unit.name, unit.wanted_by, unit.text))
        .collect();
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd.units");
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        fs::write(&record, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(record).unwrap(), "set UPDATE_SNAPSHOTS=1 to record it anew");
}

#[test]
fn systemd_reads_the_units_without_a_complaint() {
    let analyze = "/usr/bin/systemd-analyze";
    if !Path::new(analyze).exists() {
        eprintln!("SKIP systemd_reads_the_units_without_a_complaint: there is no systemd-analyze (package systemd)");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("units");
    fs::create_dir(&folder).unwrap();
    let units = units(&settings());
    let mut command = Command::new(analyze);
    command.args(["verify", "--recursive-errors=no", "--man=no"]);
    for unit in &units {
        // The tool wants the programs to be there.
        let text = unit.text.replace("=/usr/lib/appliance/guest ", "=/bin/true ");
        assert_eq!(text.matches("=/bin/true ").count(), if unit.name == "appliance.service" { 1 } else { 2 });
        fs::write(folder.join(&unit.name), text).unwrap();
        command.arg(folder.join(&unit.name));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}
