//! The HTTP client: TLS by rustls with ring, the proxies of the environment but for this machine itself, few redirects.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::{Attempt, Policy};

use super::Patience;

/// Archives redirect once or twice, to a mirror near by and from there to https.
const MAX_REDIRECTS: usize = 5;

/// A client and what is odd about it.
#[derive(Debug)]
pub(super) struct Client {
    /// For other machines.
    http: Option<reqwest::Client>,
    /// For this machine itself, which no proxy stands before.
    direct: Option<reqwest::Client>,
    /// False when this machine has no certificate authorities: https cannot work then, http can.
    pub(super) has_authorities: bool,
    pub(super) stall: Duration,
}

impl Client {
    /// One that speaks TLS in this way.
    pub(super) fn with_tls(patience: Patience, tls: &rustls::ClientConfig) -> reqwest::Result<Self> {
        choose_ring();
        let build = |builder: reqwest::ClientBuilder| builder.tls_backend_preconfigured(tls.clone()).build();
        let (http, direct) = (build(builder(patience))?, build(builder(patience).no_proxy())?);
        Ok(Self { http: Some(http), direct: Some(direct), has_authorities: true, stall: patience.stall })
    }

    pub(super) fn new(patience: Patience) -> Self {
        choose_ring();
        let stall = patience.stall;
        match (builder(patience).build(), builder(patience).no_proxy().build()) {
            (Ok(http), Ok(direct)) => Self { http: Some(http), direct: Some(direct), has_authorities: true, stall },
            _ => {
                let build = |builder: reqwest::ClientBuilder| {
                    let builder = match without_authorities() {
                        Some(tls) => builder.tls_backend_preconfigured(tls),
                        None => return None,
                    };
                    builder.build().ok()
                };
                let (http, direct) = (build(builder(patience)), build(builder(patience).no_proxy()));
                Self { http, direct, has_authorities: false, stall }
            }
        }
    }

    /// The client to ask this address with.
    pub(super) fn to(&self, url: &Url) -> Option<&reqwest::Client> {
        let is_here = url.host_str().is_some_and(is_this_machine);
        if is_here { self.direct.as_ref() } else { self.http.as_ref() }
    }
}

/// The first caller's choice of the cryptography stands; all choose the same.
fn choose_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether a host with or without a port, as it stands in a URL, is this machine.
pub(crate) fn is_on_this_machine(authority: &str) -> bool {
    let port = authority.rfind(':').filter(|at| authority.get(*at..).is_some_and(|port| !port.contains(']')));
    is_this_machine(authority.get(..port.unwrap_or(authority.len())).unwrap_or_default())
}

/// Whether a host, as it stands in a URL, is this machine.
fn is_this_machine(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn without_authorities() -> Option<rustls::ClientConfig> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions().ok()?;
    Some(tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
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
