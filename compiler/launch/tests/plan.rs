//! Specs and the plans that they lead to.

use std::collections::BTreeMap;

use bundle::plan::Plan;
use launch::{PlanError, plan};
use spec::appliance::Arch;
use spec::{Appliance, Source, World};

fn appliance(body: &str) -> Appliance {
    let text = format!("appliance \"box\" version=\"1.2\" {{\nbase \"debian\" release=\"bookworm\"\n{body}\n}}");
    let source = Source { name: "appliance.kdl".to_owned(), text };
    let spec = spec::parse(&source, &BTreeMap::new()).expect("the spec is KDL");
    let world = World { bases: &spec::builtin_bases(), host_arch: Arch::Amd64, allow_outside: false };
    spec::check(&spec, &world).unwrap_or_else(|found| panic!("{}", spec::plain(&found))).appliance
}

fn planned(body: &str) -> Plan {
    plan(&appliance(body), None).expect("there is a plan")
}

/// One part of a plan as JSON.
fn check<T: serde::Serialize>(body: &str, part: fn(Plan) -> T, expected: &str) {
    let found = serde_json::to_string(&part(planned(body))).expect("plans are plain data");
    assert_eq!(found, expected, "{body}");
}

#[test]
fn the_guest_is_what_runs() {
    let part =
        |plan: Plan| (plan.process.args, plan.process.env.get("PATH").cloned(), plan.process.env.get("A").cloned());
    let path = bundle::guest::DEFAULT_PATH;
    check("env A=\"1\"", part, &format!(r#"[["/usr/lib/appliance/guest"],"{path}","1"]"#));
    check("env PATH=\"/x\"", |plan| plan.process.env["PATH"].clone(), r#""/x""#);
    check("", |plan| (plan.name, plan.version, plan.schema), r#"["box","1.2",1]"#);
    check("hostname \"luna\"", |plan| plan.hostname, r#""luna""#);
}

#[test]
fn isolation_is_carried_over() {
    let body = "isolation \"auto\" {\nat-least \"vm\"\nroot \"read-only\"\nwritable \"/var/lib/x\"\n\
                capabilities \"net_bind_service\"\nseccomp \"strict\"\n}\nresources {\nscratch \"/work\" size=\"1MiB\"\n}";
    let expected = r#"{"at_least":"vm","capabilities":["net_bind_service"],"seccomp":"strict"}"#;
    check(body, |plan| plan.isolation, expected);
    let expected = r#"{"read_only":true,"writable":["/run","/tmp","/var/lib/x"],"scratch":[{"path":"/work","size_bytes":1048576}]}"#;
    check(body, |plan| plan.root, expected);
}

#[test]
fn network_and_open_are_carried_over() {
    let body = "network \"none\" {\nport 8080 name=\"ui\"\nport 22\n}\nopen \"page\" http=8080";
    let expected = r#"{"mode":"none","allow":[],"ports":[{"port":22},{"port":8080,"name":"ui"}]}"#;
    check(body, |plan| plan.network, expected);
    check(body, |plan| plan.open, r#"[{"name":"page","scheme":"http","port":8080}]"#);
}

#[test]
fn resources_are_carried_over() {
    let memory = |text: &str, expected: &str| {
        check(&format!("resources {{\n{text}\n}}"), |plan| plan.resources.memory, expected)
    };
    memory("memory \"2KiB\"", r#"{"bytes":2048,"min_bytes":2048,"max_bytes":2048}"#);
    memory("memory \"2KiB\" min=\"1KiB\" max=\"4KiB\"", r#"{"bytes":2048,"min_bytes":1024,"max_bytes":4096}"#);
    memory("pids 5", "null");
    let rest = |plan: Plan| (plan.resources.cpus_milli, plan.resources.pids, plan.resources.disk_bytes);
    check("resources {\ncpus 1.5\npids 5\ndisk \"1MiB\"\n}", rest, "[1500,5,1048576]");
    check(
        "volume \"models\" at=\"/models\" size=\"1MiB\"",
        |plan| plan.volumes,
        r#"[{"name":"models","at":"/models","size_bytes":1048576}]"#,
    );
    check("gpu \"optional\" vendor=\"nvidia\"", |plan| plan.gpu, r#"{"need":"optional","vendors":["nvidia"]}"#);
}

#[test]
fn what_is_in_another_volume_is_mounted_after_it() {
    let order = |plan: Plan| plan.volumes.into_iter().map(|volume| volume.name).collect::<Vec<_>>();
    let volume = |name: &str, at: &str| format!("volume \"{name}\" at=\"{at}\"\n");
    let body = [volume("in", "/data/deep/in"), volume("out", "/data"), volume("beside", "/beside")].concat();
    check(&body, order, r#"["out","beside","in"]"#);
}

#[test]
fn a_seccomp_profile_is_checked() {
    let appliance = appliance("isolation \"auto\" {\nseccomp \"deny.json\"\n}");
    let profile = |text: Option<&str>| {
        plan(&appliance, text).map(|plan| serde_json::to_string(&plan.isolation.seccomp).expect("plain data"))
    };
    let good = profile(Some(r#"{ "defaultAction": "SCMP_ACT_ALLOW" }"#));
    assert_eq!(good.expect("it is a profile"), r#"{"profile":"{\"defaultAction\":\"SCMP_ACT_ALLOW\"}"}"#);
    assert!(matches!(profile(None), Err(PlanError::MissingProfile { path }) if path == "deny.json"));
    assert!(matches!(profile(Some("no")), Err(PlanError::ProfileSyntax { .. })));
    assert!(matches!(profile(Some("[1]")), Err(PlanError::NotAProfile { .. })));
}
