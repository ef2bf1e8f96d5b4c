//! Every fuzz target on its seeds and on mutations of them that are the same in every run: what a stable toolchain can
//! do of `make fuzz` in seconds. Input is `fuzz/seeds/TARGET/`, one test a target; a failure names the seed and the mutation.

use std::fs;
use std::panic;
use std::path::Path;

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

/// A generator of numbers that look random: xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// The seeds of a target, sorted by name.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed")).collect()
}

/// A few small changes to one seed, with pieces of the others.
fn mutated(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let end = (at + 1 + numbers.below(40)).min(bytes.len());
        match numbers.below(8) {
            0 => bytes.truncate(at),
            1 if at < end => drop(bytes.drain(at..end)),
            2 if at < end => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len());
                let piece = other[from..(from + 40).min(other.len())].to_vec();
                bytes.splice(at..end, piece);
            }
            4 => {
                let odd: [&[u8]; 8] =
                    [b"\0", b"\xff\xff\xff\xff", b"0", b"-1", b"99999999999999999999", b"\n", b"{", b"\xe2\x80\xa8"];
                bytes.splice(at..at, odd[numbers.below(odd.len())].iter().copied());
            }
            5 if at < end => bytes[at] ^= 1 << numbers.below(8),
            _ if at < end => bytes[at] = numbers.next() as u8,
            _ => {}
        }
    }
    bytes
}

fn check(target: &str) {
    let (_, _, mutations) = *targets::ALL.iter().find(|(name, ..)| *name == target).expect("the target has a row");
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    assert!(seeds.iter().any(|seed| targets::run(target, seed)), "{target} understands none of its seeds");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let inputs = seeds.iter().cloned().map(|seed| ("seed", seed));
    let mutations: Vec<_> = (0..mutations).map(|_| ("mutation", mutated(&seeds, &mut numbers))).collect();
    for (at, (kind, input)) in inputs.chain(mutations).enumerate() {
        let result = panic::catch_unwind(|| targets::run(target, &input));
        assert!(result.is_ok(), "{target}, {kind} {at}: b\"{}\"", input.escape_ascii());
    }
}

macro_rules! smoke {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            check(stringify!($target));
        })*

        #[test]
        fn every_target_is_run() {
            let rows: Vec<&str> = targets::ALL.iter().map(|(name, ..)| *name).collect();
            assert_eq!(rows, [$(stringify!($target)),*]);
        }
    };
}

smoke! {
    spec base control release catalog lock apt_sources decoded tree_dump ar tar compression deb apk apk_index apk_text shell_parse shell_run
    assemble ext4 qcow2 cpio kernel kmod pe certificate command_line documents bundle seccomp layer image_layers image_documents
    image_reference registry_texts installed channel qmp wire
}
