//! Who signed a member: `.SIGN.RSA.KEY` and `.SIGN.RSA256.KEY` files (apk-package(5), "Signature"), which hold an
//! RSASSA-PKCS1-v1_5 signature (RFC 8017 section 8.2) of the member that follows, made over its SHA-1 or SHA-256.

use std::collections::BTreeMap;
use std::fmt;

use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256};

/// A key file, PEM with SubjectPublicKeyInfo (RFC 7468 section 13), by its name: signatures name their key by it.
pub type KeyFile = (String, Vec<u8>);

/// The shortest key that counts. Alpine's oldest that are in use have 2048 bits.
const MIN_KEY_BITS: usize = 2048;

/// `AlgorithmIdentifier` and the head of the digest in a DigestInfo (RFC 8017 section 9.2, note 1).
const SHA1_PREFIX: &[u8] = &[0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];
const SHA256_PREFIX: &[u8] =
    &[0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// The key that vouches for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Name of its file.
    pub key: String,
    /// SHA-256 of its SubjectPublicKeyInfo, upper-case hexadecimal.
    pub fingerprint: String,
}

/// As a lock has it: name and fingerprint.
impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.fingerprint)
    }
}

/// Why nobody vouches for something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// There are signatures, but by no key that is at hand.
    #[error("it is signed by {}, and {} trusted", signed_by.join(", "), only(trusted))]
    UnknownKey {
        /// Names of the keys, sorted.
        signed_by: Vec<String>,
        /// Names of the keys that are at hand, sorted.
        trusted: Vec<String>,
    },
    /// A key that is at hand signed it, and the signature calls it by another name.
    #[error("it is signed by {signed_by}; the key file {key} is that key, and a key counts under its name only")]
    OtherName {
        /// The name of the key in the signature.
        signed_by: String,
        /// The name of its file here.
        key: String,
    },
    /// A key that is at hand did not sign these bytes.
    #[error("it is not by the key {key} that is trusted, or the bytes were changed")]
    Wrong {
        /// Name of the key.
        key: String,
    },
    /// A key file that cannot be read.
    #[error("the key file {key} holds no RSA public key in PEM")]
    Key {
        /// Its name.
        key: String,
    },
    /// A key that is too short to prove anything.
    #[error("the key {key} has only {bits} bits; {MIN_KEY_BITS} are needed")]
    Weak {
        /// Name of the key.
        key: String,
        /// Its length.
        bits: usize,
    },
    /// The bytes were made to have the SHA-1 digest of others.
    #[error("the bytes carry the marks of a collision of SHA-1")]
    Collision,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Sha1,
    Sha256,
}

/// A signature: how it was made, the name of its key, and its bytes.
type Signature<'a> = ((Algorithm, &'a str), &'a Vec<u8>);

/// Verifies the bytes of a member by the files of the signature member before it.
///
/// Every signature by a trusted key must be right, and there must be one. A key is told by its name, as the real `apk` has
/// it: inside of what is built it must be found by that name too.
pub(super) fn verify(
    signatures: &BTreeMap<String, Vec<u8>>,
    signed: &[u8],
    keys: &[KeyFile],
) -> Result<Signer, SignatureError> {
    let named: Vec<Signature<'_>> =
        signatures.iter().filter_map(|(name, bytes)| Some((algorithm(name)?, bytes))).collect();
    if named.is_empty() {
        return Err(SignatureError::Unsigned);
    }
    let mut signer = None;
    for ((algorithm, name), signature) in &named {
        if let Some((_, pem)) = keys.iter().find(|(key, _)| key == name) {
            signer = Some(check(*algorithm, name, signature, signed, pem)?);
        }
    }
    signer.ok_or_else(|| by_nobody_known(&named, signed, keys))
}

/// What to say of signatures by keys of which none is at hand under its name.
fn by_nobody_known(named: &[Signature<'_>], signed: &[u8], keys: &[KeyFile]) -> SignatureError {
    let mut signed_by: Vec<String> = named.iter().map(|((_, name), _)| (*name).to_owned()).collect();
    signed_by.dedup();
    let mut trusted: Vec<String> = keys.iter().map(|(key, _)| key.clone()).collect();
    trusted.sort();
    for ((algorithm, name), signature) in named {
        let is_by = |(key, pem): &&KeyFile| check(*algorithm, key, signature, signed, pem).is_ok();
        if let Some((key, _)) = keys.iter().find(is_by) {
            return SignatureError::OtherName { signed_by: (*name).to_owned(), key: key.clone() };
        }
    }
    SignatureError::UnknownKey { signed_by, trusted }
}

fn only(trusted: &[String]) -> String {
    match trusted {
        [] => "no key at all is".to_owned(),
        [one] => format!("only {one} is"),
        several => format!("only {} are", several.join(", ")),
    }
}

/// Whether a file of a member is a signature of any kind.
pub(super) fn is_signature(name: &str) -> bool {
    name.starts_with(".SIGN.")
}

fn algorithm(name: &str) -> Option<(Algorithm, &str)> {
    let sha1 = || Some((Algorithm::Sha1, name.strip_prefix(".SIGN.RSA.")?));
    let sha256 = || Some((Algorithm::Sha256, name.strip_prefix(".SIGN.RSA256.")?));
    sha1().or_else(sha256)
}

/// Whether a key file holds a key that could vouch for something.
///
/// # Errors
/// What is wrong with it.
pub fn check_key((name, pem): &KeyFile) -> Result<(), SignatureError> {
    read_key(name, pem).map(drop)
}

fn read_key(name: &str, pem: &[u8]) -> Result<RsaPublicKey, SignatureError> {
    let unreadable = || SignatureError::Key { key: name.to_owned() };
    let text = std::str::from_utf8(pem).map_err(|_| unreadable())?;
    let key = RsaPublicKey::from_public_key_pem(text.trim()).map_err(|_| unreadable())?;
    match key.n().bits() {
        bits if bits < MIN_KEY_BITS => Err(SignatureError::Weak { key: name.to_owned(), bits }),
        _ => Ok(key),
    }
}

fn check(
    algorithm: Algorithm,
    name: &str,
    signature: &[u8],
    signed: &[u8],
    pem: &[u8],
) -> Result<Signer, SignatureError> {
    let key = read_key(name, pem)?;
    let (prefix, digest) = match algorithm {
        Algorithm::Sha1 => (SHA1_PREFIX, sha1(signed).ok_or(SignatureError::Collision)?.to_vec()),
        Algorithm::Sha256 => (SHA256_PREFIX, Sha256::digest(signed).to_vec()),
    };
    let scheme = Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: prefix.into() };
    key.verify(scheme, &digest, signature).map_err(|_| SignatureError::Wrong { key: name.to_owned() })?;
    let der = key.to_public_key_der().map_err(|_| SignatureError::Key { key: name.to_owned() })?;
    let fingerprint = Sha256::digest(der.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(Signer { key: name.to_owned(), fingerprint })
}

/// SHA-1, unless the bytes were made to collide.
pub(super) fn sha1(bytes: &[u8]) -> Option<[u8; 20]> {
    let result = sha1_checked::Sha1::try_digest(bytes);
    (!result.has_collision()).then(|| (*result.hash()).into())
}
