//! Which signed releases are accepted, and what is said about the others.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should fail")]

#[path = "support/signer.rs"]
mod signer;

use packages::deb::{Compression, Expectation, Release, ReleaseError, verify_inrelease};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{RevocationCode, SubpacketData};
use pgp::types::Duration;
use signer::{BORN, Certificate, Signer, sign_with};
use spec::appliance::Arch;

const DAY: i64 = 86_400;
/// 2025-05-17T08:55:38Z, the date in the toy release.
const MADE: i64 = 1_747_472_138;
const NOW: i64 = MADE + 3600;

fn text() -> String {
    let digest = "ab".repeat(32);
    format!(
        "Origin: Toy\nSuite: stable\nCodename: toy\nDate: Sat, 17 May 2025 08:55:38 UTC\n\
         Valid-Until: Sat, 24 May 2025 08:55:38 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\n\
         Components: main updates/extra\nDescription: one\n - two -- three\nSHA256:\n {digest} 10 main/binary-amd64/Packages\n \
         {digest}  5 main/binary-amd64/Packages.xz\n"
    )
}

fn expectation() -> Expectation<'static> {
    Expectation {
        suite: "stable",
        codename: Some("toy"),
        components: &[],
        arches: &[Arch::Amd64],
        now_secs: NOW,
        previous_date_secs: None,
    }
}

fn verify(signed: &str, certificates: &[Vec<u8>], expect: &Expectation<'_>) -> Result<Release, ReleaseError> {
    let keys: Vec<_> = certificates.iter().map(|bytes| ("toy.gpg".to_owned(), bytes.clone())).collect();
    verify_inrelease(signed.as_bytes(), &keys, expect)
}

/// The words of the verdict, with `KEY` for the primary key's fingerprint and `SUB` for the subkey's.
fn words(verdict: Result<Release, ReleaseError>, signer: &Signer) -> String {
    use pgp::types::KeyDetails;
    let words = verdict.map_or_else(|error| error.to_string(), |release| format!("good, by {}", release.key));
    words.replace(&signer.fingerprint(), "KEY").replace(&format!("{:X}", signer.sub.fingerprint()), "SUB")
}

/// A release signed by both keys in turn and judged with this certificate.
#[track_caller]
fn check_certificate(wish: Certificate, primary: &str, sub: &str) {
    let signer = if wish.self_hash == HashAlgorithm::Sha1 { Signer::rsa(3) } else { Signer::new(1) };
    let certificate = [signer.certificate(&wish)];
    let verdict = |signed: String| words(verify(&signed, &certificate, &expectation()), &signer);
    assert_eq!(verdict(signer.sign(&text(), MADE)), primary, "signed by the primary key");
    assert_eq!(verdict(signer.sign_with_subkey(&text(), MADE)), sub, "signed by the subkey");
}

#[track_caller]
fn check_expectation(expect: Expectation<'_>, expected: &str) {
    let signer = Signer::new(1);
    let signed = signer.sign(&text(), MADE);
    assert_eq!(words(verify(&signed, &[signer.certificate(&Certificate::default())], &expect), &signer), expected);
}

#[test]
fn a_good_release_is_read() {
    let signer = Signer::new(1);
    let other = Signer::new(2).certificate(&Certificate::default());
    let signed = signer.sign(&text(), MADE);
    let release = verify(&signed, &[other, signer.certificate(&Certificate::default())], &expectation()).unwrap();
    assert_eq!(release.key, signer.fingerprint());
    assert_eq!(release.sha256, packages::Sha256::of(signed.as_bytes()));
    assert_eq!((release.date_secs, release.valid_until_secs), (MADE, Some(MADE + 7 * DAY)));
    assert_eq!(release.components, ["main", "extra"]);
    assert!(release.all_apart && release.by_hash);
    let found = release.index("main", "amd64");
    let kinds: Vec<_> = found.iter().map(|c| (c.compression, c.size_bytes)).collect();
    assert_eq!(kinds, [(Compression::Xz, 5), (Compression::None, 10)]);
    assert_eq!(found[0].path, "main/binary-amd64/Packages.xz");
    assert_eq!(
        found[0].by_hash_path.as_deref().unwrap(),
        format!("main/binary-amd64/by-hash/SHA256/{}", "ab".repeat(32))
    );
    assert!(release.index("contrib", "amd64").is_empty());
}

#[test]
fn armoured_keys_are_read_too() {
    use pgp::composed::{ArmorOptions, Deserializable, SignedPublicKey};
    let signer = Signer::new(1);
    let binary = signer.certificate(&Certificate::default());
    let key = SignedPublicKey::from_bytes(binary.as_slice()).unwrap();
    let armoured = key.to_armored_bytes(ArmorOptions::default()).unwrap();
    assert!(verify(&signer.sign(&text(), MADE), &[armoured], &expectation()).is_ok());
}

#[test]
fn keys() {
    let good = "good, by KEY";
    let year: u32 = 365 * 86_400;
    let expired = "the key KEY expired at 2021-09-13T12:26:40Z, before it signed";
    let sub_expired = "the key SUB expired at 2021-09-13T12:26:40Z, before it signed";
    let default = Certificate::default;
    check_certificate(default(), good, good);
    check_certificate(Certificate { primary_lifetime: year, ..default() }, expired, expired);
    check_certificate(Certificate { primary_lifetime: year * 10, sub_lifetime: year * 10, ..default() }, good, good);
    check_certificate(Certificate { sub_lifetime: year, ..default() }, good, sub_expired);
    let revoked = |code, when| Certificate { revoked: Some((code, when)), ..default() };
    let (is_revoked, sub_is_revoked) = ("the key KEY is revoked", "the key SUB is revoked");
    check_certificate(revoked(RevocationCode::KeyCompromised, MADE + 1), is_revoked, is_revoked);
    check_certificate(revoked(RevocationCode::NoReason, MADE + 1), is_revoked, is_revoked);
    check_certificate(revoked(RevocationCode::KeySuperseded, MADE + 1), good, good);
    check_certificate(revoked(RevocationCode::KeyRetired, MADE - 1), is_revoked, is_revoked);
    let sub_revoked = Some((RevocationCode::KeyCompromised, MADE + 1));
    check_certificate(Certificate { sub_revoked, ..default() }, good, sub_is_revoked);
    let not_signing = "the key SUB cannot vouch for it: it is not meant for signing";
    check_certificate(Certificate { sub_signs: false, ..default() }, good, not_signing);
    let certifies = "the key KEY cannot vouch for it: it may only certify other keys";
    check_certificate(Certificate { primary_signs: false, ..default() }, certifies, good);
    let unbound = "the key SUB cannot vouch for it: it does not say that it belongs to its primary key";
    check_certificate(Certificate { back_signature: false, ..default() }, good, unbound);
    let weak = "the key KEY cannot vouch for it: it has no valid signature of its own, made with SHA-256 or better";
    check_certificate(Certificate { self_hash: HashAlgorithm::Sha1, ..default() }, weak, weak);
}

#[test]
fn signatures() {
    let signer = Signer::new(1);
    let certificate = [signer.certificate(&Certificate::default())];
    let check = |signed: &str, expected: &str| {
        assert_eq!(words(verify(signed, &certificate, &expectation()), &signer), expected);
    };
    let signed = signer.sign(&text(), MADE);
    let changed = "it was changed after the key KEY signed it";
    check(&signed.replace("Suite: stable", "Suite: stabIe"), changed);
    check(&signed.replace("- two", "-two"), changed);
    check(&signed.replace("Origin: Toy", "Origin: Toy \t"), "good, by KEY");
    check(&text(), "it has no signature: it starts with `Origin: Toy`");
    check("<!doctype html>\n<title>Log in</title>", "it has no signature: it starts with `<!doctype html>`");
    check("", "it has no signature: it starts with ``");
    check(&format!("Origin: Evil\n{signed}"), "it has no signature: it starts with `Origin: Evil`");
    for cut in [40, 200, signed.len() - 60, signed.len() - 100] {
        let verdict = words(verify(&signed[..cut], &certificate, &expectation()), &signer);
        assert!(verdict.starts_with("its signature cannot be read: "), "{cut}: {verdict}");
    }
    let verdict = words(verify(&format!("{signed}\nOrigin: Evil\n"), &certificate, &expectation()), &signer);
    assert!(verdict.starts_with("its signature cannot be read: "), "text after the signature: {verdict}");
    check(
        &signer.sign(&text(), NOW + 2 * DAY),
        "the key KEY signed it at 2025-05-19T09:55:38Z, which is in the future: is the clock right?",
    );
    check(&signer.sign(&text(), BORN - 1), "the key KEY cannot vouch for it: it did not exist yet");
    let short = SubpacketData::SignatureExpirationTime(Duration::from_secs(60));
    check(
        &sign_with(&signer.primary, &text(), MADE, HashAlgorithm::Sha512, vec![short]),
        "the signature of the key KEY expired at 2025-05-17T08:56:38Z",
    );
    let unknown = SubpacketData::Experimental(101, vec![1].into());
    check(
        &sign_with(&signer.primary, &text(), MADE, HashAlgorithm::Sha512, vec![unknown]),
        "the key KEY cannot vouch for it: its signature states a condition that is not understood",
    );
    let stranger = Signer::new(2);
    check(
        &stranger.sign(&text(), MADE),
        &format!("it is signed by {}, and only KEY may sign it", stranger.fingerprint()),
    );
    let nobody = verify(&signed, &[], &expectation()).map_err(|error| error.to_string());
    assert!(nobody.as_ref().is_err_and(|error| error.ends_with("and no key at all may sign it")), "{nobody:?}");
    assert!(matches!(verify(&signed, &[b"junk".to_vec()], &expectation()), Err(ReleaseError::UnreadableKey { .. })));
}

#[test]
fn weak_digests_are_refused() {
    let signer = Signer::rsa(3);
    let signed = sign_with(&signer.primary, &text(), MADE, HashAlgorithm::Sha1, vec![]);
    assert_eq!(
        words(verify(&signed, &[signer.certificate(&Certificate::default())], &expectation()), &signer),
        "the key KEY signed it with SHA1, which is too weak; SHA-256 or better is needed",
    );
}

#[test]
fn a_borrowed_subkey_does_not_count() {
    // The stranger's signing subkey under our primary key, with a binding that our key never made.
    use pgp::composed::{Deserializable, SignedPublicKey};
    use pgp::ser::Serialize;
    let (signer, stranger) = (Signer::new(1), Signer::new(2));
    let read =
        |signer: &Signer| SignedPublicKey::from_bytes(signer.certificate(&Certificate::default()).as_slice()).unwrap();
    let mut key = read(&signer);
    key.public_subkeys = read(&stranger).public_subkeys;
    let verdict = verify(&stranger.sign_with_subkey(&text(), MADE), &[key.to_bytes().unwrap()], &expectation());
    assert_eq!(words(verdict, &stranger), "the key SUB cannot vouch for it: nothing binds it to its primary key");
}

#[test]
fn expectations() {
    let expect = expectation;
    check_expectation(expect(), "good, by KEY");
    check_expectation(Expectation { suite: "toy", codename: None, ..expect() }, "good, by KEY");
    check_expectation(
        Expectation { suite: "testing", ..expect() },
        "it is the release of stable (toy), not of testing",
    );
    check_expectation(
        Expectation { codename: Some("lego"), ..expect() },
        "it is the release of `toy`, and the base image expects `lego`",
    );
    check_expectation(Expectation { components: &["extra".to_owned()], ..expect() }, "good, by KEY");
    check_expectation(
        Expectation { components: &["contrib".to_owned()], ..expect() },
        "it has no component `contrib`, only main, extra",
    );
    check_expectation(
        Expectation { arches: &[Arch::Amd64, Arch::Arm64], ..expect() },
        "it has no architecture arm64, only all, amd64",
    );
    check_expectation(
        Expectation { now_secs: MADE + 8 * DAY, ..expect() },
        "it was valid until 2025-05-24T08:55:38Z, and now is 2025-05-25T08:55:38Z: the mirror is stale",
    );
    check_expectation(
        Expectation { now_secs: MADE - DAY / 2, previous_date_secs: Some(MADE), ..expect() },
        "good, by KEY",
    );
    check_expectation(
        Expectation { previous_date_secs: Some(MADE + 60), ..expect() },
        "it was made at 2025-05-17T08:55:38Z, before the one of 2025-05-17T08:56:38Z that was accepted earlier: \
         an old release is played back",
    );
}

#[test]
fn a_release_from_the_future_is_refused() {
    let signer = Signer::new(1);
    let signed = signer.sign(&text(), MADE - 10 * DAY);
    let expect = Expectation { now_secs: MADE - 9 * DAY, ..expectation() };
    let verdict = words(verify(&signed, &[signer.certificate(&Certificate::default())], &expect), &signer);
    assert_eq!(verdict, "it was made at 2025-05-17T08:55:38Z, and now is 2025-05-08T08:55:38Z: is the clock right?");
}
