//! `ldconfig` (ldconfig(8)): the links by SONAME and `/etc/ld.so.cache`, as glibc's own program makes them; no aux-cache.

mod cache;
pub mod elf;

use std::collections::BTreeMap;

use spec::appliance::Arch;
use tree::{Kind, TreePath};

use self::cache::{Entry, compare_names};
use super::{Call, Unknown};

/// `include` lines lead no deeper than this.
const INCLUDE_DEPTH: u32 = 8;

/// The library that was chosen for a SONAME in one folder.
struct Chosen {
    name: String,
    is_link: bool,
    flags: u32,
}

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut args = call.args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "-r" if args.next().is_some_and(|root| root == "/" || root.is_empty()) => {}
            "--verbose" | "-v" | "-X" => {}
            _ => return call.unknown_option(arg),
        }
    }
    let mut entries = Vec::new();
    let mut done = Vec::new();
    for folder in folders(call)? {
        // A folder that is reached by two names counts once, by the first.
        let Ok(place) = call.files.resolve(&folder, true) else { continue };
        if !done.contains(&place) && call.files.tree().get(&place).is_some_and(tree::Node::is_dir) {
            read_folder(call, &folder, &place, &mut entries)?;
            done.push(place);
        }
    }
    let generator = generator(call)?;
    call.files.write("/etc/ld.so.cache", 0o644, cache::encode(entries, &generator))?;
    Ok(0)
}

/// The folders of the configuration, then the loader's own (Debian's multiarch ones, `/lib` and `/usr/lib`).
fn folders(call: &Call<'_, '_>) -> Result<Vec<String>, Unknown> {
    let mut folders = Vec::new();
    configured(call, "/etc/ld.so.conf", 0, &mut folders)?;
    let triplet = match call.system.arch {
        Arch::Amd64 => "x86_64-linux-gnu",
        Arch::Arm64 => "aarch64-linux-gnu",
    };
    folders.extend([
        format!("/lib/{triplet}"),
        format!("/usr/lib/{triplet}"),
        "/lib".to_owned(),
        "/usr/lib".to_owned(),
    ]);
    Ok(folders)
}

fn configured(call: &Call<'_, '_>, path: &str, depth: u32, folders: &mut Vec<String>) -> Result<(), Unknown> {
    if depth > INCLUDE_DEPTH {
        return call.unknown("ld.so.conf includes itself");
    }
    for line in call.files.read_text(path)?.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include") {
            Some(pattern) if pattern.starts_with([' ', '\t']) => {
                let Some((folder, "*.conf")) = pattern.trim().rsplit_once('/') else {
                    return call.unknown("a pattern of ld.so.conf is not understood");
                };
                for name in
                    call.files.names_in(folder).iter().filter(|name| name.ends_with(".conf") && !name.starts_with('.'))
                {
                    configured(call, &format!("{folder}/{name}"), depth + 1, folders)?;
                }
            }
            _ if line.is_empty() => {}
            _ if line.starts_with('/') => folders.push(line.trim_end_matches('/').to_owned()),
            _ => return call.unknown("a line of ld.so.conf is not understood"),
        }
    }
    Ok(())
}

/// Chooses a library for each SONAME of a folder, makes its link and notes it for the cache.
fn read_folder(
    call: &mut Call<'_, '_>,
    folder: &str,
    place: &TreePath,
    entries: &mut Vec<Entry>,
) -> Result<(), Unknown> {
    let mut chosen: BTreeMap<(String, u32), Chosen> = BTreeMap::new();
    let names: Vec<String> = call.files.names_in(folder);
    if names.iter().any(|name| name == "glibc-hwcaps") {
        return call.unknown("libraries for particular processors (glibc-hwcaps) are not understood");
    }
    for name in names.iter().filter(|name| (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so"))
    {
        let path = format!("{folder}/{name}");
        let Some((library, flags)) = library(call, &path)? else { continue };
        let soname = library.soname.unwrap_or_else(|| name.clone());
        let (soname, is_link) = as_link(call, &path, name, soname);
        let candidate = Chosen { name: name.clone(), is_link, flags };
        match chosen.get_mut(&(soname.clone(), flags)) {
            // A file is better than a link, and of two alike the higher version.
            Some(old)
                if (!is_link && old.is_link) || (is_link == old.is_link && compare_names(&old.name, name).is_lt()) =>
            {
                *old = candidate
            }
            Some(_) => {}
            None => {
                chosen.insert((soname, flags), candidate);
            }
        }
    }
    for ((soname, _), library) in chosen {
        if !library.is_link && soname != library.name {
            link(call, place, &soname, &library.name)?;
        }
        entries.push(Entry { path: format!("{folder}/{soname}"), soname, flags: library.flags });
    }
    Ok(())
}

/// Under which name an entry counts, and whether as a link. A link named like its library's SONAME, or like its start
/// up to `.so` as compilers want it, counts under its own name; any other link counts as the file it leads to.
fn as_link(call: &Call<'_, '_>, path: &str, name: &str, soname: String) -> (String, bool) {
    let for_compilers = name.ends_with(".so") && soname.starts_with(name);
    match call.files.read_link(path).is_some() && (name == soname || for_compilers) {
        true => (name.to_owned(), true),
        false => (soname, false),
    }
}

fn library(call: &Call<'_, '_>, path: &str) -> Result<Option<(elf::Library, u32)>, Unknown> {
    let Some(Kind::File(content)) = call.files.stat(path).map(|node| &node.kind) else { return Ok(None) };
    // EM_X86_64 and EM_AARCH64; libraries of other machines belong to other loaders.
    let flags = |machine| match machine {
        62 => Some(0x0303),
        183 => Some(0x0a03),
        _ => None,
    };
    let library = elf::library(&mut |offset_bytes, count| call.files.part(content, offset_bytes, count))?;
    Ok(library.and_then(|library| flags(library.machine).map(|flags| (library, flags))))
}

/// Makes `soname` a link to `name` unless a file stands there.
fn link(call: &mut Call<'_, '_>, place: &TreePath, soname: &str, name: &str) -> Result<(), Unknown> {
    let path = format!("/{}/{soname}", String::from_utf8_lossy(place.as_bytes()));
    match call.files.lstat(&path).map(|node| &node.kind) {
        None => call.files.link(&path, name)?,
        Some(Kind::Symlink(_))
            if call.files.resolve(&path, true).ok()
                != call.files.resolve(format!("/{}/{name}", String::from_utf8_lossy(place.as_bytes())), true).ok() =>
        {
            call.files.link(&path, name)?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// What the program writes about itself: vendor, package version and release.
fn generator(call: &Call<'_, '_>) -> Result<String, Unknown> {
    let status = call.files.read_text("/var/lib/dpkg/status")?;
    let of = packages::deb::Stanzas::new(&status)
        .filter_map(Result::ok)
        .find(|stanza| stanza.get("Package") == Some("libc-bin"));
    let version = of.and_then(|stanza| stanza.get("Version")).unwrap_or("0").to_owned();
    let vendor =
        if call.files.read_text("/etc/dpkg/origins/default")?.contains("Ubuntu") { "Ubuntu" } else { "Debian" };
    let release = version.split('-').next().unwrap_or(&version);
    Ok(format!("ldconfig ({vendor} GLIBC {version}) stable release version {release}"))
}
