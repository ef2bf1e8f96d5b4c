//! What a registry has instead of a tag that it lacks (OCI distribution specification 1.1, "Listing Tags" and "Error Codes").

use std::cmp::Reverse;

use serde_json::Value;

use super::RegistryError;
use super::registry::Place;
use crate::Store;
use crate::network::{Answer, Question};

/// How many tags are asked for: enough to find one that was meant.
const MAX_TAGS: usize = 1000;

/// So many tags of the longest kind, with what stands between them.
const MAX_LIST_BYTES: u64 = 256 << 10;

/// The longest tag (distribution specification 1.1, "Pulling manifests").
const MAX_TAG: usize = 128;

impl Store {
    /// Which part of the name of an image a registry does not have, after it answered so to the tag.
    pub(super) fn missing(
        &self,
        place: &Place,
        tag: &str,
        answer: &Answer,
        authorization: Option<String>,
    ) -> RegistryError {
        let (host, repository, tag) = (place.host().to_owned(), place.repository.clone(), tag.to_owned());
        if says_no_name(answer) {
            return RegistryError::NoRepository { host, repository, tag };
        }
        let question = Question {
            url: place.url_of(&format!("tags/list?n={MAX_TAGS}")),
            headers: authorization.map(|value| ("authorization", value)).into_iter().collect(),
            form: None,
            limit_bytes: MAX_LIST_BYTES,
        };
        match self.network.ask(&question) {
            Ok(answer) if says_no_name(&answer) => RegistryError::NoRepository { host, repository, tag },
            Ok(Answer { status: 200, body, .. }) if let Some(mut tags) = read_tags(&body) => {
                tags.sort_by_cached_key(|other| (Reverse(alike(&tag, other)), other.clone()));
                RegistryError::NoTag { host, repository, tag, more: tags.len() >= MAX_TAGS, tags }
            }
            _ => RegistryError::Missing { host, what: format!("image {repository}:{tag}") },
        }
    }
}

/// Whether an answer says that there is no repository of the name.
fn says_no_name(answer: &Answer) -> bool {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let errors = body.as_ref().and_then(|body| body.get("errors")?.as_array());
    answer.status == 404
        && errors
            .is_some_and(|errors| errors.iter().any(|one| one.get("code").is_some_and(|code| code == "NAME_UNKNOWN")))
}

/// The tags in a registry's list of them; what is no tag is left out. `None` for what is no list.
pub fn read_tags(body: &[u8]) -> Option<Vec<String>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let tags = body.get("tags")?;
    let none = Vec::new();
    let all = if tags.is_null() { &none } else { tags.as_array()? };
    let is_tag = |text: &&str| (1..=MAX_TAG).contains(&text.len()) && text.bytes().all(is_of_tag);
    Some(all.iter().take(MAX_TAGS).filter_map(Value::as_str).filter(is_tag).map(str::to_owned).collect())
}

/// How many bytes two tags have in common at their beginnings.
fn alike(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

fn is_of_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let body = body.as_bytes().to_vec();
        Answer { status, content_type: String::new(), challenges: Vec::new(), retry_secs: None, body }
    }

    #[test]
    fn lists_are_read_and_what_is_no_tag_is_left_out() {
        assert_eq!(read_tags(br#"{"name":"a","tags":["v1","a\nb","",7,"2.0-rc_1"]}"#).unwrap(), ["v1", "2.0-rc_1"]);
        assert_eq!(read_tags(br#"{"tags":null}"#).unwrap(), [""; 0]);
        for wrong in ["", "[]", "{}", r#"{"tags":"v1"}"#] {
            assert!(read_tags(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let many = format!(r#"{{"tags":[{}]}}"#, vec!["\"x\""; MAX_TAGS + 7].join(","));
        assert_eq!(read_tags(many.as_bytes()).unwrap().len(), MAX_TAGS);
    }

    #[test]
    fn only_an_answer_about_the_name_says_so() {
        let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
        assert!(says_no_name(&answer(404, unknown)));
        assert!(!says_no_name(&answer(200, unknown)));
        assert!(!says_no_name(&answer(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)));
        assert!(!says_no_name(&answer(404, r#"{"errors":"no"}"#)) && !says_no_name(&answer(404, "")));
    }
}
