//! Kernel modules: what a `.ko` file says about itself, and the lists that a kernel package brings.
//!
//! A module is an ELF file whose section `.modinfo` holds `key=value` texts, each ended by a NUL (kernel sources,
//! `include/linux/moduleparam.h` and `scripts/mod/modpost.c`). Nothing else of it is read here.

mod elf;
mod lists;

use std::io::Read;

use crate::compression::{self, Bounds, Compression};

pub use lists::{Builtin, dependencies_text};

/// The largest module that is taken; the largest of distributions are some 40 MB.
pub const MAX_MODULE_BYTES: u64 = 256 << 20;

/// Why a module cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KmodError {
    /// No 64-bit little-endian ELF file.
    #[error("read the kernel module: it is no 64-bit ELF file")]
    Elf,
    /// A table or section that lies outside the file.
    #[error("read the kernel module: its {0} lies outside the file")]
    Outside(&'static str),
    /// No section `.modinfo`, so it is some other ELF file.
    #[error("read the kernel module: it has no section .modinfo")]
    NoInfo,
    /// It is compressed and does not decompress.
    #[error("unpack the kernel module: its {0} stream is damaged, or larger than allowed")]
    Damaged(&'static str),
}

/// What a module says about itself. Names of modules are canonical: with `_` where a file name may have `-`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Module {
    /// Its own name; absent in modules of kernels before 4.13.
    pub name: Option<String>,
    /// The release it was built for and what else must match, as in `6.1.0-9-amd64 SMP preempt mod_unload`.
    pub vermagic: String,
    /// Patterns of devices and names that it serves, in its order.
    pub aliases: Vec<String>,
    /// Modules whose symbols it uses.
    pub depends: Vec<String>,
    /// Modules or aliases that should be loaded before it, if they exist.
    pub soft_before: Vec<String>,
    /// Modules or aliases that should be loaded after it, if they exist.
    pub soft_after: Vec<String>,
}

impl Module {
    /// Reads the ELF file of a module.
    ///
    /// # Errors
    /// See [`KmodError`].
    pub fn read(bytes: &[u8]) -> Result<Self, KmodError> {
        let info = elf::section(bytes, b".modinfo")?.ok_or(KmodError::NoInfo)?;
        let mut module = Self::default();
        for text in info.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok()) {
            if let Some((key, value)) = text.split_once('=') {
                module.take(key, value);
            }
        }
        Ok(module)
    }

    /// The kernel release that it was built for: the first word of its vermagic.
    pub fn release(&self) -> &str {
        self.vermagic.split(' ').next().unwrap_or_default()
    }

    fn take(&mut self, key: &str, value: &str) {
        match key {
            "name" => self.name = Some(canonical_name(value)),
            "vermagic" => self.vermagic = value.to_owned(),
            "alias" => self.aliases.push(value.to_owned()),
            "depends" => self.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(canonical_name)),
            "softdep" => self.take_soft(value),
            _ => {}
        }
    }

    /// `pre: a b post: c` (modprobe.d(5)).
    fn take_soft(&mut self, value: &str) {
        let mut list = None;
        for word in value.split_ascii_whitespace() {
            match (word, list) {
                ("pre:" | "post:", _) => list = Some(word),
                (_, Some("pre:")) => self.soft_before.push(canonical_name(word)),
                (_, Some(_)) => self.soft_after.push(canonical_name(word)),
                (_, None) => {}
            }
        }
    }
}

/// The name by which modules are compared: the kernel takes `-` and `_` for the same.
pub fn canonical_name(name: &str) -> String {
    name.replace('-', "_")
}

/// The canonical name of the module in a file, from the file's name; `None` for other files.
pub fn name_of_file(file_name: &str) -> Option<String> {
    let (_, plain) = Compression::of_name(file_name);
    plain.strip_suffix(".ko").filter(|name| !name.is_empty()).map(canonical_name)
}

/// What stands at the end of a signed module (kernel sources, `include/linux/module_signature.h`, `MODULE_SIG_STRING`).
const SIGNATURE_END: &[u8] = b"~Module signature appended~\n";

/// Bytes of `struct module_signature` before it, the last four of which are the signature's length, big end first.
const SIGNATURE_HEADER_BYTES: usize = 12;

/// The ELF file of a module without the signature that may stand behind it.
pub fn without_signature(bytes: &[u8]) -> &[u8] {
    let unsigned = || {
        let rest = bytes.strip_suffix(SIGNATURE_END)?;
        let (rest, header) = rest.split_at_checked(rest.len().checked_sub(SIGNATURE_HEADER_BYTES)?)?;
        let length = usize::try_from(u32::from_be_bytes(*header.last_chunk()?)).ok()?;
        rest.get(..rest.len().checked_sub(length)?)
    };
    unsigned().unwrap_or(bytes)
}

/// The ELF file inside a module's file: decompressed where its name ends in `.xz`, `.zst` or `.gz`.
///
/// # Errors
/// When it does not decompress to at most [`MAX_MODULE_BYTES`].
pub fn unpack(file_name: &str, bytes: &[u8]) -> Result<Vec<u8>, KmodError> {
    let (kind, name) = match Compression::of_name(file_name).0 {
        Compression::None => return Ok(bytes.to_vec()),
        Compression::Gzip => (Compression::Gzip, "gzip"),
        Compression::Xz => (Compression::Xz, "xz"),
        Compression::Zstd => (Compression::Zstd, "zstd"),
    };
    let bounds = Bounds { total_bytes: MAX_MODULE_BYTES, ..Bounds::default() };
    let mut out = Vec::new();
    let read = compression::open(kind, bytes, bounds).and_then(|mut stream| stream.read_to_end(&mut out));
    read.map(|_| out).map_err(|_| KmodError::Damaged(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_its_own_length_says() {
        let signed = |length: u32| {
            let header: Vec<u8> = [0; 8].into_iter().chain(length.to_be_bytes()).collect();
            [b"ELF and more".as_slice(), b"signature", &header, SIGNATURE_END].concat()
        };
        assert_eq!(without_signature(&signed(9)), b"ELF and more");
        assert_eq!(without_signature(&signed(0)), b"ELF and moresignature");
        for whole in [signed(22), signed(u32::MAX), b"ELF".to_vec(), SIGNATURE_END.to_vec(), Vec::new()] {
            assert_eq!(without_signature(&whole), whole);
        }
    }
}
