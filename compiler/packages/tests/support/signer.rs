//! Keys made from fixed seeds, certificates with any flaw, and releases signed by them.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedKeyDetails, SignedPublicKey,
    SignedPublicSubKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, RevocationCode, SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType, Subpacket,
    SubpacketData, UserId,
};
use pgp::ser::Serialize;
use pgp::types::{Duration, KeyDetails, Password, SignedUser, SigningKey, Tag, Timestamp};
use rand::SeedableRng;

/// When the keys are made.
pub const BORN: i64 = 1_600_000_000;

/// A primary key and a subkey for signing.
pub struct Signer {
    pub primary: SecretKey,
    pub sub: SecretSubkey,
}

/// What a certificate says about itself.
#[derive(Clone)]
pub struct Certificate {
    pub self_hash: HashAlgorithm,
    pub primary_signs: bool,
    pub primary_lifetime: u32,
    pub sub_signs: bool,
    pub sub_lifetime: u32,
    pub back_signature: bool,
    pub revoked: Option<(RevocationCode, i64)>,
    pub sub_revoked: Option<(RevocationCode, i64)>,
}

impl Default for Certificate {
    fn default() -> Self {
        Self {
            self_hash: HashAlgorithm::Sha512,
            primary_signs: true,
            primary_lifetime: 0,
            sub_signs: true,
            sub_lifetime: 0,
            back_signature: true,
            revoked: None,
            sub_revoked: None,
        }
    }
}

fn time(secs: i64) -> Timestamp {
    Timestamp::from_secs(u32::try_from(secs).unwrap())
}

impl Signer {
    /// A key of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self::of_type(KeyType::Ed25519Legacy, seed)
    }

    /// The same of RSA, which, unlike Ed25519, signs weak digests too.
    pub fn rsa(seed: u64) -> Self {
        Self::of_type(KeyType::Rsa(2048), seed)
    }

    fn of_type(key_type: KeyType, seed: u64) -> Self {
        let sub = SubkeyParamsBuilder::default()
            .key_type(key_type.clone())
            .can_sign(true)
            .created_at(time(BORN))
            .build()
            .unwrap();
        let params = SecretKeyParamsBuilder::default()
            .key_type(key_type.clone())
            .can_sign(true)
            .created_at(time(BORN))
            .primary_user_id("Toy Archive <toy@example.org>".to_owned())
            .subkey(sub)
            .build()
            .unwrap();
        let made = params.generate(rand::rngs::StdRng::seed_from_u64(seed)).unwrap();
        let sub = made.secret_subkeys.into_iter().next().unwrap().key;
        Self { primary: made.primary_key, sub }
    }

    /// Fingerprint of the primary key.
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.primary.fingerprint())
    }

    /// The public key file, binary.
    pub fn certificate(&self, wish: &Certificate) -> Vec<u8> {
        let public = self.primary.public_key();
        let user = UserId::from_str(Default::default(), "Toy Archive <toy@example.org>").unwrap();
        let config = self.self_config(SignatureType::CertPositive, wish, wish.primary_signs, wish.primary_lifetime);
        let own = config.sign_certification(&self.primary, public, &Password::empty(), Tag::UserId, &user).unwrap();
        let revocation = wish.revoked.as_ref().map(|why| {
            let config = self.revocation(SignatureType::KeyRevocation, why);
            config.sign_key(&self.primary, &Password::empty(), public).unwrap()
        });
        let key = SignedPublicKey {
            primary_key: public.clone(),
            details: SignedKeyDetails::new(
                revocation.into_iter().collect(),
                vec![],
                vec![SignedUser::new(user, vec![own])],
                vec![],
            ),
            public_subkeys: vec![self.subkey(wish)],
        };
        key.to_bytes().unwrap()
    }

    fn subkey(&self, wish: &Certificate) -> SignedPublicSubKey {
        let (public, sub) = (self.primary.public_key(), self.sub.public_key());
        let mut config = self.self_config(SignatureType::SubkeyBinding, wish, wish.sub_signs, wish.sub_lifetime);
        if wish.back_signature {
            let mut back = SignatureConfig::v4(SignatureType::KeyBinding, self.sub.algorithm(), wish.self_hash);
            back.hashed_subpackets = vec![at(BORN)];
            let back = back.sign_primary_key_binding(&self.sub, &sub, &Password::empty(), &public).unwrap();
            config.hashed_subpackets.push(part(SubpacketData::EmbeddedSignature(Box::new(back))));
        }
        let mut signatures = vec![config.sign_subkey_binding(&self.primary, public, &Password::empty(), &sub).unwrap()];
        if let Some(why) = &wish.sub_revoked {
            let config = self.revocation(SignatureType::SubkeyRevocation, why);
            signatures.push(config.sign_subkey_binding(&self.primary, public, &Password::empty(), &sub).unwrap());
        }
        SignedPublicSubKey::new(sub.clone(), signatures)
    }

    fn self_config(&self, typ: SignatureType, wish: &Certificate, signs: bool, lifetime: u32) -> SignatureConfig {
        let mut flags = KeyFlags::default();
        flags.set_sign(signs);
        flags.set_certify(true);
        let mut config = SignatureConfig::v4(typ, self.primary.algorithm(), wish.self_hash);
        config.hashed_subpackets = vec![at(BORN), part(SubpacketData::KeyFlags(flags))];
        config.hashed_subpackets.push(part(SubpacketData::IssuerFingerprint(self.primary.fingerprint())));
        if lifetime > 0 {
            config.hashed_subpackets.push(part(SubpacketData::KeyExpirationTime(Duration::from_secs(lifetime))));
        }
        config
    }

    fn revocation(&self, typ: SignatureType, (code, when): &(RevocationCode, i64)) -> SignatureConfig {
        let mut config = SignatureConfig::v4(typ, self.primary.algorithm(), HashAlgorithm::Sha512);
        config.hashed_subpackets = vec![at(*when), part(SubpacketData::RevocationReason(*code, "".into()))];
        config.hashed_subpackets.push(part(SubpacketData::IssuerFingerprint(self.primary.fingerprint())));
        config
    }

    /// The text signed by the primary key.
    pub fn sign(&self, text: &str, when: i64) -> String {
        sign_with(&self.primary, text, when, HashAlgorithm::Sha512, vec![])
    }

    /// The text signed by the subkey.
    pub fn sign_with_subkey(&self, text: &str, when: i64) -> String {
        sign_with(&self.sub, text, when, HashAlgorithm::Sha512, vec![])
    }
}

/// The text signed by this key, with this digest and these further parts in the signature.
pub fn sign_with(
    key: &impl SigningKey,
    text: &str,
    when: i64,
    hash: HashAlgorithm,
    more: Vec<SubpacketData>,
) -> String {
    let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), hash);
    config.hashed_subpackets = vec![at(when), part(SubpacketData::IssuerFingerprint(key.fingerprint()))];
    config.hashed_subpackets.extend(more.into_iter().map(|data| Subpacket::critical(data).unwrap()));
    let sign = |text: &str| -> pgp::errors::Result<Vec<Signature>> {
        Ok(vec![config.sign(key, &Password::empty(), text.as_bytes())?])
    };
    let message = CleartextSignedMessage::new_many(text, sign).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}

fn at(when: i64) -> Subpacket {
    part(SubpacketData::SignatureCreationTime(time(when)))
}

fn part(data: SubpacketData) -> Subpacket {
    Subpacket::regular(data).unwrap()
}
