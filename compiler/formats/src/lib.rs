//! Archive, file-system and disk formats, each as a reader, or as a plan and its writer. Knows bytes, never appliances.

pub mod apk;
pub mod ar;
pub mod compression;
pub mod cpio;
pub mod crc32c;
pub mod deb;
mod exact;
pub mod ext4;
pub mod fat;
pub mod gpt;
pub mod gzip;
pub mod kernel;
pub mod kmod;
pub mod oci;
pub mod ovf;
pub mod pe;
pub mod qcow2;
pub mod region;
pub mod tar;
mod unpack;
pub mod verity;
pub mod vhdx;
pub mod vmdk;
