//! Times whole disks, for `tools/bench`: a folder becomes the root of a disk, which is written into containers in one pass.
//!
//! `disk_folder FOLDER OUT FORMAT...` writes `OUT/disk.FORMAT` for `raw`, `qcow2-zlib`, `qcow2-zstd`, `vhdx` and `vmdk`
//! and prints entries, bytes, milliseconds and its peak memory in KiB. Planning, writing and digesting are timed: a
//! build gets its tree decoded from the store.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a measurement needs files and a clock")]

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Instant;

use formats::ext4::{self, Options};
use formats::qcow2::Compression;
use image::{Container, DiskPlan, DiskSize, Ext4Source, Format, Identity, Partition, write_containers};
use spec::appliance::Arch;
use tree::{Digest, Tree};

mod folder;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, out, formats @ ..] = &args[..] else {
        return Err("usage: disk_folder FOLDER OUT FORMAT...".into());
    };
    let (tree, files) = folder::read(Path::new(folder))?;
    let start = Instant::now();
    write(&tree, &files, Path::new(out), formats)?;
    let took = start.elapsed();
    let peak = folder::peak_kib().unwrap_or_default();
    writeln!(io::stdout(), "{} {} {:.1} {peak}", tree.len(), files.bytes, took.as_secs_f64() * 1000.0)?;
    Ok(())
}

fn write(tree: &Tree, files: &folder::Files, out: &Path, formats: &[String]) -> Result<(), Box<dyn Error>> {
    let identity = Identity { lock_core: Digest::of(b"bench"), epoch_secs: 1_700_000_000, tool_version: String::new() };
    let layout = ext4::plan(tree, &Options::read_only([1; 16], [2; 16], 1_700_000_000))?;
    let root = Partition::root(Ext4Source { layout: &layout, tree, blobs: files }, true);
    let esp = Partition::esp(Arch::Amd64, Vec::new(), &identity)?;
    let plan = DiskPlan::new(Arch::Amd64, DiskSize::Minimal, vec![esp, root], &identity)?;
    let format_of = |name: &String| match name.as_str() {
        "raw" => Ok(Format::Raw),
        "qcow2-zlib" => Ok(Format::Qcow2(Compression::Zlib)),
        "qcow2-zstd" => Ok(Format::Qcow2(Compression::Zstd)),
        "vhdx" => Ok(Format::Vhdx(plan.vhdx_ids(&identity))),
        "vmdk" => {
            let content_id = plan.vmdk_content_id(&identity);
            Ok(Format::Vmdk { content_id, file_name: "disk.vmdk".to_owned() })
        }
        other => Err(format!("no format `{other}`")),
    };
    let create = |name: &String| {
        let path = out.join(format!("disk.{name}"));
        File::options().read(true).write(true).create(true).truncate(true).open(path)
    };
    let formats_of = formats.iter().map(format_of).collect::<Result<Vec<_>, _>>()?;
    let mut outputs = formats.iter().map(create).collect::<io::Result<Vec<_>>>()?;
    let containers = formats_of.into_iter().zip(&mut outputs).map(|(format, output)| Container { format, output });
    write_containers(&plan, containers.collect(), thread::available_parallelism()?.get())?;
    Ok(())
}
