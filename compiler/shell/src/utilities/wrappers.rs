//! Utilities that run other commands: `env`, `xargs`, `run-parts`, and the builtins called as programs.

use super::find::replaced;
use super::options;
use crate::builtins;
use crate::call::Call;
use crate::session::Unknown;
use crate::shell::Stop;
use crate::variables::is_name;

/// A builtin that also stands as a program: the same, but for `echo`, of which GNU's reads other options.
pub(super) fn builtin(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let name = call.name();
    let args = call.args();
    let differs = args.iter().any(|arg| arg.contains(&b'\\'))
        || args.first().is_some_and(|arg| arg.starts_with(b"-") && arg != b"-n");
    if name == "echo" && differs {
        return Err(call.unknown("options or escapes"));
    }
    let Some(builtin) = builtins::find(name.as_bytes()) else { return Err(call.unknown("as a program")) };
    let argv: Vec<Vec<u8>> = std::iter::once(name.into_bytes()).chain(args).collect();
    match (builtin.run)(call.shell, &argv) {
        Ok(status) => Ok(status),
        Err(Stop::Unknown(unknown)) => Err(unknown),
        Err(_) => Ok(2),
    }
}

pub(super) fn env(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "+ i|ignore-environment u:|unset")?;
    let mut words = &parsed.operands[..];
    let outer = call.shell.state.vars.clone();
    let environment = outer.environment();
    for name in environment.keys().filter(|name| parsed.has('i') || parsed.values('u').any(|unset| unset == &name[..]))
    {
        call.shell.state.vars.put_back(name, None);
    }
    while let [word, rest @ ..] = words {
        let Some(at) = word.iter().position(|&byte| byte == b'=') else { break };
        if !is_name(&word[..at]) {
            return Err(call.unknown("such a variable"));
        }
        call.shell.state.vars.import(&word[..at], &word[at + 1..]);
        words = rest;
    }
    let result = if words.is_empty() {
        let lines = call
            .shell
            .state
            .vars
            .environment()
            .into_iter()
            .flat_map(|(name, value)| [&name[..], b"=", &value, b"\n"].concat());
        let text: Vec<u8> = lines.collect();
        call.out(text).map(|()| 0)
    } else {
        call.run(words.to_vec())
    };
    call.shell.state.vars = outer;
    result
}

pub(super) fn xargs(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "+ r|no-run-if-empty 0|null n:|max-args I: d:|delimiter")?;
    let text = call.stdin()?;
    let words: Vec<Vec<u8>> = if parsed.has('0') {
        text.strip_suffix(b"\0")
            .unwrap_or(&text)
            .split(|&byte| byte == 0)
            .map(<[u8]>::to_vec)
            .filter(|_| !text.is_empty())
            .collect()
    } else {
        if text.iter().any(|byte| b"'\"\\".contains(byte)) || parsed.has('d') {
            return Err(call.unknown("quotes in the input"));
        }
        let separates: fn(&u8) -> bool = if parsed.has('I') { |byte| *byte == b'\n' } else { u8::is_ascii_whitespace };
        text.split(separates)
            .map(<[u8]>::trim_ascii_start)
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let command = if parsed.operands.is_empty() { vec![b"echo".to_vec()] } else { parsed.operands.clone() };
    let mut runs: Vec<Vec<Vec<u8>>> = Vec::new();
    if let Some(mark) = parsed.value('I') {
        if mark != b"{}" {
            return Err(call.unknown("-I with another mark"));
        }
        runs.extend(words.iter().map(|word| command.iter().map(|part| replaced(part, word)).collect()));
    } else {
        let most = match parsed.value('n') {
            Some(text) => options::number(call, text)?.max(1),
            None => usize::MAX,
        };
        runs.extend(words.chunks(most).map(|chunk| [&command[..], chunk].concat()));
        if words.is_empty() && !parsed.has('r') {
            runs.push(command);
        }
    }
    let mut status = 0;
    for argv in runs {
        match call.run(argv)? {
            0 => {}
            127 => return Ok(127),
            255 => return Ok(124),
            _ => status = 123,
        }
    }
    Ok(status)
}

pub(super) fn run_parts(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "1|list 2|test a:|arg 3|exit-on-error 4|report")?;
    let [folder] = &parsed.operands[..] else { return Err(call.unknown("the operands")) };
    let Ok(found) = call.resolve(folder) else {
        return call
            .fail(format!("failed to open directory {}: No such file or directory", String::from_utf8_lossy(folder)));
    };
    let mut status = 0;
    for name in call.fs().children(&found) {
        if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)) {
            continue;
        }
        let path = [folder.strip_suffix(b"/").unwrap_or(folder), b"/", &name].concat();
        let Ok(resolved) = call.resolve(&path) else { return Err(call.unknown("a dangling link")) };
        if call.fs().is_dir(&resolved) || (!parsed.has('1') && !call.fs().is_executable(&resolved)) {
            continue;
        }
        if parsed.has('1') || parsed.has('2') {
            call.out([&path[..], b"\n"].concat())?;
            continue;
        }
        let argv = std::iter::once(path.clone()).chain(parsed.values('a').map(<[u8]>::to_vec)).collect();
        let result = call.run(argv)?;
        if result != 0 {
            call.fail(format!("{} exited with return code {result}", String::from_utf8_lossy(&path)))?;
            status = 1;
            if parsed.has('3') {
                return Ok(1);
            }
        }
    }
    Ok(status)
}
