//! What the tests of disk formats share: reference tools, run where they are there.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "these tests ask tools")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part of this")]

use std::io;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a tool; says on the standard error that the test is skipped where there is none.
pub fn run(test: &str, tool: &str, arguments: &[&dyn AsRef<Path>]) -> Option<Output> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let arguments = arguments.iter().map(|argument| argument.as_ref());
    match Command::new(tool).args(arguments).env("PATH", path).env("LC_ALL", "C.UTF-8").env("MTOOLS_SKIP_CHECK", "1").output()
    {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("SKIP {test}: no {tool}");
            None
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

/// All that a tool said.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a tool that must succeed and gives what it said; nothing where there is no such tool.
pub fn ask(test: &str, tool: &str, arguments: &[&dyn AsRef<Path>]) -> Option<String> {
    let output = run(test, tool, arguments)?;
    assert!(output.status.success(), "{tool}: {}", text(&output));
    Some(text(&output))
}
