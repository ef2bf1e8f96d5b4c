//! Alpine's packages and indexes: the archives, and the texts in them.

use formats::apk::{IndexError, SignatureError, decode_bytes, open_index};
use packages::apk::{PackageInfo, install_order, newest_build_secs};
use packages::{Catalog, Origin};
use spec::appliance::Arch;
use spec::base::Family;

/// A package, whoever made it: every path with a checksum or an owner is one that it brings.
pub fn apk(data: &[u8]) -> bool {
    let Ok(apk) = decode_bytes(data) else { return false };
    let mut named = apk.checksums.keys().chain(apk.owner_names.keys());
    assert!(named.all(|path| apk.tree.get(path).is_some()), "a path that is not there has a checksum or an owner");
    true
}

/// A signed index. Without keys nothing is taken, and what is understood of it is who should have vouched for it.
pub fn index(data: &[u8]) -> bool {
    match open_index(data, &[]) {
        Ok(index) => panic!("taken from {} without a key", index.signer),
        Err(error) => matches!(error, IndexError::Signature(SignatureError::UnknownKey { .. })),
    }
}

/// The text of an index, and the same bytes as what a package says of itself.
pub fn text(data: &[u8]) -> bool {
    drop(PackageInfo::parse(data));
    drop(install_order(&[data, b"pkgname = b\npkgver = 1\n"]));
    assert!(newest_build_secs(data) >= 0);
    let origin = Origin { archive: "alpine".to_owned(), suite: "v1".to_owned(), component: "main".to_owned() };
    let mut catalog = Catalog::new(Family::Apk, Arch::Amd64).expect("Alpine is supported");
    if catalog.add_index(origin, data).is_err() {
        return false;
    }
    let rules = catalog.rules();
    for (_, package) in catalog.packages() {
        let path = package.path();
        assert!(path.starts_with("v1/main/x86_64/") && path.split('/').all(|part| part != ".."), "{path}");
        drop((rules.needs(package, Arch::Amd64), rules.conflicts(package, Arch::Amd64)));
        drop((rules.provides(package), rules.comes_with(package)));
    }
    true
}
