//! Boot by UEFI from a unified kernel image: systemd's stub with our parts, started by OVMF.

use std::fs;

use bundle::channel::{Event, Request, Response};
use formats::pe::{Unified, unified};

use crate::kernel;
use crate::machine::Machine;
use crate::microvm::{SERVICES, Toy, root_line};
use crate::support::{program, skip};

/// Firmware that starts without any variables kept.
pub const FIRMWARE: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE_4M.fd"];

#[test]
fn a_unified_kernel_image_boots() {
    let test = "a_unified_kernel_image_boots";
    let Some(firmware) = program(&FIRMWARE) else { return skip(test, "there is no OVMF (package ovmf)") };
    let Some(toy) = Toy::new(test, SERVICES) else { return };
    let stub = match kernel::stub() {
        Ok(stub) => stub,
        Err(reason) => return skip(test, &format!("there is no systemd stub: {reason}")),
    };
    let (image, initrd) = toy.boot_files();
    let (image, initrd) = (fs::read(image).unwrap(), fs::read(initrd).unwrap());
    let parts = Unified {
        stub,
        os_release: b"ID=toy\nVERSION_ID=1\n",
        command_line: &format!("console=ttyS0 panic=-1 no_timer_check quiet {}", root_line()),
        release: &kernel::debian().unwrap().release,
        initrd: &initrd,
        kernel: &image,
    };
    let esp = toy.world.path("esp");
    fs::create_dir_all(esp.join("EFI/BOOT")).unwrap();
    fs::write(esp.join("EFI/BOOT/BOOTX64.EFI"), unified(parts).unwrap()).unwrap();

    let disk = toy.world.path("spec/out/root.ext4");
    let mut machine = Machine::uefi(&toy.qemu, &firmware, &esp, &[("root", &disk)], &toy.world.path(""));
    machine.wait_for("the services' readiness", |event| *event == Event::Ready);
    assert!(machine.fetch(8080, "GET / HTTP/1.0\r\n\r\n").contains("<h1>A toy page</h1>"));
    assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
    machine.wait_for("the end", |event| matches!(event, Event::Exited { .. }));
    assert!(machine.wait_for_end(), "{}", machine.console());
}
