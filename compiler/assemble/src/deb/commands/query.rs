//! `dpkg-query` (dpkg-query(1)) over the database in the tree.

use packages::deb::{Stanza, Stanzas};

use super::{Call, Unknown};

const INFO: &str = "/var/lib/dpkg/info";

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let words: Vec<String> = call.args.to_vec();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["-L" | "--listfiles", names @ ..] => list_files(call, names),
        ["-s" | "--status", names @ ..] => status(call, names),
        ["-S" | "--search", paths @ ..] => search(call, paths),
        ["-l" | "--list", names @ ..] => list(call, names),
        ["-c" | "--control-path", name, file] => control_path(call, name, file),
        [verb @ ("-W" | "--show" | "-f" | "--showformat"), ..] | [verb, ..]
            if verb.starts_with("-f") || verb.starts_with("--showformat") || ["-W", "--show"].contains(verb) =>
        {
            show(call, &words)
        }
        _ => call.unknown("this use is not understood"),
    }
}

/// The files of packages, as their lists have them.
pub(super) fn list_files(call: &mut Call<'_, '_>, names: &[&str]) -> Result<i32, Unknown> {
    let mut status = 0;
    for name in names {
        match info_base(call, name) {
            Some(base) => {
                let text = call.files.read_text(format!("{base}.list"))?;
                call.out.push_str(&text);
            }
            None => status = call.fail(1, &format!("package '{name}' is not installed"))?,
        }
    }
    Ok(status)
}

/// The paragraphs of packages.
pub(super) fn status(call: &mut Call<'_, '_>, names: &[&str]) -> Result<i32, Unknown> {
    let database = call.files.read_text("/var/lib/dpkg/status")?;
    let mut status = 0;
    for name in names {
        match find(&database, name) {
            Some(stanza) => {
                let text: String = stanza
                    .fields()
                    .map(|(name, value)| format!("{name}:{}{value}\n", if value.starts_with('\n') { "" } else { " " }))
                    .collect();
                call.out.push_str(&text);
            }
            None => {
                status = call.fail(1, &format!("package '{name}' is not installed and no information is available"))?
            }
        }
    }
    Ok(status)
}

/// Which packages ship a path.
pub(super) fn search(call: &mut Call<'_, '_>, paths: &[&str]) -> Result<i32, Unknown> {
    let mut status = 0;
    for path in paths {
        if path.contains(['*', '?', '[']) || !path.starts_with('/') {
            return call.unknown("patterns are not understood");
        }
        let mut owners = Vec::new();
        for list in call.files.names_in(INFO) {
            let Some(name) = list.strip_suffix(".list") else { continue };
            if call.files.read_text(format!("{INFO}/{list}"))?.lines().any(|line| line == *path) {
                owners.push(name.to_owned());
            }
        }
        match owners.is_empty() {
            true => status = call.fail(1, &format!("no path found matching pattern {path}"))?,
            false => call.say(&format!("{}: {path}", owners.join(", "))),
        }
    }
    Ok(status)
}

/// A table of packages: only that there is none is understood, since its columns depend on the terminal.
pub(super) fn list(call: &mut Call<'_, '_>, names: &[&str]) -> Result<i32, Unknown> {
    let database = call.files.read_text("/var/lib/dpkg/status")?;
    if names.is_empty() || names.iter().any(|name| name.contains(['*', '?', '[']) || find(&database, name).is_some()) {
        return call.unknown("the table of installed packages is not understood");
    }
    call.fail(1, &format!("no packages found matching {}", names.join(" ")))
}

fn control_path(call: &mut Call<'_, '_>, name: &str, file: &str) -> Result<i32, Unknown> {
    match info_base(call, name) {
        Some(base) if call.files.exists(format!("{base}.{file}")) => call.say(&format!("{base}.{file}")),
        Some(_) => {}
        None => return call.fail(1, &format!("package '{name}' is not installed")),
    }
    Ok(0)
}

fn show(call: &mut Call<'_, '_>, words: &[&str]) -> Result<i32, Unknown> {
    let mut format = "${binary:Package}\t${Version}\n".to_owned();
    let mut names = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "-W" | "--show" => {}
            "-f" | "--showformat" => format = words.next().map(|text| (*text).to_owned()).unwrap_or_default(),
            word if word.starts_with("--showformat=") => format = word.trim_start_matches("--showformat=").to_owned(),
            word if word.starts_with("-f") => format = word.trim_start_matches("-f").trim_start_matches('=').to_owned(),
            word if word.starts_with('-') || word.contains(['*', '?', '[']) => return call.unknown_option(word),
            word => names.push(word),
        }
    }
    let database = call.files.read_text("/var/lib/dpkg/status")?;
    let mut status = 0;
    if names.is_empty() {
        for stanza in Stanzas::new(&database).filter_map(Result::ok) {
            let text = fill(call, &format, stanza)?;
            call.out.push_str(&text);
        }
    }
    for name in names {
        match find(&database, name) {
            Some(stanza) => {
                let text = fill(call, &format, stanza)?;
                call.out.push_str(&text);
            }
            None => status = call.fail(1, &format!("no packages found matching {name}"))?,
        }
    }
    Ok(status)
}

/// Fills a format of `${Field}` and backslash escapes; widths and virtual fields beyond these are not understood.
fn fill(call: &Call<'_, '_>, format: &str, stanza: Stanza<'_>) -> Result<String, Unknown> {
    let field = |name: &str| stanza.get(name).unwrap_or_default();
    let words: Vec<&str> = field("Status").split(' ').collect();
    let mut out = String::new();
    let mut rest = format.replace("\\n", "\n").replace("\\t", "\t");
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { return call.unknown("the format is malformed") };
        out.push_str(before);
        match name {
            "binary:Package" if field("Multi-Arch") == "same" => {
                out.push_str(&format!("{}:{}", field("Package"), field("Architecture")))
            }
            "binary:Package" => out.push_str(field("Package")),
            "db:Status-Abbrev" => out.push_str("ii "),
            "db:Status-Want" => out.push_str(words.first().unwrap_or(&"")),
            "db:Status-Eflag" => out.push_str(words.get(1).unwrap_or(&"")),
            "db:Status-Status" => out.push_str(words.get(2).unwrap_or(&"")),
            name if name.contains([':', ';']) => return call.unknown("a field of the format is not understood"),
            name => out.push_str(field(name)),
        }
        rest = after.to_owned();
    }
    out.push_str(&rest);
    Ok(out)
}

/// The paragraph of an installed package, by `NAME` or `NAME:ARCH`.
pub(super) fn find<'a>(database: &'a str, name: &str) -> Option<Stanza<'a>> {
    let (name, arch) = name.split_once(':').map_or((name, None), |(name, arch)| (name, Some(arch)));
    let fits = |stanza: &Stanza<'_>| {
        stanza.get("Package") == Some(name) && arch.is_none_or(|arch| stanza.get("Architecture") == Some(arch))
    };
    Stanzas::new(database).filter_map(Result::ok).find(fits)
}

/// The path in `info/` before the suffixes of a package's files.
pub(super) fn info_base(call: &Call<'_, '_>, name: &str) -> Option<String> {
    let (plain, arch) = name.split_once(':').unwrap_or((name, call.system.arch.name()));
    let both = [format!("{INFO}/{plain}"), format!("{INFO}/{plain}:{arch}")];
    both.into_iter().find(|base| !plain.contains('/') && call.files.exists(format!("{base}.list")))
}
