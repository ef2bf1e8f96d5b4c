//! Roots that bring no kernel, booted with another base's: an empty one with a static program, and an image.

use std::fs;

use bundle::channel::{Event, Request, Response};

use crate::kernel;
use crate::layout::Image;
use crate::microvm::Toy;
use crate::support::{skip, static_busybox, tool};
use crate::world::World;

/// A root that is no distribution, with one program.
fn spec(base: &str) -> String {
    format!(
        r#"appliance "still" version="1" {{
    base {base}
    arch "amd64"
    user "web" uid=1000 home="/srv"
    file "/bin/busybox" from="busybox" mode="0755"
    file "/srv/index.html" text="<h1>still</h1>\n" owner="web"
    service "web" user="web" {{
        run "/bin/busybox" "httpd" "-f" "-p" "127.0.0.1:8080" "-h" "/srv"
        ready http="http://127.0.0.1:8080/" within="120s"
    }}
    network "none" {{ port 8080; }}
    kernel "linux-image-real" base="other"
    output "microvm"
}}
"#
    )
}

fn boots(test: &str, base: &str) {
    let Some(qemu) = tool("qemu-system-x86_64") else {
        return skip(test, "there is no qemu-system-x86_64 (package qemu-system-x86)");
    };
    let Some(busybox) = static_busybox().filter(|_| cfg!(target_arch = "x86_64")) else {
        return skip(test, "there is no static busybox of amd64 (package busybox-static)");
    };
    if let Err(reason) = kernel::debian() {
        return skip(test, &format!("there is no Debian kernel: {reason}"));
    }
    let Some(world) = World::of(&[]).with_kernels(&[kernel::package()]).with_guest(test) else { return };
    fs::write(world.path("spec/busybox"), busybox).unwrap();
    Image::good().write(&world.path("spec/image"));
    world.spec_text(spec(base));
    world.build();
    let lock = world.lock();
    assert!(lock.contains("boot-base \"other\"") && lock.contains("    boot-package \"linux-image-real\""), "{lock}");

    let toy = Toy { world, qemu };
    let mut machine = toy.start_bundle();
    machine.wait_for("the service's readiness", |event| *event == Event::Ready);
    assert!(machine.fetch(8080, "GET / HTTP/1.0\r\n\r\n").contains("<h1>still</h1>"));
    assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
    assert!(machine.wait_for_end(), "{}", machine.console());
    assert!(!machine.console().contains("failed to"), "{}", machine.console());
}

#[test]
fn an_empty_root_boots_with_the_kernel_of_another_base() {
    boots("an_empty_root_boots_with_the_kernel_of_another_base", "\"scratch\"");
}

#[test]
fn an_image_boots_with_the_kernel_of_another_base() {
    boots("an_image_boots_with_the_kernel_of_another_base", "\"oci\" \"oci:image\"");
}
