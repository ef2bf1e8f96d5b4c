//! The HTTP client: TLS by rustls with ring, the system's proxies, few redirects.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};

use super::Patience;

/// Archives redirect once or twice, to a mirror near by and from there to https.
const MAX_REDIRECTS: usize = 5;

/// A client and what is odd about it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) http: Option<reqwest::Client>,
    /// False when this machine has no certificate authorities: https cannot work then, http can.
    pub(super) has_authorities: bool,
    pub(super) stall: Duration,
}

impl Client {
    pub(super) fn new(patience: Patience) -> Self {
        // The first caller's choice stands; all choose the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stall = patience.stall;
        match builder(patience).build() {
            Ok(http) => Self { http: Some(http), has_authorities: true, stall },
            Err(_) => {
                let tls =
                    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                        .with_safe_default_protocol_versions()
                        .map(|tls| tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
                let http = tls.ok().and_then(|tls| builder(patience).tls_backend_preconfigured(tls).build().ok());
                Self { http, has_authorities: false, stall }
            }
        }
    }
}

fn builder(patience: Patience) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("appliance/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience.connect)
        .pool_max_idle_per_host(super::PARALLEL)
        .redirect(Policy::custom(follow))
}

fn follow(attempt: Attempt) -> reqwest::redirect::Action {
    let from_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("too many redirects")
    } else if from_https && attempt.url().scheme() != "https" {
        attempt.error("a redirect from https to http")
    } else {
        attempt.follow()
    }
}
