//! Alpine as data: its description is read like every base image's.

#[test]
fn alpine_is_a_base_like_any_other() {
    let bases: Vec<_> = spec::builtin_bases().into_iter().filter(|base| base.name == "alpine").collect();
    let [base] = bases.as_slice() else { panic!("{bases:?}") };
    assert_eq!((base.name.as_str(), base.release.as_str(), base.version.as_str()), ("alpine", "v3.20", "3.20"));
    assert_eq!(base.archives[0].suites[0].components, ["main", "community"]);
    // Signatures name their key by its file's name.
    assert!(
        base.archives[0].keys.iter().any(|(name, _)| name == "alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub")
    );
}
