//! The user's settings file: `config.kdl` below the user's configuration folder. It holds mirrors only.

use std::fs;
use std::io;
use std::path::Path;

use crate::exit::Exit;
use crate::failure::Failure;

/// The mirrors that the settings name, in the form of `--mirror`: lines `mirror "URL"` or `mirror "ARCHIVE=URL"`.
///
/// # Errors
/// When the file exists and cannot be read or holds anything else.
pub fn mirrors(path: &Path) -> Result<Vec<String>, Failure> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| Failure::doing(Exit::Usage, format!("read {}", path.display()), error))?,
    };
    parse(&text).map_err(|(line, what)| {
        Failure::new(Exit::Usage, format!("read {}: line {line}: {what}", path.display()))
            .help("it may hold lines such as: mirror \"debian=https://mirror.example.org/debian\"")
    })
}

fn parse(text: &str) -> Result<Vec<String>, (usize, &'static str)> {
    let mut mirrors = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line =
            line.split_once("//").filter(|(before, _)| !before.contains('"')).map_or(line, |(before, _)| before).trim();
        if line.is_empty() {
            continue;
        }
        let value = line.strip_prefix("mirror").map(str::trim).ok_or((number + 1, "only `mirror` is known"))?;
        let url = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .ok_or((number + 1, "a mirror is a text in quotes"))?;
        mirrors.push(crate::mirror::written(url).map_err(|_| (number + 1, "this is neither a URL nor a folder"))?);
    }
    Ok(mirrors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mirrors_are_read() {
        let text =
            "// mine\nmirror \"http://a.example.org/debian\"\n\nmirror \"debian-security=http://b.example.org/x\"\n";
        assert_eq!(parse(text).unwrap(), ["http://a.example.org/debian", "debian-security=http://b.example.org/x"]);
        assert_eq!(parse("proxy \"x\"").unwrap_err().0, 1);
        assert_eq!(parse("\nmirror x").unwrap_err().0, 2);
        assert_eq!(parse("mirror \"foo\"").unwrap_err().0, 1);
    }
}
