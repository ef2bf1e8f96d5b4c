//! Where what is printed goes in a machine: to virtio-serial ports for output and errors, where the host gave some. Without
//! them it stays on the console, beside the kernel's own words.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bundle::boot::{ERROR_PORT_NAME, OUTPUT_PORT_NAME, PORT_NAME};
use nix::unistd::{dup2_stderr, dup2_stdout};

use crate::link::port_path;

/// How long a driver that found a port may take to name it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Where the kernel lists devices of virtio.
const DEVICES: &str = "/sys/bus/virtio/devices";

/// What a device of ports says of itself (virtio 1.2, section 5.3).
const CONSOLE_DEVICE: &str = "0x0003";

/// Takes over the ports as standard output and standard error; both or none.
pub fn take_over() {
    // The host adds the channel's port last: once it has its name, the others have theirs.
    let started = Instant::now();
    while has_ports() && port_path(PORT_NAME).is_none() && started.elapsed() < PATIENCE {
        sleep(PAUSE);
    }
    let open = |name| File::options().write(true).open(port_path(name)?).ok();
    let (Some(output), Some(error)) = (open(OUTPUT_PORT_NAME), open(ERROR_PORT_NAME)) else { return };
    // A stream that cannot be moved stays on the console.
    let _ = dup2_stdout(output.as_fd()).and_then(|()| dup2_stderr(error.as_fd()));
}

/// Whether the machine has a device with ports.
fn has_ports() -> bool {
    let devices = fs::read_dir(DEVICES).into_iter().flatten().flatten();
    let is_console =
        |folder: &Path| fs::read_to_string(folder.join("device")).is_ok_and(|kind| kind.trim() == CONSOLE_DEVICE);
    devices.into_iter().any(|device| is_console(&device.path()))
}
