//! Toy kernels and modules in every form, and Debian's cloud kernel unpacked into a folder.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test may use other tools")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A bzImage that is nothing but its header, a version text and a payload.
pub fn bz_image(payload: &[u8], version: &str) -> Vec<u8> {
    let mut image = vec![0; 3 * 512];
    image[0x1f1] = 2;
    image[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    image[0x202..0x206].copy_from_slice(b"HdrS");
    (image[0x206], image[0x207]) = (15, 2);
    image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    image[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
    image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.extend([0; 16]);
    image.extend(payload);
    image
}

/// A flat arm64 image of this length.
pub fn arm64(length: usize) -> Vec<u8> {
    let mut image: Vec<u8> = (0..length).map(|n| (n / 7) as u8).collect();
    image[..4].copy_from_slice(b"MZ\0\x14");
    image[16..24].copy_from_slice(&(2 * length as u64).to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    image
}

/// An EFI program that would unpack this payload.
pub fn zboot(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 256];
    image[..2].copy_from_slice(b"MZ");
    image[4..8].copy_from_slice(b"zimg");
    image[8..12].copy_from_slice(&256_u32.to_le_bytes());
    image[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    image.extend(payload);
    image
}

/// A 64-bit ELF file of only these sections.
pub fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let mut names = vec![0];
    let mut rows = vec![(0, 0, 0)];
    for (name, bytes) in sections {
        rows.push((names.len(), file.len(), bytes.len()));
        names.extend(name.bytes().chain([0]));
        file.extend(*bytes);
    }
    rows.push((names.len(), file.len(), names.len() + 10));
    names.extend(b".shstrtab\0");
    file.extend(&names);
    let table = file.len() as u64;
    for (name, at, length) in &rows {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&(*name as u32).to_le_bytes());
        header[24..32].copy_from_slice(&(*at as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(*length as u64).to_le_bytes());
        file.extend(header);
    }
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    file[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
    file[0x3c..0x3e].copy_from_slice(&(rows.len() as u16).to_le_bytes());
    file[0x3e..0x40].copy_from_slice(&(rows.len() as u16 - 1).to_le_bytes());
    file
}

/// A module with this `.modinfo`.
pub fn module(info: &[u8]) -> Vec<u8> {
    elf(&[(".text", b"code"), (".modinfo", info)])
}

/// A toy of what firmware starts, with two sections and room for as many more.
pub fn stub(room: usize) -> Vec<u8> {
    let mut stub = vec![0; 1024 + 2 * 512];
    let mut put = |at: usize, bytes: &[u8]| stub[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &64_u32.to_le_bytes());
    put(64, b"PE\0\0\x64\x86");
    put(64 + 6, &2_u16.to_le_bytes());
    put(64 + 12, &7_u32.to_le_bytes());
    put(64 + 20, &240_u16.to_le_bytes());
    let optional = 64 + 24;
    put(optional, &0x20b_u16.to_le_bytes());
    put(optional + 8, &1024_u32.to_le_bytes());
    put(optional + 32, &4096_u32.to_le_bytes());
    put(optional + 36, &512_u32.to_le_bytes());
    put(optional + 60, &((optional + 240 + (2 + room) * 40) as u32).to_le_bytes());
    put(optional + 108, &16_u32.to_le_bytes());
    for (number, name) in [b".text".as_slice(), b".sbat"].into_iter().enumerate() {
        let row = optional + 240 + number * 40;
        put(row, name);
        put(row + 8, &100_u32.to_le_bytes());
        put(row + 12, &(4096 * (1 + number as u32)).to_le_bytes());
        put(row + 16, &512_u32.to_le_bytes());
        put(row + 20, &(1024 + 512 * number as u32).to_le_bytes());
        put(1024 + 512 * number, &[b'a' + number as u8; 100]);
    }
    stub.extend(b"symbols and strings");
    stub
}

/// A kernel package, unpacked.
pub struct Package {
    /// The compressed kernel.
    pub image: PathBuf,
    /// The folder of its modules and lists.
    pub folder: PathBuf,
    /// The release it names itself by.
    pub release: String,
    root: PathBuf,
}

/// Fetches and unpacks Debian's cloud kernel, or says why that cannot be.
pub fn debian_kernel(folder: &Path) -> Result<Package, String> {
    let run = |program: &str, args: &[&str]| -> Result<String, String> {
        let output = Command::new(program).args(args).current_dir(folder).output();
        let output = output.map_err(|error| format!("{program} cannot be started: {error}"))?;
        let fine = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned());
        fine.ok_or_else(|| format!("{program} {}: {}", args.join(" "), output.status))
    };
    let depends = run("apt-cache", &["depends", "--important", "linux-image-cloud-amd64"])?;
    let name = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let release = name.ok_or("apt knows no linux-image-cloud-amd64")?.to_owned();
    run("apt-get", &["download", "-qq", &format!("linux-image-{release}")])?;
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let archive = files.find(|name| name.ends_with(".deb")).ok_or("apt-get downloaded nothing")?;
    run("dpkg-deb", &["-x", &archive, "root"])?;
    let root = folder.join("root");
    let image = root.join("boot").join(format!("vmlinuz-{release}"));
    Ok(Package { image, folder: root.join("lib/modules").join(&release), release, root })
}

impl Package {
    /// All modules.
    pub fn modules(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, found);
                } else if path.to_string_lossy().contains(".ko") {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.folder.join("kernel"), &mut found);
        found.sort();
        found
    }

    /// The text of `modules.dep` that depmod writes for them; `None` where there is no depmod.
    pub fn depmod(&self) -> Option<String> {
        let program = ["/usr/sbin/depmod", "/sbin/depmod"].into_iter().find(|path| Path::new(path).exists())?;
        let mut command = Command::new(program);
        command.args(["-b".as_ref(), self.root.as_os_str(), self.release.as_ref()]);
        assert!(command.status().ok()?.success());
        std::fs::read_to_string(self.folder.join("modules.dep")).ok()
    }
}
