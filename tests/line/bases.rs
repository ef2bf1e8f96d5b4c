//! Bases that are no distribution: an empty root for a static program.

use crate::conformance::Ext4;
use crate::support::{self, skip};
use crate::world::World;

const SCRATCH: &str = r#"appliance "still" version="1" {
    base "scratch"
    arch "amd64"
    user "web" uid=1000 home="/srv"
    file "/bin/busybox" from="busybox" mode="0755"
    file "/srv/index.html" text="still\n" owner="web"
    service "web" user="web" {
        run "/bin/busybox" "httpd" "-f" "-p" "127.0.0.1:8080" "-h" "/srv"
    }
    output "oci" "ext4"
}
"#;

#[test]
fn an_empty_root_holds_what_the_spec_puts_there() {
    let world = World::new();
    world.spec_text(SCRATCH);
    std::fs::write(world.path("spec/busybox"), "a program\n").unwrap();
    let first = world.build();
    let lock = world.lock();
    assert!(lock.contains("base \"scratch\"") && lock.contains("epoch \"1970-01-01T00:00:00Z\""), "{lock}");
    assert!(!lock.contains("package "), "{lock}");
    world.run(&["build", "--locked", "--offline"]).succeeds();
    std::fs::remove_dir_all(world.path("spec/out")).unwrap();
    assert_eq!(world.build(), first);
    if let Some(disk) = Ext4::of(&world.path("spec/out/root.ext4")) {
        assert_eq!(disk.cat("/etc/passwd"), "root:*:0:0::/root:/bin/sh\nweb:!:1000:1000::/srv:/bin/sh\n");
        assert_eq!(disk.cat("/srv/index.html"), "still\n");
        assert!(disk.has("/usr/lib/appliance/guest") && !disk.has("/usr/bin"));
    }
}

#[test]
fn a_static_program_runs_in_an_empty_root() {
    let Some(program) = support::static_busybox() else {
        return skip("a_static_program_runs_in_an_empty_root", "there is no static busybox (package busybox-static)");
    };
    let Some(world) = World::new().with_guest("a_static_program_runs_in_an_empty_root") else { return };
    world.spec_text(SCRATCH.replace(" arch \"amd64\"\n", ""));
    std::fs::write(world.path("spec/busybox"), program).unwrap();
    world.build();
    let output = world.run(&["run", "out", "--", "/bin/busybox", "cat", "/srv/index.html"]);
    if output.code == Some(125) {
        return skip("a_static_program_runs_in_an_empty_root", output.stderr.trim());
    }
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "still\n"), "{}", output.text());
}
