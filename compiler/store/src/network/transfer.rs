//! One file: places in order, several tries at each, and the check at the end.

use std::time::Duration;

use packages::ArchiveDigest;
use reqwest::header::{self, HeaderMap};
use reqwest::{Response, StatusCode, Url};
use tokio::time::{sleep, timeout};

use super::client::Client;
use super::partial::Partial;
use super::{FetchError, Fetched, Job, Network, Progress, TransferError, Validators, local};
use crate::family;

/// Fetches a file from the first place that gives it.
pub(super) async fn run(network: &Network, job: &Job, progress: &dyn Progress) -> Result<Fetched, FetchError> {
    let mut tried = Vec::new();
    let mut partial = match Partial::open(job, progress) {
        Ok(partial) => partial,
        Err(error) => return Err(FetchError::new(job, vec![(job.partial.display().to_string(), error.into())])),
    };
    for url in &job.urls {
        match from_place(network, job, url, &mut partial).await {
            Ok(fetched) => {
                network.tell_passed_over(&job.what, &tried, &fetched.url, progress);
                return Ok(fetched);
            }
            // Another place cannot help a full disk.
            Err(error @ TransferError::Disk(_)) => return Err(FetchError::new(job, vec![(url.clone(), error)])),
            Err(error) => tried.push((url.clone(), error)),
        }
    }
    Err(FetchError::new(job, tried))
}

/// Asks one place until it gives the file, gives up, or stops making progress.
async fn from_place(
    network: &Network,
    job: &Job,
    url: &str,
    partial: &mut Partial<'_>,
) -> Result<Fetched, TransferError> {
    let mut failures = 0;
    let mut resumed = partial.len() > 0;
    loop {
        let before = partial.len();
        let error = match once(network, job, url, partial).await {
            Ok(got) => match finish(job, url, partial, got) {
                Ok(fetched) => return Ok(fetched),
                Err(error) => {
                    partial.restart()?;
                    // What an earlier process or place left may be what is wrong.
                    if !std::mem::take(&mut resumed) {
                        return Err(error);
                    }
                    continue;
                }
            },
            Err(error) => error,
        };
        resumed = true;
        failures = if partial.len() > before { 0 } else { failures + 1 };
        match network.patience.before_next_try(failures, &error) {
            Some(wait) => sleep(wait).await,
            None => return Err(error),
        }
    }
}

/// What came of one try.
enum Got {
    Whole(Validators),
    NotModified,
}

fn finish(job: &Job, url: &str, partial: &Partial, got: Got) -> Result<Fetched, TransferError> {
    let (sha256, blake3) = partial.digests();
    let (validators, not_modified) = match got {
        Got::Whole(validators) => (validators, false),
        Got::NotModified => (Validators::default(), true),
    };
    if !not_modified {
        if let Some(expected) = job.size_bytes.filter(|&size| size != partial.len()) {
            return Err(TransferError::Size { host: host(url), found: partial.len(), expected });
        }
        if let Some(expected) = job.digest.and_then(ArchiveDigest::sha256).filter(|expected| *expected != sha256) {
            return Err(TransferError::Digest {
                host: host(url),
                found: sha256.to_string(),
                expected: expected.to_string(),
            });
        }
        if let Some(digest) = &job.digest {
            let refused = |source| TransferError::Refused { host: host(url), source: Box::new(source) };
            family::check(digest, &job.partial).map_err(refused)?;
        }
    }
    Ok(Fetched { url: url.to_owned(), not_modified, sha256, blake3, validators })
}

async fn once(network: &Network, job: &Job, url: &str, partial: &mut Partial<'_>) -> Result<Got, TransferError> {
    // An earlier process was stopped between the last byte and the renaming.
    if job.digest.is_some() && job.size_bytes == Some(partial.len()) {
        return Ok(Got::Whole(Validators::default()));
    }
    if let Some(path) = local::path(url) {
        return local::copy(job, &path, partial).map(|()| Got::Whole(Validators::default()));
    }
    let at = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let at = at.ok_or_else(|| TransferError::Url(url.to_owned()))?;
    let client = &network.client(url);
    if at.scheme() == "https" && !client.has_authorities {
        return Err(TransferError::NoAuthorities { host: host(url) });
    }
    let response = ask(client, job, url, at, partial).await?;
    if response.status() == StatusCode::NOT_MODIFIED && job.copy.is_some() {
        return Ok(Got::NotModified);
    }
    let expected = start(job, url, &response, partial)?;
    let validators = validators(response.headers());
    body(client, job, url, response, expected, partial).await?;
    Ok(Got::Whole(validators))
}

async fn ask(client: &Client, job: &Job, url: &str, at: Url, partial: &Partial<'_>) -> Result<Response, TransferError> {
    let http = client.to(&at).ok_or_else(|| TransferError::NoAuthorities { host: host(url) })?;
    let mut request = http.get(at).header(header::ACCEPT_ENCODING, "identity");
    for (name, value) in &job.headers {
        request = request.header(*name, value);
    }
    if partial.len() > 0 {
        request = request.header(header::RANGE, format!("bytes={}-", partial.len()));
    }
    if let Some((_, copy)) = job.copy.as_ref().filter(|(from, _)| from == url) {
        let both = [(header::IF_NONE_MATCH, &copy.etag), (header::IF_MODIFIED_SINCE, &copy.last_modified)];
        for (name, value) in both.into_iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value);
        }
    }
    match timeout(client.stall, request.send()).await {
        Err(_) => Err(stalled(url, client.stall)),
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) if error.is_redirect() => Err(TransferError::Redirects { host: host(url) }),
        Ok(Err(source)) => Err(TransferError::Connection { host: host(url), source: source.without_url() }),
    }
}

/// Judges an answer by its head; gives the length that the file will have, where the answer tells it.
fn start(job: &Job, url: &str, response: &Response, partial: &mut Partial) -> Result<Option<u64>, TransferError> {
    let status = response.status();
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        // The file there is shorter than what we have; so what we have is wrong.
        partial.restart()?;
        return Err(TransferError::CutOff { host: host(url), found: 0, expected: job.size_bytes.unwrap_or(0) });
    }
    if !status.is_success() {
        let retry_secs = retry_secs(response.headers());
        return Err(TransferError::Status { host: host(url), status: status.as_u16(), retry_secs });
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.trim_start().to_ascii_lowercase().starts_with("text/html") {
        return Err(TransferError::WebPage { host: host(url) });
    }
    let goes_on = status == StatusCode::PARTIAL_CONTENT && range_start(response.headers()) == Some(partial.len());
    if !goes_on && partial.len() > 0 {
        partial.restart()?;
        if status == StatusCode::PARTIAL_CONTENT {
            // Another part than asked for; the next try asks for the whole.
            return Err(TransferError::CutOff { host: host(url), found: 0, expected: job.size_bytes.unwrap_or(0) });
        }
    }
    let found = response.content_length().map(|length| partial.len().saturating_add(length));
    match (found, job.size_bytes) {
        (Some(found), Some(expected)) if found != expected => {
            Err(TransferError::Size { host: host(url), found, expected })
        }
        _ => Ok(found),
    }
}

async fn body(
    client: &Client,
    job: &Job,
    url: &str,
    mut response: Response,
    expected: Option<u64>,
    partial: &mut Partial<'_>,
) -> Result<(), TransferError> {
    let limit = job.size_bytes.unwrap_or(job.limit_bytes);
    loop {
        let chunk = match timeout(client.stall, response.chunk()).await {
            Err(_) => return Err(stalled(url, client.stall)),
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(source)) => return Err(broken(url, expected, partial, source)),
        };
        if partial.len() + chunk.len() as u64 > limit {
            return Err(TransferError::TooLarge { host: host(url), limit });
        }
        partial.push(&chunk)?;
    }
    match expected.or(job.size_bytes) {
        Some(expected) if partial.len() < expected => {
            Err(TransferError::CutOff { host: host(url), found: partial.len(), expected })
        }
        _ => Ok(()),
    }
}

fn broken(url: &str, expected: Option<u64>, partial: &Partial, source: reqwest::Error) -> TransferError {
    match expected {
        Some(expected) => TransferError::CutOff { host: host(url), found: partial.len(), expected },
        None => TransferError::Connection { host: host(url), source: source.without_url() },
    }
}

pub(super) fn stalled(url: &str, stall: Duration) -> TransferError {
    TransferError::Stalled { host: host(url), secs: stall.as_secs() }
}

/// The host that the user configured, which is the one to do something about, whoever redirected where.
pub(super) fn host(url: &str) -> String {
    let host = Url::parse(url).ok().and_then(|url| {
        Some(match (url.host_str()?, url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        })
    });
    host.unwrap_or_else(|| url.to_owned())
}

/// How long a server asks to wait (RFC 9110, section 10.2.3). One that names a day and hour is taken as silent: that would
/// need two clocks that agree.
pub(super) fn retry_secs(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

fn range_start(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn validators(headers: &HeaderMap) -> Validators {
    let text = |name| {
        headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    Validators { etag: text(header::ETAG), last_modified: text(header::LAST_MODIFIED) }
}
