//! Hash trees of dm-verity: equal to cryptsetup's, and accepted by it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test may compare with cryptsetup")]

use std::io::Cursor;
use std::process::Command;

use formats::region::{RegionSink, SeekSink};
use formats::verity::{self, HashTree, Hasher, Options, VerityError};
use proptest::prelude::*;

fn options() -> Options {
    Options { uuid: *b"\x0f\x6eJ\x10\x124\x8a\xbc\x9d\xef\0\x11\"3DU", salt: (1..=32).collect() }
}

/// A device of this many blocks: some are zero, some are not.
fn device(blocks: usize) -> Vec<u8> {
    let mut device = vec![0; blocks * 4096];
    for (number, block) in device.chunks_mut(4096).enumerate().filter(|(number, _)| number % 3 != 1) {
        block.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 31 + number * 7) as u8);
    }
    device
}

fn hash(device: &[u8]) -> HashTree {
    let mut hasher = Hasher::new(options(), device.len() as u64).unwrap();
    hasher.data(0, device).unwrap();
    hasher.finish()
}

fn image(tree: &HashTree) -> Vec<u8> {
    let mut sink = SeekSink::new(Cursor::new(Vec::new()));
    tree.write(&mut sink).unwrap();
    let mut image = sink.into_inner().into_inner();
    image.resize(tree.size_bytes() as usize, 0);
    image
}

#[test]
fn the_tree_is_pinned() {
    let tree = hash(&device(300));
    assert_eq!(tree.size_bytes(), verity::size_bytes(300 * 4096).unwrap());
    assert_eq!(tree.size_bytes(), (1 + 1 + 3) * 4096);
    assert_eq!(tree.root_hash_text(), "ed9b11c899f9c34ec9246421692c7ff2d69a8053a083fd5e1c336a6cc832b498");
    assert_eq!(
        tree::Digest::of(&image(&tree)).to_string(),
        "4e838bd11368cd74fcf88ef9d834913e6543347dea70ba417d3ff58e03b95edb"
    );
}

#[test]
fn cryptsetup_makes_the_same_and_accepts_it() {
    let name = "cryptsetup_makes_the_same_and_accepts_it";
    let Some(program) =
        ["/usr/sbin/veritysetup", "/sbin/veritysetup"].into_iter().find(|path| std::path::Path::new(path).exists())
    else {
        return eprintln!("SKIP {name}: there is no veritysetup (package cryptsetup-bin)");
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let salt: String = options().salt.iter().map(|byte| format!("{byte:02x}")).collect();
    for blocks in [1, 2, 128, 129, 300, 128 * 128 + 1] {
        let device = device(blocks);
        let tree = hash(&device);
        std::fs::write(path("data"), &device).unwrap();
        std::fs::write(path("own"), image(&tree)).unwrap();
        let output = Command::new(program)
            .args(["format", &path("data"), &path("theirs"), "--uuid", "0f6e4a10-1234-8abc-9def-001122334455"])
            .args(["--salt", &salt])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        assert!(text.contains(&tree.root_hash_text()), "{blocks}: {text}");
        let mut theirs = std::fs::read(path("theirs")).unwrap();
        theirs.resize(theirs.len().next_multiple_of(4096), 0);
        assert!(theirs == image(&tree), "{blocks}: the images differ");
        let verify = |root: &str| {
            Command::new(program).args(["verify", &path("data"), &path("own"), root]).output().unwrap().status.success()
        };
        assert!(verify(&tree.root_hash_text()), "{blocks}");
        assert!(!verify(&"0".repeat(64)), "{blocks}");
        let _ = std::fs::remove_file(path("theirs"));
    }
}

#[test]
fn what_cannot_be_hashed_is_refused() {
    assert_eq!(Hasher::new(options(), 0).err(), Some(VerityError::Size(0)));
    assert_eq!(verity::size_bytes(5000), Err(VerityError::Size(5000)));
    let long = Options { salt: vec![0; 257], ..options() };
    assert_eq!(Hasher::new(long, 4096).err(), Some(VerityError::Salt(257)));
    let mut hasher = Hasher::new(options(), 4 * 4096).unwrap();
    hasher.data(4096, &[1; 10]).unwrap();
    assert!(hasher.data(4000, &[1; 10]).is_err());
}

proptest! {
    #[test]
    fn pieces_and_holes_change_nothing(cuts in proptest::collection::vec(1..20_000_usize, 0..30)) {
        let device = device(40);
        let mut hasher = Hasher::new(options(), device.len() as u64).unwrap();
        let mut at = 0;
        for cut in cuts.into_iter().chain([device.len()]) {
            let piece = &device[at..(at + cut).min(device.len())];
            // A piece of only zeros is left out, as writers leave it out.
            if piece.iter().any(|byte| *byte != 0) {
                hasher.data(at as u64, piece).unwrap();
            }
            at += piece.len();
        }
        prop_assert_eq!(hasher.finish().root_hash(), hash(&device).root_hash());
    }
}
