//! `dpkg-trigger` (dpkg-trigger(1)): notes that a trigger is activated; it is answered after all packages are configured.

use super::super::triggers;
use super::{Call, Unknown};

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut by = (call.env)("DPKG_MAINTSCRIPT_PACKAGE").unwrap_or_else(|| "-".to_owned());
    let mut names = Vec::new();
    let mut args = call.args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--no-await" | "--await" => {}
            "--by-package" => by = args.next().unwrap_or("-").to_owned(),
            "--check-supported" => return Ok(0),
            option if option.starts_with("--by-package=") => by = option.trim_start_matches("--by-package=").to_owned(),
            option if option.starts_with('-') => return call.unknown_option(option),
            name => names.push(name.to_owned()),
        }
    }
    let [name] = names.as_slice() else { return call.fail(2, "error: takes one argument, the trigger name") };
    triggers::note(call.files, name, &by)?;
    Ok(0)
}
