//! Reads and checks the guest's settings, which the compiler put into the image.

use std::fs;

use bundle::guest::{SCHEMA, Settings};

use crate::probe;

/// The longest settings that are read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Reads the settings; the error is a fragment after "failed to".
pub fn read(path: &str) -> Result<Settings, String> {
    let problem = |error: &dyn std::fmt::Display| format!("read the settings {path}: {error}");
    let size_bytes = fs::metadata(path).map_err(|error| problem(&error))?.len();
    if size_bytes > MAX_BYTES {
        return Err(problem(&"they are too long"));
    }
    let text = fs::read(path).map_err(|error| problem(&error))?;
    parse(&text).map_err(|error| problem(&error))
}

/// Parses and checks the text of the settings.
pub fn parse(text: &[u8]) -> Result<Settings, String> {
    let settings: Settings = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if settings.schema > SCHEMA {
        return Err(format!("they have schema {}, this guest knows {SCHEMA}", settings.schema));
    }
    let mut earlier: Vec<&str> = Vec::new();
    for service in &settings.services {
        let name = service.name.as_str();
        if service.args.is_empty() {
            return Err(format!("service {name} names no program"));
        }
        if earlier.contains(&name) {
            return Err(format!("there are two services {name}"));
        }
        if let Some(after) = service.after.iter().find(|after| !earlier.contains(&after.as_str())) {
            return Err(format!("service {name} comes after {after}, which is not before it"));
        }
        if let Some(problem) = service.ready.as_ref().and_then(|ready| probe::problem(&ready.probe)) {
            return Err(format!("service {name}: {problem}"));
        }
        earlier.push(name);
    }
    match &settings.main {
        Some(main) if !earlier.contains(&main.as_str()) => {
            Err(format!("there is no service {main}, which is to be the main one"))
        }
        _ => Ok(settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(services: &str, main: &str, expected: Result<usize, &str>) {
        let text = format!(
            r#"{{"schema":1,"hostname":"x","env":{{}},"services":[{services}],{main}"tools":[],"capabilities":[]}}"#
        );
        let found = parse(text.as_bytes());
        assert_eq!(found.as_ref().map(|settings| settings.services.len()).map_err(String::as_str), expected);
    }

    fn service(name: &str, args: &str, after: &str) -> String {
        format!(
            r#"{{"name":"{name}","args":[{args}],"env":{{}},"user":{{"name":"root","uid":0,"gid":0,"groups":[],"home":"/root"}},
                "after":[{after}],"restart":"never","restart_delay_ms":0,"stop_grace_ms":1000}}"#
        )
    }

    #[test]
    fn settings_are_checked() {
        let web = service("web", r#""web""#, "");
        check("", "", Ok(0));
        check(&web, r#""main":"web","#, Ok(1));
        check(&web, r#""main":"db","#, Err("there is no service db, which is to be the main one"));
        check(&format!("{web},{web}"), "", Err("there are two services web"));
        check(&service("web", "", ""), "", Err("service web names no program"));
        check(&service("web", r#""web""#, r#""db""#), "", Err("service web comes after db, which is not before it"));
        assert!(parse(b"{}").is_err());
        assert!(parse(b"\xff").is_err());
    }
}
