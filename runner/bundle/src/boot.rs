//! How a machine comes up: what the initial file system and the kernel's command line tell the guest.
//!
//! The file says what is the same wherever the appliance boots; the command line says where its root is and what it
//! must hash to, so that a signature over the command line covers the whole root.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::guest::GUEST_PATH;
use crate::plan::Root;

/// Where the guest stands in the initial file system; the kernel's own default.
pub const INIT_PATH: &str = "/init";

/// Where [`Boot`] stands in the initial file system. Where it exists, the guest knows that it is there to boot.
pub const BOOT_PATH: &str = "/appliance/boot.json";

/// The folder of the kernel modules in the initial file system.
pub const MODULES_FOLDER: &str = "/appliance/modules";

/// The name of the virtio-serial port that carries the guest channel.
pub const PORT_NAME: &str = "appliance.agent.0";

/// The name of the virtio-serial port that takes what the services print, where the machine has one; else that goes to the
/// console.
pub const OUTPUT_PORT_NAME: &str = "appliance.output.0";

/// The name of the port for their errors, beside [`OUTPUT_PORT_NAME`].
pub const ERROR_PORT_NAME: &str = "appliance.error.0";

/// The name of a virtio-serial port that carries nothing. Where the machine has it, the guest starts no service: the host
/// asks for one command in their place.
pub const COMMAND_PORT_NAME: &str = "appliance.command.0";

/// The vsock port that means "any" (vsock(7), `VMADDR_PORT_ANY`), which is none to connect to.
const ANY_PORT: u32 = u32::MAX;

/// The environment variable that tells the guest in the root that it runs a machine; its value is the command line's
/// [`Machine`] in the form of [`CommandLine`].
pub const MACHINE_ENV: &str = "APPLIANCE_MACHINE";

/// The schema number that this code writes and the highest that it reads.
pub const SCHEMA: u32 = 1;

/// What the guest does before there is a root; the content of [`BOOT_PATH`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// Schema number of this file.
    pub schema: u32,
    /// Files in [`MODULES_FOLDER`], to be loaded in this order.
    pub modules: Vec<String>,
    /// What can be written at run time.
    pub root: Root,
    /// Storage that outlives an instance, each a disk of its own.
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

/// A volume: an ext4 file system on a whole disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Its name, for people.
    pub name: String,
    /// Where it is mounted, an absolute path.
    pub at: String,
    /// The id of its file system, 32 hexadecimal digits in lower case.
    pub uuid: String,
}

/// What the kernel's command line says to the guest: the words that begin with `appliance.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// `appliance.root=`: the block device of the root file system.
    pub root: Selector,
    /// `appliance.roothash=` and `appliance.hash=`: what the root must hash to.
    pub verity: Option<Verity>,
    /// `appliance.init=`: the program in the root that takes over.
    pub init: String,
    /// How the machine talks and ends.
    pub machine: Machine,
}

/// What makes every byte of the root provable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verity {
    /// The block device of the hash tree.
    pub device: Selector,
    /// The root hash, 64 hexadecimal digits.
    pub root_hash: String,
}

/// How the machine talks to its host, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// `appliance.channel=`
    pub channel: Transport,
    /// `appliance.end=`
    pub end: End,
}

/// What carries the guest channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `serial`: the virtio-serial port [`PORT_NAME`].
    Serial,
    /// `vsock:PORT`: a connection to this port of the host.
    Vsock(u32),
    /// `vsock-listen:PORT`: connections that the host makes to this port, one at a time.
    VsockListen(u32),
    /// `none`
    None,
}

/// What the guest asks of the machine when everything has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `poweroff`
    PowerOff,
    /// `reboot`: for machines that take a reset for their end.
    Reboot,
}

/// A block device, by what does not depend on the order in which drivers find devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `partuuid:UUID`: the partition of a GPT disk with this unique id, as in `12345678-…`, lower case.
    PartUuid(String),
    /// `serial:TEXT`: the whole disk with this serial number.
    Serial(String),
    /// `/dev/NAME`: the device of this name.
    Device(String),
}

/// Why a command line cannot be used: a fragment after "failed to".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLineError(String);

impl fmt::Display for CommandLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CommandLineError {}

impl Default for Machine {
    fn default() -> Self {
        Self { channel: Transport::Serial, end: End::PowerOff }
    }
}

impl CommandLine {
    /// A command line with this root and the defaults for all else.
    pub fn new(root: Selector) -> Self {
        Self { root, verity: None, init: GUEST_PATH.to_owned(), machine: Machine::default() }
    }

    /// Reads the words that are meant for the guest out of a whole command line; of a word that comes twice the last
    /// counts, as for the kernel itself.
    ///
    /// # Errors
    /// When a word is unknown or says nothing sensible, or the root is missing.
    pub fn parse(line: &str) -> Result<Self, CommandLineError> {
        let (mut root, mut hash, mut device, mut init) = (None, None, None, None);
        let mut machine = Machine::default();
        for word in line.split_ascii_whitespace() {
            let Some((key, value)) = word.strip_prefix("appliance.").and_then(|word| word.split_once('=')) else {
                continue;
            };
            let bad = || CommandLineError(format!("read the kernel's command line: {word:?} is not understood"));
            match key {
                "root" => root = Some(Selector::parse(value).ok_or_else(bad)?),
                "hash" => device = Some(Selector::parse(value).ok_or_else(bad)?),
                "roothash" => hash = Some(Some(value.to_owned()).filter(|hash| is_hash(hash)).ok_or_else(bad)?),
                "init" => init = Some(Some(value.to_owned()).filter(|path| path.starts_with("/")).ok_or_else(bad)?),
                _ => machine.take(word).ok_or_else(bad)?,
            }
        }
        let missing =
            |key: &str| CommandLineError(format!("read the kernel's command line: appliance.{key}= is missing"));
        let verity = match (hash, device) {
            (None, None) => None,
            (Some(root_hash), Some(device)) => Some(Verity { device, root_hash }),
            (None, Some(_)) => return Err(missing("roothash")),
            (Some(_), None) => return Err(missing("hash")),
        };
        let root = root.ok_or_else(|| missing("root"))?;
        Ok(Self { root, verity, init: init.unwrap_or_else(|| GUEST_PATH.to_owned()), machine })
    }
}

impl Machine {
    /// Reads what [`MACHINE_ENV`] holds.
    pub fn parse(text: &str) -> Option<Self> {
        let mut machine = Self::default();
        text.split_ascii_whitespace().try_for_each(|word| machine.take(word))?;
        Some(machine)
    }

    fn take(&mut self, word: &str) -> Option<()> {
        match word.strip_prefix("appliance.")?.split_once('=')? {
            ("channel", "serial") => self.channel = Transport::Serial,
            ("channel", "none") => self.channel = Transport::None,
            ("channel", value) => self.channel = Transport::parse_vsock(value)?,
            ("end", "poweroff") => self.end = End::PowerOff,
            ("end", "reboot") => self.end = End::Reboot,
            _ => return None,
        }
        Some(())
    }
}

impl Transport {
    fn parse_vsock(text: &str) -> Option<Self> {
        let (kind, port) = text.split_once(':')?;
        let port = port.parse().ok().filter(|port| *port != ANY_PORT)?;
        match kind {
            "vsock" => Some(Self::Vsock(port)),
            "vsock-listen" => Some(Self::VsockListen(port)),
            _ => None,
        }
    }
}

impl Selector {
    fn parse(text: &str) -> Option<Self> {
        let fits = |text: &str, allowed: fn(char) -> bool| !text.is_empty() && text.chars().all(allowed);
        if let Some(uuid) = text.strip_prefix("partuuid:") {
            let is_digit = |c: char| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c);
            return (uuid.len() == 36 && fits(uuid, is_digit)).then(|| Self::PartUuid(uuid.to_owned()));
        }
        if let Some(serial) = text.strip_prefix("serial:") {
            return fits(serial, |c| c.is_ascii_graphic()).then(|| Self::Serial(serial.to_owned()));
        }
        let name = text.strip_prefix("/dev/")?;
        fits(name, |c| c.is_ascii_alphanumeric() || c == '-').then(|| Self::Device(name.to_owned()))
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartUuid(uuid) => write!(f, "partuuid:{uuid}"),
            Self::Serial(serial) => write!(f, "serial:{serial}"),
            Self::Device(name) => write!(f, "/dev/{name}"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.channel {
            Transport::Serial => write!(f, "appliance.channel=serial")?,
            Transport::Vsock(port) => write!(f, "appliance.channel=vsock:{port}")?,
            Transport::VsockListen(port) => write!(f, "appliance.channel=vsock-listen:{port}")?,
            Transport::None => write!(f, "appliance.channel=none")?,
        }
        write!(f, " appliance.end={}", if self.end == End::PowerOff { "poweroff" } else { "reboot" })
    }
}

/// The words, in a fixed order; what is the default is left out.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "appliance.root={}", self.root)?;
        if let Some(Verity { device, root_hash }) = &self.verity {
            write!(f, " appliance.hash={device} appliance.roothash={root_hash}")?;
        }
        if self.init != GUEST_PATH {
            write!(f, " appliance.init={}", self.init)?;
        }
        if self.machine != Machine::default() {
            write!(f, " {}", self.machine)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let uuid = "0f6e4a10-1234-8abc-9def-001122334455";
        let hash = "00112233445566778899aabbccddeeff".repeat(2);
        for root in [Selector::PartUuid(uuid.into()), Selector::Serial("a_b:c".into()), Selector::Device("vda".into())]
        {
            for channel in
                [Transport::Serial, Transport::Vsock(1024), Transport::VsockListen(u32::MAX - 1), Transport::None]
            {
                let mut line = CommandLine::new(root.clone());
                assert_eq!(CommandLine::parse(&format!("quiet {line} ro")).as_ref(), Ok(&line));
                line.machine = Machine { channel, end: End::Reboot };
                line.verity = Some(Verity { device: Selector::Device("vdb".into()), root_hash: hash.clone() });
                line.init = "/lib/systemd/systemd".into();
                assert_eq!(CommandLine::parse(&line.to_string()).as_ref(), Ok(&line));
                assert_eq!(Machine::parse(&line.machine.to_string()), Some(line.machine));
            }
        }
    }

    #[test]
    fn what_says_nothing_sensible_is_refused() {
        let check = |line: &str, expected: &str| {
            let error = CommandLine::parse(line).unwrap_err().to_string();
            assert_eq!(error, format!("read the kernel's command line: {expected}"));
        };
        check("quiet", "appliance.root= is missing");
        check("appliance.root=vda", "\"appliance.root=vda\" is not understood");
        check("appliance.root=/dev/../x", "\"appliance.root=/dev/../x\" is not understood");
        check("appliance.root=partuuid:12", "\"appliance.root=partuuid:12\" is not understood");
        check("appliance.root=/dev/vda appliance.x=1", "\"appliance.x=1\" is not understood");
        check("appliance.root=/dev/vda appliance.roothash=ff", "\"appliance.roothash=ff\" is not understood");
        check("appliance.root=/dev/vda appliance.hash=/dev/vdb", "appliance.roothash= is missing");
        check("appliance.root=/dev/vda appliance.end=never", "\"appliance.end=never\" is not understood");
        for channel in ["vsock", "vsock:", "vsock:-1", "vsock:4294967295", "vsock-listen:x", "hyperv:1"] {
            let line = format!("appliance.root=/dev/vda appliance.channel={channel}");
            check(&line, &format!("\"appliance.channel={channel}\" is not understood"));
        }
        check("appliance.root=/dev/vda appliance.init=sh", "\"appliance.init=sh\" is not understood");
    }
}
