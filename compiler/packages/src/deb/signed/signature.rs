//! The policy for signatures over a release: one good signature by a trusted key is enough, and when there is none,
//! the refusal that comes nearest to a good one is told.

use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey};
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, VerifyingKey};

use super::CLOCK_SLACK_SECS;
use super::error::ReleaseError;
use super::keyring::{Keyring, has_unknown_critical_part, hex, is_strong, made_at, primary_may_sign, subkey_may_sign};

/// The most signatures that are tried; archives in transition between keys make three.
const MAX_SIGNATURES: usize = 16;

/// Reads the signatures of an armoured block; kinds of signature that are not known are left out.
pub(super) fn read(armour: &str) -> Result<Vec<Signature>, ReleaseError> {
    let malformed = |error: pgp::errors::Error| ReleaseError::Malformed { reason: error.to_string() };
    let (signatures, _) = DetachedSignature::from_armor_many(armour.as_bytes()).map_err(malformed)?;
    let read: Result<Vec<_>, _> = signatures.take(MAX_SIGNATURES).map(|one| one.map(|one| one.signature)).collect();
    read.map_err(malformed)
}

/// Finds a good signature over `text`; gives the fingerprint of the primary key behind it.
pub(super) fn verify(
    signatures: &[Signature],
    text: &str,
    keyring: &Keyring,
    now_secs: i64,
) -> Result<String, ReleaseError> {
    let mut refusals = Vec::new();
    for signature in signatures.iter().take(MAX_SIGNATURES) {
        for key in &keyring.keys {
            match verify_with(signature, text, key, now_secs) {
                Some(Ok(())) => return Ok(hex(key)),
                Some(Err(refusal)) => refusals.push(refusal),
                None => {}
            }
        }
    }
    let unknown = || ReleaseError::UnknownKey { signers: signers(signatures), trusted: keyring.fingerprints() };
    Err(refusals.into_iter().next().unwrap_or_else(unknown))
}

/// The verdict on a signature if this key or one of its subkeys made it; `None` if none did.
fn verify_with(
    signature: &Signature,
    text: &str,
    key: &SignedPublicKey,
    now_secs: i64,
) -> Option<Result<(), ReleaseError>> {
    let made = made_at(signature);
    if is_issuer(signature, &key.primary_key) {
        let standing = |at| primary_may_sign(key, at, now_secs);
        return Some(judge(signature, text, &key.primary_key, made, now_secs).and_then(standing));
    }
    let sub = key.public_subkeys.iter().find(|sub| is_issuer(signature, &sub.key))?;
    let standing = |at| subkey_may_sign(key, sub, at, now_secs);
    Some(judge(signature, text, &sub.key, made, now_secs).and_then(standing))
}

/// Judges the signature apart from the key's own standing; gives the time at which it was made.
fn judge(
    signature: &Signature,
    text: &str,
    key: &impl VerifyingKey,
    made: Option<i64>,
    now_secs: i64,
) -> Result<i64, ReleaseError> {
    let unusable = |reason: &str| ReleaseError::KeyUnusable { key: hex(key), reason: reason.to_owned() };
    if !is_strong(signature.hash_alg()) {
        let hash = signature.hash_alg().map_or_else(|| "an unknown digest".to_owned(), |hash| hash.to_string());
        return Err(ReleaseError::WeakHash { key: hex(key), hash });
    }
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err(unusable("its signature is not one over a text"));
    }
    if has_unknown_critical_part(signature) {
        return Err(unusable("its signature states a condition that is not understood"));
    }
    let made = made.ok_or_else(|| unusable("its signature does not say when it was made"))?;
    signature.verify(key, text.as_bytes()).map_err(|_| ReleaseError::Tampered { key: hex(key) })?;
    if made > now_secs + CLOCK_SLACK_SECS {
        return Err(ReleaseError::SignatureFromTheFuture { key: hex(key), at_secs: made });
    }
    let lifetime = signature.signature_expiration_time().map_or(0, |d| i64::from(d.as_secs()));
    if lifetime > 0 && made + lifetime <= now_secs {
        return Err(ReleaseError::SignatureExpired { key: hex(key), at_secs: made + lifetime });
    }
    Ok(made)
}

/// Whether the signature names this key. One that names none is nobody's.
fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let by_fingerprint = signature.issuer_fingerprint();
    if !by_fingerprint.is_empty() {
        return by_fingerprint.contains(&&key.fingerprint());
    }
    signature.issuer_key_id().contains(&&key.legacy_key_id())
}

fn signers(signatures: &[Signature]) -> Vec<String> {
    let name = |signature: &Signature| match signature.issuer_fingerprint().first() {
        Some(fingerprint) => format!("{fingerprint:X}"),
        None => match signature.issuer_key_id().first() {
            Some(id) => id.to_string().to_uppercase(),
            None => "nobody named".to_owned(),
        },
    };
    let mut names: Vec<String> = signatures.iter().take(MAX_SIGNATURES).map(name).collect();
    if names.is_empty() {
        names.push("nobody".to_owned());
    }
    names
}
