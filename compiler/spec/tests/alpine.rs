//! Alpine as data: its description is read like every base image's, and it is not offered before it can be built.

#[test]
fn alpine_is_described_and_not_yet_offered() {
    let bases = spec::alpine_bases();
    let [base] = bases.as_slice() else { panic!("{bases:?}") };
    assert_eq!((base.name.as_str(), base.release.as_str(), base.version.as_str()), ("alpine", "v3.20", "3.20"));
    assert_eq!(base.archives[0].suites[0].components, ["main", "community"]);
    // Signatures name their key by its file's name.
    assert!(
        base.archives[0].keys.iter().any(|(name, _)| name == "alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub")
    );
    assert!(spec::builtin_bases().iter().all(|base| base.name != "alpine"));
}
