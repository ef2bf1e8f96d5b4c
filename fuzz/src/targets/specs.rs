//! Specs and base images: texts that users write.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use spec::appliance::Arch;
use spec::base::BaseImage;
use spec::{Source, Span, World};

/// The base images that ship with the program, read once.
pub static BASES: LazyLock<Vec<BaseImage>> = LazyLock::new(spec::builtin_bases);

/// Parses, checks, explains and formats. What the formatter writes means the same and stays as it is; what `explain`
/// writes checks again.
pub fn spec(data: &[u8]) -> bool {
    let fragments = BTreeMap::from([("common.kdl".to_owned(), "env A=\"b\"\nuse \"common.kdl\"\n".to_owned())]);
    let world = World { bases: &BASES, host_arch: Arch::Amd64, allow_outside: false };
    let parsed = spec::parse_bytes("fuzz.kdl", data, &fragments);
    let checked = match &parsed {
        Ok(spec) => spec::check(spec, &world).map_err(|found| (found, spec.sources())),
        Err(rejected) => Err((spec::check_rest(rejected, &world), &rejected.sources)),
    };
    match &checked {
        Ok(checked) => {
            let source = Source { name: "explained.kdl".to_owned(), text: spec::explain(checked) };
            let again = spec::parse(&source, &fragments).map_err(|rejected| rejected.diagnostics);
            let again = again.and_then(|again| spec::check(&again, &world));
            let again = again.unwrap_or_else(|found| panic!("explained text is refused: {found:?}\n{}", source.text));
            assert_eq!(again.appliance, checked.appliance, "{}", source.text);
        }
        Err((found, sources)) => {
            assert!(found.iter().any(spec::Diagnostic::is_error), "refused without an error");
            drop(spec::plain(found));
            for label in found.iter().flat_map(|one| &one.labels) {
                let text = sources.text(&label.source).expect("a label is in a text that was read");
                let Span { offset, len } = label.span;
                assert!(
                    text.get(offset..offset + len).is_some(),
                    "a label's span cuts a character or lies outside: {label:?}"
                );
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        formats(text);
    }
    checked.is_ok()
}

fn formats(text: &str) {
    if let Ok(once) = spec::format("fuzz.kdl", text) {
        let twice = spec::format("fuzz.kdl", &once);
        assert_eq!(twice.as_ref(), Ok(&once), "formatting a formatted text changes it");
    }
}

/// Reads a base image.
pub fn base(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data).into_owned();
    let keys = [("keys/a.gpg".to_owned(), b"key".to_vec())];
    let folder = spec::BaseFolder { name: None, keys: &keys, is_key: &|_, _| Ok(()) };
    let source = Source { name: "base.kdl".to_owned(), text };
    let read = spec::read_base(&source, folder).is_ok();
    assert!(!read || spec::name_of_base(&source).is_some(), "a base that is read has a name");
    read
}
