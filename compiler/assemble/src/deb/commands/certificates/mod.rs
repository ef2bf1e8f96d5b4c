//! `update-ca-certificates` (update-ca-certificates(8)): the links and the bundle of the certificates that are trusted.

pub mod subject;

use std::collections::BTreeMap;

use super::{Call, Unknown};

const CONFIG: &str = "/etc/ca-certificates.conf";
const SHIPPED: &str = "/usr/share/ca-certificates";
const LOCAL: &str = "/usr/local/share/ca-certificates";
const CERTS: &str = "/etc/ssl/certs";

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut args = call.args.iter().map(String::as_str);
    let mut hooks = true;
    while let Some(arg) = args.next() {
        match arg {
            "--fresh" | "-f" | "--verbose" | "-v" => {}
            "--hooksdir" => hooks = args.next().is_some_and(|folder| !folder.is_empty()),
            _ => return call.unknown_option(arg),
        }
    }
    let hook_names = call.files.names_in("/etc/ca-certificates/update.d");
    if hooks && !hook_names.is_empty() {
        return call.unknown(&format!("its hook {} is not understood", hook_names.join(", ")));
    }
    let mut bundle = Vec::new();
    let mut by_file = BTreeMap::new();
    for path in trusted(call)? {
        let mut text = call.files.read(&path)?;
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        bundle.extend_from_slice(&text);
        let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".crt");
        let name = name.replace(' ', "_").replace(['(', ')'], "=").replace(',', "_");
        call.files.link(format!("{CERTS}/{name}.pem"), &path)?;
        if let Some(hash) = subject::subject_hash(&text) {
            by_file.insert(format!("{name}.pem"), hash);
        }
    }
    link_by_hash(call, by_file)?;
    call.files.write(format!("{CERTS}/ca-certificates.crt"), 0o644, bundle)?;
    Ok(0)
}

/// `HASH.N` for each certificate, as `openssl rehash` numbers those with equal subjects: by file name.
fn link_by_hash(call: &mut Call<'_, '_>, by_file: BTreeMap<String, String>) -> Result<(), Unknown> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for (file, hash) in by_file {
        let count = counts.entry(hash.clone()).or_default();
        call.files.link(format!("{CERTS}/{hash}.{count}"), file)?;
        *count += 1;
    }
    Ok(())
}

/// The certificates in the order of the configuration, then local ones, sorted.
fn trusted(call: &Call<'_, '_>) -> Result<Vec<String>, Unknown> {
    let config = call.files.read_text(CONFIG)?;
    let names = config.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    let mut paths: Vec<String> =
        names.map(|name| format!("{SHIPPED}/{name}")).filter(|path| call.files.exists(path)).collect();
    let local = call.files.names_in(LOCAL).into_iter().filter(|name| name.ends_with(".crt"));
    paths.extend(local.map(|name| format!("{LOCAL}/{name}")));
    Ok(paths)
}
