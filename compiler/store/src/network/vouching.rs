//! TLS with a registry that has certificates of its own: who vouches for it, and who this side is.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::certificates::Certificates;

/// TLS with a registry that has these certificates of its own, besides this machine's authorities.
pub(super) fn tls(certificates: Certificates) -> Result<ClientConfig, Error> {
    let Certificates { authorities: own, client } = certificates;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let usual = Verifier::new_with_extra_roots(own.iter().cloned(), ring.clone())?;
    let builder = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions()?.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(Vouching { usual, own }));
    match client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Takes what authorities vouch for, and a certificate that stands in the folder itself.
#[derive(Debug)]
struct Vouching {
    usual: Verifier,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Vouching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match judged {
            // One command makes a certificate that signs itself, and is an authority and a server's in one.
            Err(error) if is_of_authority(&error) && self.own.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether a server's certificate was refused for being an authority's alone. The library looks at its dates before that,
/// and tells this as a text alone.
fn is_of_authority(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(_)) && format!("{error:?}").contains("CaUsedAsEndEntity")
}
