//! What a signature needs of an X.509 certificate: issuer, serial number and public key (RFC 5280, section 4.1).

use super::der::{BIT_STRING, INTEGER, SEQUENCE, context, first};

/// The parts, as they stand in the certificate.
pub struct Certificate<'a> {
    /// The issuer's name, a whole element.
    pub issuer: &'a [u8],
    /// The serial number, a whole element.
    pub serial: &'a [u8],
    /// The content of the public key; for RSA the structure of PKCS #1.
    pub public_key: &'a [u8],
}

/// Takes a certificate apart; `None` where it is none.
pub fn certificate(bytes: &[u8]) -> Option<Certificate<'_>> {
    let outer = first(bytes).filter(|element| element.tag == SEQUENCE && element.rest.is_empty())?;
    let inner = first(outer.content).filter(|element| element.tag == SEQUENCE)?;
    let mut next = first(inner.content)?;
    // The version, which those of the first version leave out.
    if next.tag == context(0) {
        next = first(next.rest)?;
    }
    let serial = Some(next).filter(|element| element.tag == INTEGER)?;
    let algorithm = first(serial.rest)?;
    let issuer = first(algorithm.rest).filter(|element| element.tag == SEQUENCE)?;
    let validity = first(issuer.rest)?;
    let subject = first(validity.rest)?;
    let key = first(subject.rest).filter(|element| element.tag == SEQUENCE)?;
    let bits = first(first(key.content)?.rest).filter(|element| element.tag == BIT_STRING)?;
    // The first byte says how many bits of the last one are not used.
    let public_key = bits.content.strip_prefix(&[0])?;
    Some(Certificate { issuer: issuer.whole, serial: serial.whole, public_key })
}
