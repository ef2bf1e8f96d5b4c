//! A question to a server whose answer is judged by the asker: its status, what it says about access, and a small body.

use reqwest::{Response, Url, header};
use tokio::time::{sleep, timeout};

use super::client::Client;
use super::transfer::{host, retry_secs, stalled};
use super::{Network, TransferError};

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Where: `http:` or `https:`.
    pub(crate) url: String,
    /// Headers to send.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// A form to send (`application/x-www-form-urlencoded`); it is a POST then.
    pub(crate) form: Option<String>,
    /// A larger body is refused.
    pub(crate) limit_bytes: u64,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Media type, lower case, without parameters.
    pub(crate) content_type: String,
    /// What `WWW-Authenticate` headers say.
    pub(crate) challenges: Vec<String>,
    /// How long it asks to wait before the next try, where it says so.
    pub(crate) retry_secs: Option<u64>,
    /// The body; of an answer that is no success it may be cut.
    pub(crate) body: Vec<u8>,
}

impl Network {
    /// Asks, and asks again while the network is in trouble.
    ///
    /// # Errors
    /// When no answer comes, or a success is larger than allowed.
    pub(crate) fn ask(&self, question: &Question) -> Result<Answer, TransferError> {
        let answered = self.block_on(async {
            let mut failures = 0;
            loop {
                let error = match once(&self.client(&question.url), question).await {
                    Ok(answer) if !is_trouble(answer.status) => return Ok(answer),
                    Ok(Answer { status, retry_secs, .. }) => {
                        TransferError::Status { host: host(&question.url), status, retry_secs }
                    }
                    Err(error) => error,
                };
                failures += 1;
                match self.patience.before_next_try(failures, &error) {
                    Some(wait) => sleep(wait).await,
                    None => return Err(error),
                }
            }
        });
        answered.unwrap_or_else(|error| Err(TransferError::System(error)))
    }
}

fn is_trouble(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

async fn once(client: &Client, question: &Question) -> Result<Answer, TransferError> {
    let url = &question.url;
    let at = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let at = at.ok_or_else(|| TransferError::Url(url.clone()))?;
    let no_authorities = || TransferError::NoAuthorities { host: host(url) };
    if at.scheme() == "https" && !client.has_authorities {
        return Err(no_authorities());
    }
    let http = client.to(&at).ok_or_else(no_authorities)?;
    let mut request = match &question.form {
        None => http.get(at),
        Some(form) => {
            http.post(at).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone())
        }
    };
    for (name, value) in &question.headers {
        request = request.header(*name, value);
    }
    let response = match timeout(client.stall, request.send()).await {
        Err(_) => return Err(stalled(url, client.stall)),
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.is_redirect() => return Err(TransferError::Redirects { host: host(url) }),
        Ok(Err(source)) => return Err(TransferError::Connection { host: host(url), source: source.without_url() }),
    };
    read(client, question, response).await
}

async fn read(client: &Client, question: &Question, mut response: Response) -> Result<Answer, TransferError> {
    let url = &question.url;
    let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let content_type = response.headers().get(header::CONTENT_TYPE).map(text).unwrap_or_default();
    let mut answer = Answer {
        status: response.status().as_u16(),
        content_type: content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
        retry_secs: retry_secs(response.headers()),
        challenges: response.headers().get_all(header::WWW_AUTHENTICATE).iter().map(text).collect(),
        body: Vec::new(),
    };
    loop {
        let chunk = match timeout(client.stall, response.chunk()).await {
            Err(_) => return Err(stalled(url, client.stall)),
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Ok(answer),
            Ok(Err(source)) => return Err(TransferError::Connection { host: host(url), source: source.without_url() }),
        };
        if (answer.body.len() + chunk.len()) as u64 > question.limit_bytes {
            return match answer.status {
                200..=299 => Err(TransferError::TooLarge { host: host(url), limit: question.limit_bytes }),
                _ => Ok(answer),
            };
        }
        answer.body.extend_from_slice(&chunk);
    }
}
