//! A machine under QEMU: its process, its console, and the host's end of its guest channel.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bundle::boot::PORT_NAME;
use bundle::channel::{Event, Exec, Happening, Piece, Pieces, Request, Response, Session, Side, TerminalSize};

use crate::slots::Slot;

/// What a hang costs a test; a boot takes some seconds here, many times that on a busy machine, above all with systemd.
pub const PATIENCE: Duration = Duration::from_secs(480);

/// Firmware that starts without any variables kept.
pub const FIRMWARE: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE_4M.fd"];

/// A processor of arm64 that QEMU is quick with, and that all firmware and kernels know.
const ARM64_CPU: &str = "cortex-a57";

/// What a machine is started with.
pub struct Parts<'a> {
    pub kernel: &'a Path,
    pub initrd: &'a Path,
    pub command_line: &'a str,
    /// Disks with their serial numbers.
    pub disks: &'a [(&'a str, &'a Path)],
    /// Whether they can be written to.
    pub writable: bool,
    /// Where console and socket go.
    pub folder: &'a Path,
}

/// A machine that runs, or has ended.
pub struct Machine {
    process: Child,
    slot: Option<Slot>,
    transport: UnixStream,
    session: Session,
    console: PathBuf,
    /// Everything that the guest said unasked.
    pub events: Vec<Event>,
    answers: Vec<(u32, Response)>,
    data: Vec<(u32, Vec<u8>)>,
}

impl Machine {
    /// Starts QEMU's `microvm` without any network, and joins its channel.
    pub fn microvm(qemu: &Path, parts: &Parts<'_>) -> Self {
        let socket = parts.folder.join("agent.sock");
        let console = parts.folder.join("console.log");
        let mut command = Command::new(qemu);
        command
            .args(["-M", "microvm,x-option-roms=off,pit=on,pic=on,rtc=on,isa-serial=on,acpi=on"])
            .args(["-accel", "tcg", "-cpu", "max", "-m", "256", "-smp", "1"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none"])
            .args(["-serial", &format!("file:{}", console.display())])
            .arg("-kernel")
            .arg(parts.kernel)
            .arg("-initrd")
            .arg(parts.initrd)
            .args([
                "-append",
                &format!(
                    "console=ttyS0 panic=-1 reboot=t no_timer_check quiet tsc_early_khz={} {}",
                    tsc_khz(),
                    parts.command_line
                ),
            ])
            .args(["-device", "virtio-serial-device"])
            .args(["-chardev", &format!("socket,id=a0,path={},server=on,wait=off", socket.display())])
            .args(["-device", &format!("virtserialport,chardev=a0,name={PORT_NAME}")])
            .args(["-device", "virtio-rng-device"]);
        let mode = if parts.writable { "" } else { ",readonly=on" };
        for (serial, disk) in parts.disks {
            let drive = format!("id={serial},file={},format={},if=none{mode}", disk.display(), format_of(disk));
            command.args(["-drive", &drive, "-device", &format!("virtio-blk-device,drive={serial},serial={serial}")]);
        }
        Self::start(command, &socket, console)
    }

    /// Starts QEMU's `virt` for arm64 without any network and without firmware, its disks on PCI, and joins its channel.
    pub fn virt(qemu: &Path, parts: &Parts<'_>) -> Self {
        let mut command = Command::new(qemu);
        command.args(["-M", "virt", "-cpu", ARM64_CPU, "-kernel"]).arg(parts.kernel).arg("-initrd").arg(parts.initrd);
        command.args(["-append", parts.command_line]);
        for (serial, disk) in parts.disks {
            let drive = format!("id={serial},file={},format=raw,if=none,readonly=on", disk.display());
            command.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive={serial},serial={serial}")]);
        }
        Self::on_pci(command, parts.folder)
    }

    /// Starts QEMU's `virt` for arm64 with UEFI from one disk file, and joins its channel.
    pub fn virt_from_disk(qemu: &Path, firmware: &Path, disk: &Path, format: &str, folder: &Path) -> Self {
        let mut command = Command::new(qemu);
        command.args(["-M", "virt", "-cpu", ARM64_CPU]);
        Self::with_disk(command, firmware, disk, format, folder)
    }

    /// Starts QEMU's `q35` with UEFI from one disk file in this format and with these further options of it, and joins
    /// its channel.
    pub fn from_disk(qemu: &Path, firmware: &Path, disk: &Path, format: &str, folder: &Path) -> Self {
        Self::from_disks(qemu, firmware, disk, format, &[], folder)
    }

    /// The same with the disk on SATA, as VirtualBox and VMware have it.
    pub fn from_sata_disk(qemu: &Path, firmware: &Path, disk: &Path, format: &str, folder: &Path) -> Self {
        let mut command = Command::new(qemu);
        command.args(["-M", "q35,vmport=off", "-cpu", "max"]);
        Self::with_disk_on(command, "ide-hd,bus=ide.0", firmware, disk, format, folder)
    }

    /// The same with further disks.
    pub fn from_disks(qemu: &Path, firmware: &Path, disk: &Path, format: &str, more: &[&Path], folder: &Path) -> Self {
        let mut command = Command::new(qemu);
        command.args(["-M", "q35,vmport=off", "-cpu", "max"]);
        for (number, path) in more.iter().enumerate() {
            let drive = format!("id=more{number},file={},format={},if=none", path.display(), format_of(path));
            command.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive=more{number}")]);
        }
        Self::with_disk(command, firmware, disk, format, folder)
    }

    /// The same with Secure Boot, as these variables of the firmware, which are changed, have it.
    pub fn secure(qemu: &Path, firmware: [&Path; 2], disk: &Path, format: &str, folder: &Path) -> Self {
        let [code, variables] = firmware;
        let mut command = Command::new(qemu);
        command
            .args([
                "-M",
                "q35,vmport=off,smm=on",
                "-cpu",
                "max",
                "-global",
                "driver=cfi.pflash01,property=secure,value=on",
            ])
            .args(["-drive", &format!("if=pflash,unit=1,format=raw,file={}", variables.display())]);
        Self::with_disk(command, code, disk, format, folder)
    }

    fn with_disk(command: Command, firmware: &Path, disk: &Path, format: &str, folder: &Path) -> Self {
        Self::with_disk_on(command, "virtio-blk-pci", firmware, disk, format, folder)
    }

    fn with_disk_on(
        mut command: Command,
        device: &str,
        firmware: &Path,
        disk: &Path,
        format: &str,
        folder: &Path,
    ) -> Self {
        command
            .args(["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={}", firmware.display())])
            .args(["-drive", &format!("id=disk,file={},format={format},if=none", disk.display())])
            .args(["-device", &format!("{device},drive=disk,bootindex=0")]);
        Self::on_pci(command, folder)
    }

    fn on_pci(mut command: Command, folder: &Path) -> Self {
        let (socket, console) = (folder.join("agent.sock"), folder.join("console.log"));
        command
            .args(["-accel", "tcg", "-m", "512", "-smp", "1"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none"])
            .args(["-serial", &format!("file:{}", console.display())])
            .args(["-device", "virtio-serial-pci"])
            .args(["-chardev", &format!("socket,id=a0,path={},server=on,wait=off", socket.display())])
            .args(["-device", &format!("virtserialport,chardev=a0,name={PORT_NAME}")]);
        Self::start(command, &socket, console)
    }

    fn start(mut command: Command, socket: &Path, console: PathBuf) -> Self {
        let slot = Some(Slot::take());
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        let transport = loop {
            match UnixStream::connect(socket) {
                Ok(transport) => break transport,
                Err(error) => assert!(start.elapsed() < PATIENCE, "join the machine: {error}"),
            }
            sleep(Duration::from_millis(10));
        };
        transport.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let session = Session::new(Side::Host);
        Self { process, slot, transport, session, console, events: vec![], answers: vec![], data: vec![] }
    }

    /// Leaves the channel and joins it anew. A guest that has not noticed yet that the last host left goes on with its old
    /// session, which the new host does not understand: it leaves and comes again a little later.
    #[track_caller]
    pub fn rejoin(&mut self, socket: &Path) {
        let start = Instant::now();
        self.events.clear();
        loop {
            self.transport.shutdown(std::net::Shutdown::Both).unwrap();
            sleep(Duration::from_millis(300));
            self.transport = UnixStream::connect(socket).unwrap();
            self.transport.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            self.session = Session::new(Side::Host);
            while self.events.is_empty() && self.turn() && start.elapsed() < PATIENCE {}
            if !self.events.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the guest says nothing to a host that comes later");
        }
    }

    /// Waits for an event that is so, and gives it.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        let start = Instant::now();
        loop {
            if let Some(event) = self.events.iter().find(|event| is_it(event)) {
                return event.clone();
            }
            assert!(
                start.elapsed() < PATIENCE && self.turn(),
                "{what} did not come: {:?}\n{}",
                self.events,
                self.console()
            );
        }
    }

    /// Asks the guest something.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Response {
        let asked = self.session.request(request).unwrap();
        self.answer_to(asked, &format!("{request:?}"))
    }

    #[track_caller]
    fn answer_to(&mut self, asked: u32, request: &str) -> Response {
        let start = Instant::now();
        loop {
            if let Some(at) = self.answers.iter().position(|(stream, _)| *stream == asked) {
                return self.answers.remove(at).1;
            }
            assert!(start.elapsed() < PATIENCE && self.turn(), "no answer to {request}\n{}", self.console());
        }
    }

    /// Asks the guest something in words that this side may not know itself.
    pub fn ask_json(&mut self, request: &str) -> Response {
        let asked = self.session.ask(request.to_owned()).unwrap();
        self.answer_to(asked, request)
    }

    /// The bytes that come on the stream of a request, put together to pieces, until they are enough.
    #[track_caller]
    pub fn pieces(&mut self, request: &Request, enough: impl Fn(&[Piece]) -> bool) -> Vec<Piece> {
        let stream = self.session.request(request).unwrap();
        let answer = self.answer_to(stream, &format!("{request:?}"));
        assert_eq!(answer, Response::Done, "{request:?}");
        let start = Instant::now();
        loop {
            let came = self.data.iter().filter(|(from, _)| *from == stream).flat_map(|(_, bytes)| bytes.clone());
            let found = Pieces::default().push(&came.collect::<Vec<u8>>()).unwrap();
            if enough(&found) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE && self.turn(), "{request:?} gave only {found:?}\n{}", self.console());
        }
    }

    /// Runs a shell script inside: what it prints, and its exit status.
    #[track_caller]
    pub fn run(&mut self, script: &str) -> (String, u8) {
        self.run_on(script, None)
    }

    /// As [`Machine::run`], on a terminal of its own if there is to be one.
    #[track_caller]
    pub fn run_on(&mut self, script: &str, terminal: Option<TerminalSize>) -> (String, u8) {
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        let request = Request::Exec(Exec { args, env: Default::default(), cwd: None, user: None, terminal });
        let status = |pieces: &[Piece]| match pieces.last() {
            Some(Piece::Status(status)) => Some(*status),
            _ => None,
        };
        let pieces = self.pieces(&request, |pieces| status(pieces).is_some());
        let printed = pieces.iter().flat_map(|piece| match piece {
            Piece::Out(bytes) | Piece::Err(bytes) => bytes.clone(),
            _ => Vec::new(),
        });
        (String::from_utf8_lossy(&printed.collect::<Vec<u8>>()).into_owned(), status(&pieces).unwrap())
    }

    /// Sends a request to a port inside and gives all that comes back.
    #[track_caller]
    pub fn fetch(&mut self, port: u16, request: &str) -> String {
        let stream = self.session.open_port(port).unwrap();
        let (start, mut sent) = (Instant::now(), false);
        loop {
            if !sent && self.session.sendable(stream) >= request.len() {
                sent = self.session.send(stream, request.as_bytes()).is_ok();
            }
            let came = self.data.iter().filter(|(from, _)| *from == stream).flat_map(|(_, bytes)| bytes.clone());
            let text = String::from_utf8_lossy(&came.collect::<Vec<u8>>()).into_owned();
            if text.contains("</h1>") {
                return text;
            }
            assert!(start.elapsed() < PATIENCE && self.turn(), "port {port} said only {text:?}\n{}", self.console());
        }
    }

    /// Waits until the machine is gone and says whether QEMU was content.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> bool {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                self.slot = None;
                return status.success();
            }
            assert!(start.elapsed() < PATIENCE, "the machine does not end\n{}", self.console());
            self.turn();
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the console shows this.
    #[track_caller]
    pub fn wait_for_console(&mut self, word: &str) {
        let start = Instant::now();
        while !self.console().contains(word) {
            assert!(start.elapsed() < PATIENCE, "{word:?} did not come\n{}", self.console());
            sleep(Duration::from_millis(50));
        }
    }

    /// What the console showed.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Writes what there is to write, reads what came. `false` once the channel is gone.
    fn turn(&mut self) -> bool {
        while !self.session.output().is_empty() {
            match self.transport.write(self.session.output()) {
                Ok(count) => self.session.wrote(count),
                Err(_) => return false,
            }
        }
        let mut buffer = [0; 64 * 1024];
        let count = match self.transport.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
            Err(_) => return false,
        };
        let Ok(happenings) = self.session.receive(&buffer[..count]) else { return false };
        for happening in happenings {
            match happening {
                Happening::Event(event) => self.events.push(event),
                Happening::Response { stream, response, .. } => self.answers.push((stream, response)),
                Happening::Data { stream, bytes } => {
                    self.session.used(stream, bytes.len());
                    self.data.push((stream, bytes));
                }
                _ => {}
            }
        }
        true
    }
}

/// The format of a disk that is no boot disk: what QEMU's tools made, or a raw one.
fn format_of(disk: &Path) -> &'static str {
    if disk.extension().is_some_and(|end| end == "qcow2") { "qcow2" } else { "raw" }
}

/// What the processor's clock counter counts in a millisecond: a machine without hardware help sees this host's own, and
/// has nothing else to measure it with (`microvm` has no other clock that a kernel with ACPI looks at).
fn tsc_khz() -> u64 {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split_once(':'));
    line.and_then(|(_, mhz)| mhz.trim().parse::<f64>().ok()).map_or(2_000_000, |mhz| (mhz * 1000.0) as u64)
}

/// Waits until a process is gone.
pub fn wait_for_end(process: nix::unistd::Pid) {
    let start = Instant::now();
    while nix::sys::signal::kill(process, None).is_ok() {
        assert!(start.elapsed() < PATIENCE, "process {process} goes on");
        sleep(Duration::from_millis(5));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
