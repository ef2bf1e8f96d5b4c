//! The utility `find`: walks sorted, so that what it prints is the same everywhere.

use tree::{Kind, TreePath};

use super::owner;
use crate::call::Call;
use crate::pattern::{from_text, matches};
use crate::session::Unknown;

enum Test {
    Name(Vec<u8>),
    Path(Vec<u8>),
    LinkTarget(Vec<u8>),
    Kind(u8),
    Permissions { sign: u8, mode: u16 },
    User(u32),
    Group(u32),
    Empty,
    Always(bool),
    Print(u8),
    Delete,
    Prune,
    Execute { words: Vec<Vec<u8>>, batch: bool, index: usize },
    Not(Box<Test>),
    All(Vec<Test>),
    Any(Vec<Test>),
}

struct Walk {
    least: usize,
    most: usize,
    members_first: bool,
    has_action: bool,
    batches: Vec<Vec<Vec<u8>>>,
    commands: Vec<Vec<Vec<u8>>>,
    pruned: Vec<TreePath>,
}

pub(super) fn find(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let args = call.args();
    let start = args.iter().position(|arg| arg.starts_with(b"-") || arg == b"!" || arg == b"(").unwrap_or(args.len());
    let (paths, expression) = args.split_at(start);
    let mut walk = Walk {
        least: 0,
        most: usize::MAX,
        members_first: false,
        has_action: false,
        batches: Vec::new(),
        commands: Vec::new(),
        pruned: Vec::new(),
    };
    let mut rest = expression;
    let test = if rest.is_empty() { Test::Always(true) } else { any(call, &mut walk, &mut rest, 0)? };
    if !rest.is_empty() {
        return Err(call.unknown("the expression"));
    }
    let test = if walk.has_action { test } else { Test::All(vec![test, Test::Print(b'\n')]) };
    let mut status = 0;
    for path in if paths.is_empty() { vec![b".".to_vec()] } else { paths.to_vec() } {
        match call.resolve_link(&path) {
            Ok(root) => visit(call, &mut walk, &test, &path, &root, &mut status)?,
            Err(errno) => status = call.fail(format!("'{}': {errno}", String::from_utf8_lossy(&path)))?,
        }
    }
    for (words, found) in walk.commands.iter().zip(walk.batches) {
        if !found.is_empty() {
            let argv =
                words.iter().flat_map(|word| if word == b"{}" { found.clone() } else { vec![word.clone()] }).collect();
            if call.run(argv)? != 0 {
                status = 1;
            }
        }
    }
    Ok(status)
}

fn visit(
    call: &mut Call<'_, '_>,
    walk: &mut Walk,
    test: &Test,
    shown: &[u8],
    root: &TreePath,
    status: &mut i32,
) -> Result<(), Unknown> {
    let mut all: Vec<TreePath> = call.fs().tree().subtree(root).map(|(path, _, _)| path.clone()).collect();
    if walk.members_first {
        all.reverse();
    }
    walk.pruned.clear();
    for path in all {
        call.work(1)?;
        let below = &path.as_bytes()[root.as_bytes().len()..];
        let below = below.strip_prefix(b"/").unwrap_or(below);
        let depth = if below.is_empty() { 0 } else { below.split(|&byte| byte == b'/').count() };
        let hidden = walk.pruned.iter().any(|pruned| path.starts_with(pruned) && path != *pruned);
        if depth < walk.least || depth > walk.most || hidden || call.fs().node(&path).is_none() {
            continue;
        }
        let slash: &[u8] = if below.is_empty() || shown.ends_with(b"/") { b"" } else { b"/" };
        let name = [shown, slash, below].concat();
        judge(call, walk, test, &name, &path, status)?;
    }
    Ok(())
}

fn judge(
    call: &mut Call<'_, '_>,
    walk: &mut Walk,
    test: &Test,
    shown: &[u8],
    path: &TreePath,
    status: &mut i32,
) -> Result<bool, Unknown> {
    let node = call.fs().node(path);
    Ok(match test {
        Test::Name(pattern) => {
            let end = shown.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
            let name = shown[..end].rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            matches(&from_text(pattern), name)
        }
        Test::Path(pattern) => matches(&from_text(pattern), shown),
        Test::LinkTarget(pattern) => {
            matches!(node.map(|node| &node.kind), Some(Kind::Symlink(target)) if matches(&from_text(pattern), target))
        }
        Test::Kind(letter) => node.is_some_and(|node| kind_letter(&node.kind) == *letter),
        Test::Permissions { sign, mode } => {
            let own = node.map_or(0, |node| node.meta.mode);
            match sign {
                b'-' => own & mode == *mode,
                b'/' => *mode == 0 || own & mode != 0,
                _ => own == *mode,
            }
        }
        Test::User(uid) => node.is_some_and(|node| node.meta.uid == *uid),
        Test::Group(gid) => node.is_some_and(|node| node.meta.gid == *gid),
        Test::Empty => match node.map(|node| &node.kind) {
            Some(Kind::Dir) => call.fs().children(path).is_empty(),
            Some(Kind::File(content)) => content.size_bytes() == 0,
            _ => false,
        },
        Test::Always(truth) => *truth,
        Test::Print(end) => {
            call.out([shown, &[*end]].concat())?;
            true
        }
        Test::Delete => delete(call, shown, path, status)?,
        Test::Prune => {
            walk.pruned.push(path.clone());
            true
        }
        Test::Execute { batch: true, index, .. } => {
            walk.batches[*index].push(shown.to_vec());
            true
        }
        Test::Execute { words, .. } => {
            let argv = words.iter().map(|word| replaced(word, shown)).collect();
            call.run(argv)? == 0
        }
        Test::Not(inner) => !judge(call, walk, inner, shown, path, status)?,
        Test::All(tests) => joined(call, walk, tests, false, shown, path, status)?,
        Test::Any(tests) => joined(call, walk, tests, true, shown, path, status)?,
    })
}

/// Judges until one test gives `decisive`, which is then the result.
fn joined(
    call: &mut Call<'_, '_>,
    walk: &mut Walk,
    tests: &[Test],
    decisive: bool,
    shown: &[u8],
    path: &TreePath,
    status: &mut i32,
) -> Result<bool, Unknown> {
    for test in tests {
        if judge(call, walk, test, shown, path, status)? == decisive {
            return Ok(decisive);
        }
    }
    Ok(!decisive)
}

fn delete(call: &mut Call<'_, '_>, shown: &[u8], path: &TreePath, status: &mut i32) -> Result<bool, Unknown> {
    if call.fs().is_dir(path) && !call.fs().children(path).is_empty() {
        *status = call.fail(format!("cannot delete '{}': Directory not empty", String::from_utf8_lossy(shown)))?;
        return Ok(false);
    }
    if !path.is_root() {
        call.fs_mut().remove(path);
    }
    Ok(true)
}

fn kind_letter(kind: &Kind) -> u8 {
    match kind {
        Kind::Dir => b'd',
        Kind::File(_) => b'f',
        Kind::Symlink(_) => b'l',
        Kind::CharDevice { .. } => b'c',
        Kind::BlockDevice { .. } => b'b',
        Kind::Fifo => b'p',
        Kind::Socket => b's',
    }
}

/// A word with every `{}` in it replaced.
pub(super) fn replaced(word: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"{}") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    out
}

type Words<'w> = &'w [Vec<u8>];

fn any(call: &Call<'_, '_>, walk: &mut Walk, rest: &mut Words<'_>, depth: u32) -> Result<Test, Unknown> {
    if depth > 20 {
        return Err(call.unknown("such a deep expression"));
    }
    let mut tests = vec![all(call, walk, rest, depth)?];
    while rest.first().is_some_and(|word| word == b"-o" || word == b"-or") {
        *rest = &rest[1..];
        tests.push(all(call, walk, rest, depth)?);
    }
    Ok(if tests.len() == 1 { tests.remove(0) } else { Test::Any(tests) })
}

fn all(call: &Call<'_, '_>, walk: &mut Walk, rest: &mut Words<'_>, depth: u32) -> Result<Test, Unknown> {
    let mut tests = Vec::new();
    while rest.first().is_some_and(|word| word != b"-o" && word != b"-or" && word != b")") {
        if rest[0] == b"-a" || rest[0] == b"-and" {
            *rest = &rest[1..];
        }
        tests.push(one(call, walk, rest, depth)?);
    }
    if tests.is_empty() { Err(call.unknown("the expression")) } else { Ok(Test::All(tests)) }
}

fn one(call: &Call<'_, '_>, walk: &mut Walk, rest: &mut Words<'_>, depth: u32) -> Result<Test, Unknown> {
    let strange = |word: &[u8]| call.unknown(String::from_utf8_lossy(word));
    let Some((word, after)) = rest.split_first() else { return Err(call.unknown("the expression")) };
    *rest = after;
    match &word[..] {
        b"!" | b"-not" => return Ok(Test::Not(Box::new(one(call, walk, rest, depth + 1)?))),
        b"(" => {
            let test = any(call, walk, rest, depth + 1)?;
            let Some((b")", after)) = rest.split_first().map(|(word, after)| (&word[..], after)) else {
                return Err(strange(b"("));
            };
            *rest = after;
            return Ok(test);
        }
        b"-xdev" | b"-mount" | b"-true" | b"-noleaf" => return Ok(Test::Always(true)),
        b"-false" => return Ok(Test::Always(false)),
        b"-empty" => return Ok(Test::Empty),
        b"-prune" => return Ok(Test::Prune),
        b"-depth" => {
            walk.members_first = true;
            return Ok(Test::Always(true));
        }
        b"-print" | b"-print0" => {
            walk.has_action = true;
            return Ok(Test::Print(if word.ends_with(b"0") { 0 } else { b'\n' }));
        }
        b"-delete" => {
            (walk.has_action, walk.members_first) = (true, true);
            return Ok(Test::Delete);
        }
        b"-exec" => return execute(call, walk, rest),
        _ => {}
    }
    let Some((value, after)) = rest.split_first() else { return Err(strange(word)) };
    *rest = after;
    let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok());
    match &word[..] {
        b"-name" => Ok(Test::Name(value.clone())),
        b"-path" | b"-wholename" => Ok(Test::Path(value.clone())),
        b"-lname" => Ok(Test::LinkTarget(value.clone())),
        b"-type" => match value[..] {
            [letter] if b"dflcbps".contains(&letter) => Ok(Test::Kind(letter)),
            _ => Err(strange(word)),
        },
        b"-maxdepth" => {
            walk.most = number(value).ok_or_else(|| strange(word))?;
            Ok(Test::Always(true))
        }
        b"-mindepth" => {
            walk.least = number(value).ok_or_else(|| strange(word))?;
            Ok(Test::Always(true))
        }
        b"-perm" => {
            let (sign, digits) = match value.split_first() {
                Some((sign @ (b'-' | b'/'), digits)) => (*sign, digits),
                _ => (b'=', &value[..]),
            };
            Ok(Test::Permissions { sign, mode: owner::new_mode(call, digits, 0, false)? })
        }
        b"-user" => owner::user(call, value)?.map(|(uid, _)| Test::User(uid)).ok_or_else(|| strange(word)),
        b"-group" => owner::group(call, value)?.map(Test::Group).ok_or_else(|| strange(word)),
        _ => Err(strange(word)),
    }
}

fn execute(call: &Call<'_, '_>, walk: &mut Walk, rest: &mut Words<'_>) -> Result<Test, Unknown> {
    let end = rest.iter().position(|word| word == b";" || word == b"+").ok_or_else(|| call.unknown("-exec"))?;
    let (words, batch) = (rest[..end].to_vec(), rest[end] == b"+");
    *rest = &rest[end + 1..];
    if words.is_empty() || (batch && words.last().is_none_or(|word| word != b"{}")) {
        return Err(call.unknown("-exec"));
    }
    walk.has_action = true;
    let index = walk.commands.len();
    if batch {
        walk.commands.push(words.clone());
        walk.batches.push(Vec::new());
    }
    Ok(Test::Execute { words, batch, index })
}
