//! The standard utilities that scripts of packages use, by name; each refuses what it does not do exactly.

mod compare;
mod copy;
mod find;
mod grep;
mod links;
mod list;
mod make;
mod options;
mod owner;
mod paths;
mod sed;
mod system;
mod text;
mod translate;
mod wrappers;

use crate::call::Call;
use crate::session::Unknown;

pub(crate) type Utility = fn(&mut Call<'_, '_>) -> Result<i32, Unknown>;

pub(crate) fn find(name: &[u8]) -> Option<Utility> {
    Some(match name {
        b"true" | b"sync" | b"sleep" | b"logger" => |_| Ok(0),
        b"false" => |_| Ok(1),
        b"[" | b"echo" | b"printf" | b"pwd" | b"test" => wrappers::builtin,
        b"basename" => paths::basename,
        b"cat" => text::cat,
        b"chgrp" => owner::chgrp,
        b"chmod" => owner::chmod,
        b"chown" => owner::chown,
        b"cmp" => compare::cmp,
        b"cp" => copy::cp,
        b"cut" => translate::cut,
        b"date" => system::date,
        b"diff" => compare::diff,
        b"dirname" => paths::dirname,
        b"egrep" | b"fgrep" | b"grep" => grep::grep,
        b"env" => wrappers::env,
        b"expr" => system::expr,
        b"find" => find::find,
        b"head" => text::head,
        b"id" => system::id,
        b"install" => make::install,
        b"ln" => links::ln,
        b"ls" => list::ls,
        b"md5sum" | b"sha256sum" | b"sha512sum" => compare::checksum,
        b"mkdir" => make::mkdir,
        b"mktemp" => make::mktemp,
        b"mv" => copy::mv,
        b"readlink" => paths::readlink,
        b"realpath" => paths::realpath,
        b"rm" => copy::rm,
        b"rmdir" => make::rmdir,
        b"run-parts" => wrappers::run_parts,
        b"sed" => sed::sed,
        b"seq" => system::seq,
        b"sort" => text::sort,
        b"stat" => list::stat,
        b"tail" => text::tail,
        b"tee" => text::tee,
        b"touch" => make::touch,
        b"tr" => translate::tr,
        b"uname" => system::uname,
        b"uniq" => text::uniq,
        b"wc" => text::wc,
        b"which" => paths::which,
        b"whoami" => system::whoami,
        b"xargs" => wrappers::xargs,
        _ => return None,
    })
}

/// A name and the bytes under it.
type Named = (Vec<u8>, Vec<u8>);

/// The input of a text utility: the operands one after the other, or the standard input. Missing ones are reported.
fn input(call: &mut Call<'_, '_>, operands: &[Vec<u8>]) -> Result<(Vec<Named>, i32), Unknown> {
    if operands.is_empty() {
        return Ok((vec![(b"-".to_vec(), call.stdin()?)], 0));
    }
    let mut all = Vec::new();
    let mut status = 0;
    for name in operands {
        let bytes = if name == b"-" { Ok(call.stdin()?) } else { call.read(name)? };
        match bytes {
            Ok(bytes) => {
                call.work(bytes.len() as u64 / 64)?;
                all.push((name.clone(), bytes));
            }
            Err(errno) => {
                call.fail(format!("{}: {errno}", String::from_utf8_lossy(name)))?;
                status = 1;
            }
        }
    }
    Ok((all, status))
}

/// The lines of a text without their ends; a last line without one counts.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    if text.is_empty() {
        return Vec::new();
    }
    text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n').collect()
}
