//! How a mirror is written: on the command line, in `APPLIANCE_MIRROR` and in the user's settings.

/// What a mirror looks like, for messages.
pub const FORM: &str = "http://HOST/PATH, https://HOST/PATH or a folder from its root (/srv/mirror), with ARCHIVE= in \
                        front where it is for one archive (debian=https://mirror.example.org/debian), and REGISTRY= \
                        where it is for one registry of images (docker.io=https://mirror.example.org, \
                        localhost:5000=http://localhost:6000)";

/// A mirror as the user wrote it. Nothing at all is no mirror and no mistake: an environment variable may be empty.
///
/// # Errors
/// What is no mirror, in words.
pub fn written(text: &str) -> Result<String, String> {
    let url = match text.split_once('=') {
        // What a colon belongs to in front of `=` is the port of a registry.
        Some((archive, url)) if !archive.contains(['/', '?']) => url,
        _ => text,
    };
    let has_host = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    let is_web = ["http://", "https://"].into_iter().filter_map(|scheme| url.strip_prefix(scheme)).any(has_host);
    if text.is_empty() || is_web || url.starts_with('/') || url.starts_with("file:/") {
        return Ok(text.to_owned());
    }
    let proposal = if url.starts_with(|c: char| c.is_ascii_alphanumeric()) && url.contains('.') && !url.contains("://")
    {
        format!("; did you mean http://{url}?")
    } else {
        String::new()
    };
    Err(format!("it has no scheme that packages can be fetched with{proposal}\n\n  tip: a mirror is written {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn urls_folders_and_archives_of_their_own() {
        for good in [
            "",
            "http://a.example.org/debian",
            "https://[::1]:8080/x?a=b",
            "debian-security=http://b.example.org/x",
            "docker.io=http://127.0.0.1:5000",
            "localhost:5000=http://127.0.0.1:6000",
            "[::1]:5000=https://mirror.example.org/v2/folder",
            "/srv/mirror",
            "debian=/srv/mirror",
            "file:///srv/mirror",
        ] {
            assert_eq!(written(good), Ok(good.to_owned()));
        }
        for bad in [
            "foo",
            "localhost:5000=foo",
            "debian=foo",
            "mirror.example.org/debian",
            "ftp://a.example.org",
            "http://",
            "./mirror",
            "=",
        ] {
            assert!(written(bad).is_err_and(|why| why.contains("tip: ")), "{bad}");
        }
        assert!(written("mirror.example.org/debian").unwrap_err().contains("mean http://mirror.example.org/debian?"));
    }
}
