//! How a registry wants to be authorised, and the token that its own server for that gives.
//!
//! Challenges: RFC 9110, section 11. Tokens: the distribution project's "Token Authentication Specification", and its
//! form with a refresh token ("OAuth2").

use serde_json::Value;

use super::RegistryError;
use super::credentials::Credential;
use crate::network::{Network, Question};

/// Answers with tokens are small; identity providers put much into one.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// What a `WWW-Authenticate` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from somewhere else.
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// For which service.
        service: Option<String>,
        /// For which access.
        scope: Option<String>,
    },
    /// Something that is not known, by its name.
    Other(String),
}

/// Reads the first challenge of a header.
pub fn read_challenge(header: &str) -> Challenge {
    let header = header.trim();
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => Challenge::Basic,
        "bearer" => {
            let get =
                |wanted: &str| parameters(rest).into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
            match get("realm") {
                Some(realm) => Challenge::Bearer { realm, service: get("service"), scope: get("scope") },
                None => Challenge::Other("Bearer without a realm".to_owned()),
            }
        }
        _ => Challenge::Other(scheme.chars().take(40).flat_map(char::escape_debug).collect()),
    }
}

/// `name="value", name=value`, up to where something else begins.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_ascii_lowercase();
        if name.contains(' ') {
            break;
        }
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted),
            None => {
                let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (value.trim().to_owned(), rest)
            }
        };
        found.push((name, value));
        text = rest;
    }
    found
}

/// The text up to the closing quote, a backslash taking the next character as it is.
fn quoted_text(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, text.get(at + 1..).unwrap_or_default()),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    (out, "")
}

/// Whom a registry asks about, and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    /// The registry's host, for messages.
    pub(super) host: &'a str,
    /// The repository.
    pub(super) repository: &'a str,
    /// Whether the registry itself is spoken to without TLS.
    pub(super) plain_http: bool,
    /// Who asks.
    pub(super) credential: Option<&'a Credential>,
}

/// The value of the `Authorization` header that answers one of these challenges; `None` where nobody is to be named.
pub(super) fn answer(
    network: &Network,
    challenges: &[String],
    asking: Asking<'_>,
) -> Result<Option<String>, RegistryError> {
    let host = || asking.host.to_owned();
    let challenges: Vec<Challenge> = challenges.iter().map(|header| read_challenge(header)).collect();
    // A token is asked for first: it opens one repository only.
    let bearer = challenges.iter().find(|one| matches!(one, Challenge::Bearer { .. }));
    match bearer.or(challenges.iter().find(|one| **one == Challenge::Basic)).or(challenges.first()) {
        Some(Challenge::Bearer { realm, service, scope }) => {
            token(network, asking, realm, service.as_deref(), scope.as_deref()).map(Some)
        }
        Some(Challenge::Basic) => match asking.credential {
            Some(Credential::Password { .. }) => Ok(asking.credential.and_then(Credential::basic)),
            _ => Err(RegistryError::Refused { host: host(), with_credentials: false }),
        },
        Some(Challenge::Other(kind)) => Err(RegistryError::Challenge { host: host(), kind: kind.clone() }),
        None => Err(RegistryError::Refused { host: host(), with_credentials: asking.credential.is_some() }),
    }
}

fn token(
    network: &Network,
    asking: Asking<'_>,
    realm: &str,
    service: Option<&str>,
    scope: Option<&str>,
) -> Result<String, RegistryError> {
    let wrong = |what: &str| RegistryError::Token {
        host: asking.host.to_owned(),
        realm: realm.chars().take(200).flat_map(char::escape_debug).collect(),
        what: what.to_owned(),
    };
    // A registry with TLS must not make anyone send a password in the clear.
    if !(realm.starts_with("https://") || asking.plain_http && realm.starts_with("http://")) {
        return Err(wrong("is no https: address"));
    }
    let scope = scope.map_or_else(|| format!("repository:{}:pull", asking.repository), str::to_owned);
    network.trust_alike(realm, asking.host);
    let answer = network.ask(&question(asking, realm, service, &scope))?;
    match answer.status {
        200..=299 => {}
        401 | 403 => {
            let with_credentials = asking.credential.is_some();
            return Err(RegistryError::Refused { host: asking.host.to_owned(), with_credentials });
        }
        status => return Err(wrong(&format!("answered {status}"))),
    }
    if answer.content_type == "text/html" {
        return Err(wrong("answered with a web page"));
    }
    let value: Value = serde_json::from_slice(&answer.body).map_err(|_| wrong("answered with no token"))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| is_header_value(text));
    let token = text("token").or(text("access_token")).ok_or_else(|| wrong("answered with no token"))?;
    Ok(format!("Bearer {token}"))
}

fn question(asking: Asking<'_>, realm: &str, service: Option<&str>, scope: &str) -> Question {
    let mut fields = vec![("scope", scope)];
    fields.extend(service.map(|service| ("service", service)));
    let mut headers = Vec::new();
    let identity = match asking.credential {
        Some(Credential::Identity(token)) => Some(token.as_str()),
        Some(password) => {
            headers.extend(password.basic().map(|value| ("authorization", value)));
            None
        }
        None => None,
    };
    let query = |fields: &[(&str, &str)]| {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        pairs.join("&")
    };
    match identity {
        Some(token) => {
            let own = [("grant_type", "refresh_token"), ("client_id", "appliance"), ("refresh_token", token)];
            fields.extend(own);
            Question { url: realm.to_owned(), headers, form: Some(query(&fields)), limit_bytes: MAX_TOKEN_BYTES }
        }
        None => {
            let joint = if realm.contains('?') { '&' } else { '?' };
            let url = format!("{realm}{joint}{}", query(&fields));
            Question { url, headers, form: None, limit_bytes: MAX_TOKEN_BYTES }
        }
    }
}

fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, realm: &str, service: Option<&str>, scope: Option<&str>) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let want = Challenge::Bearer { realm: realm.to_owned(), service: owned(service), scope: owned(scope) };
        assert_eq!(read_challenge(header), want, "{header}");
    }

    #[test]
    fn challenges_are_read() {
        check(
            r#"Bearer realm="https://auth.example.org/token",service="reg",scope="repository:a/b:pull,push""#,
            "https://auth.example.org/token",
            Some("reg"),
            Some("repository:a/b:pull,push"),
        );
        check(r#"bearer  Realm="https://x/?a=b" , service = r"#, "https://x/?a=b", Some("r"), None);
        check(r#"Bearer realm="a\"b"#, "a\"b", None, None);
        assert_eq!(read_challenge("Basic realm=\"x\""), Challenge::Basic);
        assert_eq!(read_challenge("Negotiate"), Challenge::Other("Negotiate".to_owned()));
        assert!(matches!(read_challenge("Bearer nothing"), Challenge::Other(_)));
        assert!(matches!(read_challenge(""), Challenge::Other(_)));
    }
}
