//! Times `root.ext4` alone, for `tools/bench`: a folder becomes a tree, which is planned and written as in a build.
//!
//! `ext4_folder generate FOLDER ENTRIES BYTES NAMES` makes a folder of random files, NAMES of them in each folder.
//! `ext4_folder write FOLDER IMAGE` prints entries, bytes, milliseconds and its peak memory in KiB. Only planning,
//! writing and digesting are timed: a build gets its tree decoded from the store.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a measurement needs files and a clock")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use formats::ext4::{self, Options};

mod folder;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", folder, entries, bytes, names] => {
            generate(Path::new(folder), entries.parse()?, bytes.parse()?, names.parse()?)?;
        }
        ["write", folder, image] => write(Path::new(folder), Path::new(image))?,
        _ => return Err("usage: ext4_folder generate FOLDER ENTRIES BYTES NAMES | write FOLDER IMAGE".into()),
    }
    Ok(())
}

/// Files of sizes that differ as those of a distribution do: most are small, a few hold most of the bytes.
fn generate(folder: &Path, entries: u64, bytes: u64, names: u64) -> io::Result<()> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let weights: Vec<u64> = (0..entries).map(|_| 1 << (next() % 12)).collect();
    let total: u64 = weights.iter().sum();
    for (at, weight) in weights.iter().enumerate() {
        let parent = folder.join(format!("folder-{:04}", at as u64 / names));
        fs::create_dir_all(&parent)?;
        let size = (bytes * weight / total) as usize;
        let content: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(size).collect();
        fs::write(parent.join(format!("file-with-a-usual-name-{at:06}.so")), content)?;
    }
    Ok(())
}

fn write(folder: &Path, image: &Path) -> Result<(), Box<dyn Error>> {
    let (tree, files) = folder::read(folder)?;

    let start = Instant::now();
    let layout = ext4::plan(&tree, &Options::read_only([1; 16], [2; 16], 1_700_000_000))?;
    let output = File::create(image)?;
    output.set_len(layout.size_bytes())?;
    image::write_disk(output, layout.size_bytes(), &mut |sink| {
        ext4::write(&layout, &tree, &files, sink).map_err(io::Error::other)
    })?;
    let took = start.elapsed();

    let peak = folder::peak_kib().unwrap_or_default();
    writeln!(io::stdout(), "{} {} {:.1} {peak}", tree.len(), files.bytes, took.as_secs_f64() * 1000.0)?;
    Ok(())
}
