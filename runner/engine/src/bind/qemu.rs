//! A machine in QEMU's words: from what was decided about it to the arguments of the program. Pure.

use std::path::{Path, PathBuf};

use bundle::boot::{COMMAND_PORT_NAME, ERROR_PORT_NAME, OUTPUT_PORT_NAME, PORT_NAME};
use bundle::wire::{GUEST_MAC, mac_text};

use super::machine::{CHANNEL_FD, CONSOLE_FD, ERROR_FD, OUTPUT_FD, QMP_FD, WIRE_FD};
use crate::facts::System;

/// The kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// Without firmware, without PCI: amd64 only.
    Microvm,
    /// A PC of today.
    Q35,
    /// The arm64 machine that exists only in QEMU.
    Virt,
}

/// What runs the machine's processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceleration {
    /// The hardware, by way of this system.
    Hardware(System),
    /// QEMU itself, instruction by instruction.
    None,
}

/// What it starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// A kernel.
    Kernel {
        /// The kernel.
        kernel: PathBuf,
        /// The initial file system.
        initrd: PathBuf,
        /// Its command line.
        command_line: String,
    },
    /// The first disk, by firmware.
    Firmware(PathBuf),
}

/// A disk of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// The file.
    pub file: PathBuf,
    /// Its format in QEMU's words.
    pub format: String,
    /// Whether the machine may write to it.
    pub writable: bool,
}

/// Everything about a machine that QEMU is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The kind of machine.
    pub board: Board,
    /// What runs its processors.
    pub acceleration: Acceleration,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Its processors.
    pub cpus: u64,
    /// What it starts from.
    pub start: Start,
    /// Its disks, in the order in which it finds them.
    pub drives: Vec<Drive>,
    /// Whether its guest is to start no service, and wait for a command.
    pub holds: bool,
    /// Whether it has a network card.
    pub wire: bool,
    /// Whether QEMU is to give up what it does not need (only where its sandbox exists).
    pub sandbox: bool,
}

impl Board {
    /// Its name in QEMU's words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Microvm => "microvm",
            Self::Q35 => "q35",
            Self::Virt => "virt",
        }
    }

    fn options(self) -> &'static str {
        match self {
            // A stock kernel finds its devices by ACPI alone.
            Self::Microvm => "microvm,x-option-roms=off,pit=on,pic=on,rtc=on,isa-serial=on,acpi=on",
            Self::Q35 => "q35,vmport=off",
            Self::Virt => "virt,gic-version=max",
        }
    }

    /// How devices of virtio hang on it.
    fn bus(self) -> &'static str {
        if self == Self::Microvm { "device" } else { "pci" }
    }
}

impl Acceleration {
    /// Its name in QEMU's words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hardware(System::Linux) => "kvm",
            Self::Hardware(System::MacOs) => "hvf",
            Self::Hardware(System::Windows) => "whpx",
            Self::None => "tcg",
        }
    }
}

/// The processor: the host's own, or all that QEMU can emulate, but for two features of amd64 that every process there pays for and
/// hardly one uses: protection keys throw away all translated addresses whenever another program gets the processor, and a
/// fifth level of page tables is one more look into memory for each that is translated.
fn processor(shape: &Shape) -> &'static str {
    match (shape.acceleration, shape.board) {
        (Acceleration::Hardware(_), _) => "host",
        (Acceleration::None, Board::Virt) => "max",
        (Acceleration::None, Board::Microvm | Board::Q35) => "max,pku=off,la57=off",
    }
}

/// QEMU's arguments. Descriptors that it inherits have fixed numbers.
pub fn arguments(shape: &Shape) -> Vec<String> {
    let mut words = Words(Vec::new());
    words.pair("-M", shape.board.options());
    words.pair("-accel", shape.acceleration.name());
    words.pair("-cpu", processor(shape));
    words.pair("-m", &shape.memory_mib.to_string());
    words.pair("-smp", &shape.cpus.to_string());
    words.all(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    words.network(shape);
    if shape.sandbox {
        words.pair("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    }
    match &shape.start {
        Start::Kernel { kernel, initrd, command_line } => {
            words.pair("-kernel", &kernel.display().to_string());
            words.pair("-initrd", &initrd.display().to_string());
            words.pair("-append", command_line);
        }
        Start::Firmware(code) => {
            words.pair("-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={}", escaped(code)));
        }
    }
    words.drives(shape);
    words.channels(shape);
    words.device(shape.board, "virtio-rng", "");
    words.device(shape.board, "virtio-balloon", ",id=balloon,deflate-on-oom=on,free-page-reporting=on");
    words.0
}

struct Words(Vec<String>);

impl Words {
    fn pair(&mut self, name: &str, value: &str) {
        self.0.extend([name.to_owned(), value.to_owned()]);
    }

    fn all(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn device(&mut self, board: Board, kind: &str, options: &str) {
        self.pair("-device", &format!("{kind}-{}{options}", board.bus()));
    }

    /// The card is one end of a wire, and the supervisor is the other.
    fn network(&mut self, shape: &Shape) {
        if !shape.wire {
            return self.pair("-nic", "none");
        }
        self.pair("-netdev", &format!("socket,id=wire,fd={WIRE_FD}"));
        // Nothing is started from it, so that it needs no program for that.
        let plain = if shape.board == Board::Microvm { "" } else { ",romfile=" };
        self.device(shape.board, "virtio-net", &format!(",netdev=wire,mac={}{plain}", mac_text(GUEST_MAC)));
    }

    fn drives(&mut self, shape: &Shape) {
        for (number, Drive { file, format, writable }) in shape.drives.iter().enumerate() {
            let access = if *writable { "" } else { ",readonly=on" };
            let options = format!("id=disk{number},file={},format={format},if=none{access}", escaped(file));
            self.pair("-drive", &options);
            let first = number == 0 && matches!(shape.start, Start::Firmware(_));
            let order = if first { ",bootindex=0" } else { "" };
            self.device(shape.board, "virtio-blk", &format!(",drive=disk{number}{order}"));
        }
    }

    /// The console, QMP, and the ports of the guest, its channel last: once that is there, the others are.
    fn channels(&mut self, shape: &Shape) {
        for (id, fd) in [("console", CONSOLE_FD), ("qmp", QMP_FD)] {
            self.pair("-chardev", &format!("socket,id={id},fd={fd}"));
        }
        self.pair("-serial", "chardev:console");
        self.pair("-mon", "chardev=qmp,mode=control");
        self.device(shape.board, "virtio-serial", "");
        if shape.holds {
            // It only has to be there.
            self.pair("-chardev", "null,id=command");
            self.pair("-device", &format!("virtserialport,chardev=command,name={COMMAND_PORT_NAME}"));
        }
        let ports = [
            ("output", OUTPUT_FD, OUTPUT_PORT_NAME),
            ("error", ERROR_FD, ERROR_PORT_NAME),
            ("channel", CHANNEL_FD, PORT_NAME),
        ];
        for (id, fd, name) in ports {
            self.pair("-chardev", &format!("socket,id={id},fd={fd}"));
            self.pair("-device", &format!("virtserialport,chardev={id},name={name}"));
        }
    }
}

/// A comma in a value is written twice.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
