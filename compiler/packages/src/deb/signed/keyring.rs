//! The trusted keys, and what their own signatures say about them: validity, revocation, and the right to sign
//! (RFC 9580 sections 5.2.3 and 10.1). Revocations by third parties are not followed.

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{RevocationCode, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag};

use super::error::ReleaseError;

/// The largest key file that is read; the keyring of a whole distribution takes 60 kB.
const MAX_KEY_BYTES: usize = 4 << 20;

/// The most keys of one file.
const MAX_KEYS: usize = 500;

/// The configured keys.
pub(super) struct Keyring {
    pub(super) keys: Vec<SignedPublicKey>,
}

/// What is known about a key at a time: why it cannot sign then, if it cannot.
type Standing = Result<(), ReleaseError>;

impl Keyring {
    /// Reads key files, binary or armoured.
    pub(super) fn read(files: &[(String, Vec<u8>)]) -> Result<Self, ReleaseError> {
        let mut keys = Vec::new();
        for (name, bytes) in files {
            keys.extend(read_keys(bytes).map_err(|reason| ReleaseError::UnreadableKey { name: name.clone(), reason })?);
        }
        Ok(Self { keys })
    }

    /// Fingerprints of the primary keys.
    pub(super) fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(hex).collect()
    }
}

/// Whether a file holds keys, binary or armoured.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(bytes: &[u8]) -> Result<(), String> {
    read_keys(bytes).map(drop)
}

fn read_keys(bytes: &[u8]) -> Result<Vec<SignedPublicKey>, String> {
    if bytes.len() > MAX_KEY_BYTES {
        return Err(format!("it is larger than {MAX_KEY_BYTES} bytes"));
    }
    let (keys, _) = SignedPublicKey::from_reader_many(bytes).map_err(|error| error.to_string())?;
    let keys: Vec<_> = keys.take(MAX_KEYS).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if keys.is_empty() { Err("there is no key in it".to_owned()) } else { Ok(keys) }
}

/// A key's fingerprint in upper-case hexadecimal.
pub(super) fn hex(key: &impl KeyDetails) -> String {
    format!("{:X}", key.fingerprint())
}

/// Whether a digest still resists forgery (RFC 9580 section 9.5 deprecates the rest).
pub(super) fn is_strong(hash: Option<HashAlgorithm>) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(hash, Some(Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512))
}

/// Whether a signature carries a part that must be understood and is not (RFC 9580 section 5.2.3.7).
pub(super) fn has_unknown_critical_part(signature: &Signature) -> bool {
    let unknown = |data: &SubpacketData| {
        matches!(data, SubpacketData::Experimental(..) | SubpacketData::Other(..) | SubpacketData::Notation(..))
    };
    signature
        .config()
        .is_none_or(|config| config.hashed_subpackets().any(|part| part.is_critical && unknown(&part.data)))
}

/// When a signature was made, in seconds since 1970.
pub(super) fn made_at(signature: &Signature) -> Option<i64> {
    signature.created().map(|at| i64::from(at.as_secs()))
}

/// Whether the primary key itself may have signed something at `at_secs`.
pub(super) fn primary_may_sign(key: &SignedPublicKey, at_secs: i64, now_secs: i64) -> Standing {
    let own = primary_standing(key, at_secs, now_secs)?;
    if may_sign(own) { Ok(()) } else { Err(unusable(key, "it may only certify other keys")) }
}

/// Whether this subkey may have signed something at `at_secs`: it and the primary key were valid, and each says that
/// it belongs to the other.
pub(super) fn subkey_may_sign(
    key: &SignedPublicKey,
    sub: &SignedPublicSubKey,
    at_secs: i64,
    now_secs: i64,
) -> Standing {
    primary_standing(key, at_secs, now_secs)?;
    let verified = |sig: &&Signature| is_sound(sig) && sig.verify_subkey_binding(&key.primary_key, &sub.key).is_ok();
    let revocations =
        sub.signatures.iter().filter(|s| s.typ() == Some(SignatureType::SubkeyRevocation)).filter(verified);
    check_revocations(revocations, hex(sub), at_secs)?;
    let bindings = sub.signatures.iter().filter(|s| s.typ() == Some(SignatureType::SubkeyBinding)).filter(verified);
    let binding = latest(bindings, now_secs).ok_or_else(|| unusable(sub, "nothing binds it to its primary key"))?;
    check_lifetime(sub, binding, at_secs)?;
    if !binding.key_flags().sign() {
        return Err(unusable(sub, "it is not meant for signing"));
    }
    let back = binding.embedded_signature().filter(|back| is_sound(back));
    match back.map(|back| back.verify_primary_key_binding(&sub.key, &key.primary_key)) {
        Some(Ok(())) => Ok(()),
        _ => Err(unusable(sub, "it does not say that it belongs to its primary key")),
    }
}

/// The newest valid self-signature of a primary key that was valid at `at_secs`.
fn primary_standing(key: &SignedPublicKey, at_secs: i64, now_secs: i64) -> Result<&Signature, ReleaseError> {
    let direct = |sig: &&Signature| is_sound(sig) && sig.verify_key(&key.primary_key).is_ok();
    check_revocations(key.details.revocation_signatures.iter().filter(direct), hex(key), at_secs)?;
    let direct_ones =
        key.details.direct_signatures.iter().filter(|s| s.typ() == Some(SignatureType::Key)).filter(direct);
    let users = key.details.users.iter().filter_map(|user| {
        let verified = |sig: &&Signature| {
            is_sound(sig) && sig.verify_certification(&key.primary_key, Tag::UserId, &user.id).is_ok()
        };
        let of_type = |revokes| move |s: &&Signature| (s.typ() == Some(SignatureType::CertRevocation)) == revokes;
        let newest = latest(user.signatures.iter().filter(of_type(false)).filter(verified), now_secs)?;
        let revoked = latest(user.signatures.iter().filter(of_type(true)).filter(verified), now_secs);
        revoked.is_none_or(|revoked| made_at(revoked) < made_at(newest)).then_some(newest)
    });
    let own = latest(direct_ones.chain(users), now_secs)
        .ok_or_else(|| unusable(key, "it has no valid signature of its own, made with SHA-256 or better"))?;
    check_lifetime(key, own, at_secs)?;
    Ok(own)
}

/// Strong digest, no part that is not understood, and a time.
fn is_sound(signature: &Signature) -> bool {
    is_strong(signature.hash_alg()) && !has_unknown_critical_part(signature) && made_at(signature).is_some()
}

/// The newest signature that is not from the future and has not run out.
fn latest<'a>(signatures: impl Iterator<Item = &'a Signature>, now_secs: i64) -> Option<&'a Signature> {
    let lives = |sig: &&Signature| {
        let made = made_at(sig).unwrap_or(i64::MAX);
        let lifetime = sig.signature_expiration_time().map_or(0, |d| i64::from(d.as_secs()));
        made <= now_secs + super::CLOCK_SLACK_SECS && (lifetime == 0 || made + lifetime > now_secs)
    };
    signatures.filter(lives).max_by_key(|sig| made_at(sig))
}

/// A revocation that says the key was replaced or retired leaves older signatures good; any other does not.
fn check_revocations<'a>(revocations: impl Iterator<Item = &'a Signature>, key: String, at_secs: i64) -> Standing {
    for revocation in revocations {
        let soft = [RevocationCode::KeySuperseded, RevocationCode::KeyRetired];
        let is_soft = revocation.revocation_reason_code().is_some_and(|code| soft.contains(code));
        if !is_soft || made_at(revocation).is_none_or(|made| made <= at_secs) {
            return Err(ReleaseError::KeyRevoked { key });
        }
    }
    Ok(())
}

/// Whether the key lived at `at_secs` by what `own` says about it.
fn check_lifetime(key: &impl KeyDetails, own: &Signature, at_secs: i64) -> Standing {
    let created = i64::from(key.created_at().as_secs());
    if created > at_secs {
        return Err(unusable(key, "it did not exist yet"));
    }
    match own.key_expiration_time().map(|d| i64::from(d.as_secs())).filter(|lifetime| *lifetime > 0) {
        Some(lifetime) if created + lifetime <= at_secs => {
            Err(ReleaseError::KeyExpired { key: hex(key), at_secs: created + lifetime })
        }
        _ => Ok(()),
    }
}

/// A key without flags may do everything (RFC 9580 section 5.2.3.29 leaves it to us; all known readers do so).
fn may_sign(own: &Signature) -> bool {
    let has_flags = own
        .config()
        .is_some_and(|config| config.hashed_subpackets().any(|part| matches!(part.data, SubpacketData::KeyFlags(_))));
    !has_flags || own.key_flags().sign()
}

fn unusable(key: &impl KeyDetails, reason: &str) -> ReleaseError {
    ReleaseError::KeyUnusable { key: hex(key), reason: reason.to_owned() }
}
