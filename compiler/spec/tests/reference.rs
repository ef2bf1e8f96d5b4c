//! Keeps `docs/spec-reference.md` equal to what the language's table says. `UPDATE=1` writes it anew.

use std::fs;
use std::path::Path;

#[test]
#[expect(clippy::disallowed_methods, reason = "a test compares a file")]
fn the_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec-reference.md");
    if std::env::var("UPDATE").is_ok() {
        fs::write(&path, spec::reference()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == spec::reference(),
        "docs/spec-reference.md is stale; run `UPDATE=1 cargo test -p spec --test reference`"
    );
}
