//! The distribution for WSL: what tar and gzip say of it, what tells Windows what to do with it, and its bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{skip, tool};
use crate::world::World;

const SPEC: &str = r#"
    hostname "toybox"
    packages "toy-links"
    file "/etc/resolv.conf" text="nameserver 192.0.2.1\n"
    network "none"
    output "wsl"
"#;

fn tar(file: &Path, args: &[&str]) -> String {
    let output = Command::new("tar").arg("-zf").arg(file).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_distribution_for_wsl_is_a_gzip_tar_with_its_two_files() {
    let test = "a_distribution_for_wsl_is_a_gzip_tar_with_its_two_files";
    let (Some(_), Some(_)) = (tool("tar"), tool("gzip")) else { return skip(test, "there is no tar or gzip") };
    let world = World::new();
    world.spec(SPEC);
    let artifacts = world.build();
    assert!(artifacts.contains("appliance.wsl "), "{artifacts}");
    let file = world.path("spec/out/appliance.wsl");
    let list = tar(&file, &["-t"]);
    for path in ["etc/wsl.conf", "etc/wsl-distribution.conf", "usr/lib/appliance/guest", "usr/lib/toy/second"] {
        assert!(list.lines().any(|line| line == path), "no {path} in\n{list}");
    }
    assert!(!list.contains("etc/resolv.conf"), "{list}");
    let configuration = tar(&file, &["-xO", "etc/wsl.conf"]);
    for line in [
        "command=\"/usr/lib/appliance/guest </dev/null >/run/appliance.log 2>&1 &\"",
        "hostname=toybox",
        "generateResolvConf=false",
        "[interop]\nenabled=false",
        "[automount]\nenabled=false",
    ] {
        assert!(configuration.contains(line), "{configuration}");
    }
    assert!(tar(&file, &["-xO", "etc/wsl-distribution.conf"]).contains("defaultName=toy\n"));

    let again = World::new();
    again.spec(SPEC);
    let status = again.command(&["build"]).env("TZ", "Asia/Tokyo").env("LC_ALL", "tr_TR.UTF-8").status().unwrap();
    assert!(status.success());
    assert_eq!(again.artifacts("spec/out"), artifacts);
}

#[test]
fn a_configuration_of_the_spec_stays() {
    let test = "a_configuration_of_the_spec_stays";
    let Some(_) = tool("tar") else { return skip(test, "there is no tar") };
    let world = World::new();
    world.spec("    file \"/etc/wsl.conf\" text=\"[boot]\\nsystemd=true\\n\"\n    output \"wsl\" \"oci\"");
    world.build();
    assert_eq!(tar(&world.path("spec/out/appliance.wsl"), &["-xO", "etc/wsl.conf"]), "[boot]\nsystemd=true\n");
    assert!(!fs::read(world.path("spec/out/oci/index.json")).unwrap().is_empty());
}
