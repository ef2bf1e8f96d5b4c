//! Signs EFI programs for Secure Boot: Authenticode with SHA-256 and RSA (Microsoft, "Windows Authenticode Portable
//! Executable Signature Format"; RFC 2315, PKCS #7).
//!
//! No time is written and the padding draws nothing, so the same program, key and certificate give the same bytes.

use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::DecodePrivateKey;
use rsa::pkcs8::der::pem;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest as _, Sha256};

use super::certificate::{Certificate, certificate};
use super::der::{BIT_STRING, INTEGER, NULL, OBJECT, OCTET_STRING, SEQUENCE, SET, context, element};
use super::{Image, PeError, unified};

/// The least that firmware takes (UEFI specification 2.10, section 32.4.1).
const LEAST_KEY_BITS: usize = 2048;

/// Object identifiers, as their bytes.
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const INDIRECT_DATA: &[u8] = b"\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x04";
const PE_IMAGE_DATA: &[u8] = b"\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0f";

/// The name that stands where once the name of a file stood.
const OBSOLETE: &str = "<<<Obsolete>>>";

/// What stands before a digest of SHA-256 in a signature (RFC 8017, section 9.2, note 1).
const DIGEST_PREFIX: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

/// `WIN_CERTIFICATE`: revision 2.0 and the type of PKCS #7 (UEFI specification 2.10, section 32.2.4).
const CERTIFICATE_HEADER: [u8; 4] = [0, 2, 2, 0];

/// Why there can be no signature. Each text reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Not a private key.
    #[error("read the private key: it is no RSA key in PEM (PKCS #8 or PKCS #1), or it is encrypted")]
    Key,
    /// Too short for firmware.
    #[error("use the private key: it has {0} bits, and firmware takes none with fewer than {LEAST_KEY_BITS}")]
    ShortKey(usize),
    /// Not a certificate.
    #[error("read the certificate: it is no X.509 certificate in PEM")]
    Certificate,
    /// They do not belong together.
    #[error("sign with this key and certificate: the certificate is for another key")]
    OtherKey,
    /// The key does not work.
    #[error("sign with this key: it is damaged")]
    Damaged,
    /// What should be signed is no program, or is signed.
    #[error(transparent)]
    Program(#[from] PeError),
}

/// A key with its certificate. Holding one proves that they belong together.
#[derive(Debug, Clone)]
pub struct Signer {
    key: RsaPrivateKey,
    certificate: Vec<u8>,
    issuer_and_serial: Vec<u8>,
}

impl Signer {
    /// Reads a private key and the certificate for it, both in PEM.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together.
    pub fn new(key: &str, certificate_text: &str) -> Result<Self, SignerError> {
        let key = RsaPrivateKey::from_pkcs8_pem(key).or_else(|_| RsaPrivateKey::from_pkcs1_pem(key));
        let key = key.map_err(|_| SignerError::Key)?;
        if key.n().bits() < LEAST_KEY_BITS {
            return Err(SignerError::ShortKey(key.n().bits()));
        }
        let (label, bytes) =
            pem::decode_vec(certificate_text.trim_start().as_bytes()).map_err(|_| SignerError::Certificate)?;
        let Certificate { issuer, serial, public_key } =
            certificate(&bytes).filter(|_| label == "CERTIFICATE").ok_or(SignerError::Certificate)?;
        let own = key.to_public_key().to_pkcs1_der().map_err(|_| SignerError::Key)?;
        if own.as_bytes() != public_key {
            return Err(SignerError::OtherKey);
        }
        let issuer_and_serial = element(SEQUENCE, &[issuer, serial]);
        Ok(Self { key, certificate: bytes, issuer_and_serial })
    }

    /// The certificate's bytes, which tell signatures of this signer from all others.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The program with a signature behind it.
    ///
    /// # Errors
    /// When it is no program, or signed already, or does not end at a multiple of eight.
    pub fn sign(&self, mut program: Vec<u8>) -> Result<Vec<u8>, SignerError> {
        let image = Image::read(&program)?;
        if image.is_signed() {
            return Err(PeError::Signed.into());
        }
        let (security, checksum) = (image.security(), image.checksum());
        let mut signature = self.signed_data(&image.authenticode_sha256())?;
        signature.resize(signature.len().next_multiple_of(8), 0);
        let large = |_| SignerError::Program(PeError::Large);
        let start = u32::try_from(program.len().next_multiple_of(8)).map_err(large)?;
        let size = u32::try_from(signature.len() + 8).map_err(large)?;
        program.resize(start as usize, 0);
        program.extend(size.to_le_bytes());
        program.extend(CERTIFICATE_HEADER);
        program.extend(signature);
        program[security..security + 4].copy_from_slice(&start.to_le_bytes());
        program[security + 4..security + 8].copy_from_slice(&size.to_le_bytes());
        unified::set_checksum(&mut program, checksum);
        Ok(program)
    }

    /// The PKCS #7 structure for a program of this digest.
    fn signed_data(&self, program_sha256: &[u8; 32]) -> Result<Vec<u8>, SignerError> {
        let content = indirect_data(program_sha256);
        let content_digest = Sha256::digest(&content);
        let attributes = [
            attribute(CONTENT_TYPE, &element(OBJECT, &[INDIRECT_DATA])),
            attribute(MESSAGE_DIGEST, &element(OCTET_STRING, &[&content_digest])),
        ]
        .concat();
        // What is signed are the attributes as a set of their own (RFC 2315, section 9.3).
        let signed = Sha256::digest(element(SET, &[&attributes]));
        let padding = Pkcs1v15Sign { hash_len: Some(32), prefix: DIGEST_PREFIX.into() };
        let signature = self.key.sign(padding, &signed).map_err(|_| SignerError::Damaged)?;
        let version = element(INTEGER, &[&[1]]);
        let signer = element(
            SEQUENCE,
            &[
                &version,
                &self.issuer_and_serial,
                &algorithm(SHA256),
                &element(context(0), &[&attributes]),
                &algorithm(RSA),
                &element(OCTET_STRING, &[&signature]),
            ],
        );
        let content = element(context(0), &[&element(SEQUENCE, &[&content])]);
        let data = element(
            SEQUENCE,
            &[
                &version,
                &element(SET, &[&algorithm(SHA256)]),
                &element(SEQUENCE, &[&element(OBJECT, &[INDIRECT_DATA]), &content]),
                &element(context(0), &[&self.certificate]),
                &element(SET, &[&signer]),
            ],
        );
        Ok(element(SEQUENCE, &[&element(OBJECT, &[SIGNED_DATA]), &element(context(0), &[&data])]))
    }
}

/// What is signed in place of the program: the content of `SpcIndirectDataContent`, without tag and length.
fn indirect_data(program_sha256: &[u8; 32]) -> Vec<u8> {
    let name: Vec<u8> = OBSOLETE.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let file = element(context(0), &[&element(context(2), &[&element(0x80, &[&name])])]);
    let image = element(SEQUENCE, &[&element(BIT_STRING, &[&[0]]), &file]);
    let kind = element(SEQUENCE, &[&element(OBJECT, &[PE_IMAGE_DATA]), &image]);
    let digest = element(SEQUENCE, &[&algorithm(SHA256), &element(OCTET_STRING, &[program_sha256])]);
    [kind, digest].concat()
}

fn algorithm(object: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&element(OBJECT, &[object]), &element(NULL, &[])])
}

fn attribute(object: &[u8], value: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&element(OBJECT, &[object]), &element(SET, &[value])])
}
