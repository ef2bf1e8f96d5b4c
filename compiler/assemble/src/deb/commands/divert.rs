//! `dpkg-divert` (dpkg-divert(1)): adds, removes and lists diversions, renaming files where asked.

use super::super::diversions::{Diversion, Diversions};
use super::{Call, Unknown};

struct Options<'a> {
    package: String,
    divert: Option<&'a str>,
    rename: bool,
    quiet: bool,
}

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let package = (call.env)("DPKG_MAINTSCRIPT_PACKAGE").unwrap_or_else(|| ":".to_owned());
    let mut options = Options { package, divert: None, rename: false, quiet: false };
    let (mut action, mut path) = ("--add", None);
    let mut args = call.args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        let (name, value) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
        match name {
            "--add" | "--remove" | "--list" | "--listpackage" | "--truename" => action = name,
            "--local" => options.package = ":".to_owned(),
            "--rename" => options.rename = true,
            "--no-rename" => options.rename = false,
            "--quiet" => options.quiet = true,
            "--package" | "--divert" => {
                let Some(value) = value.or_else(|| args.next()) else {
                    return call.fail(2, &format!("error: {name} takes one argument"));
                };
                if name == "--package" { options.package = value.to_owned() } else { options.divert = Some(value) }
            }
            name if name.starts_with('-') => return call.unknown_option(name),
            _ => path = Some(arg),
        }
    }
    if action == "--list" {
        return list(call, path);
    }
    let Some(path) = path else { return call.fail(2, "error: a file name is needed") };
    match action {
        "--add" => add(call, path, &options),
        "--remove" => remove(call, path, &options),
        _ => show(call, action, path),
    }
}

fn add(call: &mut Call<'_, '_>, path: &str, options: &Options<'_>) -> Result<i32, Unknown> {
    let to = options.divert.map_or_else(|| format!("{path}.distrib"), str::to_owned);
    let mut all = Diversions::load(call.files)?;
    let new = Diversion { from: path.to_owned(), to: to.clone(), package: options.package.clone() };
    if all.of(path) == Some(&new) {
        return Ok(0);
    }
    let clashes = |one: &&Diversion| one.from == path || one.to == path || one.from == to || one.to == to;
    if let Some(other) = all.0.iter().find(clashes) {
        let what =
            format!("error: diversion of {path} to {to} clashes with diversion of {} to {}", other.from, other.to);
        return call.fail(2, &what);
    }
    all.0.push(new);
    if !options.quiet {
        call.say(&format!("Adding 'diversion of {path} to {to} by {}'", options.package));
    }
    if options.rename && !ships(call, path, &options.package)? {
        rename(call, path, &to)?;
    }
    all.save(call.files)?;
    Ok(0)
}

fn remove(call: &mut Call<'_, '_>, path: &str, options: &Options<'_>) -> Result<i32, Unknown> {
    let mut all = Diversions::load(call.files)?;
    let Some(one) = all.of(path).cloned() else {
        if !options.quiet {
            call.say(&format!("No diversion 'any diversion of {path}', none removed."));
        }
        return Ok(0);
    };
    if one.package != options.package || options.divert.is_some_and(|divert| divert != one.to) {
        return call.fail(2, &format!("error: mismatch on package or target when removing the diversion of {path}"));
    }
    if options.rename {
        rename(call, &one.to, path)?;
    }
    all.0.retain(|other| *other != one);
    all.save(call.files)?;
    Ok(0)
}

fn show(call: &mut Call<'_, '_>, action: &str, path: &str) -> Result<i32, Unknown> {
    let all = Diversions::load(call.files)?;
    match (action, all.of(path)) {
        ("--truename", one) => call.say(&one.map_or_else(|| path.to_owned(), |one| one.to.clone())),
        (_, Some(one)) => call.say(if one.package == ":" { "LOCAL" } else { &one.package }),
        (_, None) => {}
    }
    Ok(0)
}

fn list(call: &mut Call<'_, '_>, pattern: Option<&str>) -> Result<i32, Unknown> {
    if pattern.is_some_and(|pattern| pattern.contains(['*', '?', '['])) {
        return call.unknown("patterns are not understood");
    }
    for one in Diversions::load(call.files)?.0 {
        if pattern.is_none_or(|path| path == one.from || path == one.to) {
            let by = if one.package == ":" { "local diversion".to_owned() } else { "diversion".to_owned() };
            let who = if one.package == ":" { String::new() } else { format!(" by {}", one.package) };
            call.say(&format!("{by} of {} to {}{who}", one.from, one.to));
        }
    }
    Ok(0)
}

/// Whether the package that diverts ships the path itself; then what stands there is its own and is not renamed.
fn ships(call: &Call<'_, '_>, path: &str, package: &str) -> Result<bool, Unknown> {
    let list = call.files.read_text(format!("/var/lib/dpkg/info/{package}.list"))?;
    Ok(list.lines().any(|line| line == path))
}

fn rename(call: &mut Call<'_, '_>, from: &str, to: &str) -> Result<(), Unknown> {
    let Some(node) = call.files.lstat(from).cloned() else { return Ok(()) };
    if node.is_dir() {
        return call.unknown("a folder would be renamed");
    }
    if call.files.lstat(to).is_some() {
        return call.unknown("something stands where the file would go");
    }
    call.files.put(to, node)?;
    call.files.remove(from);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{listing, run};

    fn check(lines: &[&str], want: &[&str]) {
        let (tree, said) = run(|files| files.write("/bin/x", 0o755, "old").unwrap(), lines);
        let got: Vec<String> = said.into_iter().chain(listing(&tree)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn diversions_are_added_listed_and_removed() {
        let add = "dpkg-divert --quiet --package p --rename --divert /bin/x.p --add /bin/x";
        check(&[add, add], &["0", "0", "/bin/x.p old", "/var/lib/dpkg/diversions /bin/x\n/bin/x.p\np\n"]);
        check(
            &[
                add,
                "dpkg-divert --truename /bin/x",
                "dpkg-divert --listpackage /bin/x",
                "dpkg-divert --list /bin/x",
                "dpkg-divert --package q --remove /bin/x",
                "dpkg-divert --quiet --package p --rename --remove /bin/x",
            ],
            &[
                "0",
                "/bin/x.p\n0",
                "p\n0",
                "diversion of /bin/x to /bin/x.p by p\n0",
                "dpkg-divert: error: mismatch on package or target when removing the diversion of /bin/x\n2",
                "0",
                "/bin/x old",
                "/var/lib/dpkg/diversions ",
            ],
        );
    }
}
