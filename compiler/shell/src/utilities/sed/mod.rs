//! The utility `sed`: addresses, `s`, `y`, `d`, `p`, `q`, `n`, `=`, `a`, `i`, `c` and groups, also in place.

mod script;

use tree::{Content, Kind};

use self::script::{Address, Command, Flags, Step, Text};
use super::{input, options};
use crate::call::Call;
use crate::session::Unknown;

pub(super) fn sed(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "n|quiet 1|silent e:|expression E|regexp-extended r i|in-place s|separate")?;
    let mut operands = parsed.operands.clone();
    let mut scripts: Vec<Vec<u8>> = parsed.values('e').map(<[u8]>::to_vec).collect();
    if scripts.is_empty() {
        if operands.is_empty() {
            return Err(call.unknown("no script"));
        }
        scripts.push(operands.remove(0));
    }
    let extended = parsed.has('E') || parsed.has('r');
    let steps = script::parse(&scripts.join(&b'\n'), extended).map_err(|what| call.unknown(what))?;
    let quiet = parsed.has('n') || parsed.has('1');
    if !parsed.has('i') {
        let (texts, status) = input(call, &operands)?;
        if parsed.has('s') && texts.len() > 1 {
            return Err(call.unknown("the option -s"));
        }
        let text: Vec<u8> = texts.into_iter().flat_map(|(_, text)| text).collect();
        let (out, exit) = Run::new(call, &steps, quiet).over(&text)?;
        call.out(out)?;
        return Ok(if exit != 0 { exit } else { status * 2 });
    }
    let mut status = 0;
    for path in &operands {
        let place = call.resolve_link(path);
        let (Ok(place), Ok(Ok(text))) = (place, call.read(path)) else {
            call.fail(format!("can't read {}: No such file or directory", String::from_utf8_lossy(path)))?;
            status = 2;
            continue;
        };
        let meta = call.resolve(path).ok().and_then(|path| Some(call.fs().node(&path)?.meta.clone()));
        let (out, exit) = Run::new(call, &steps, quiet).over(&text)?;
        let made = call.fs_mut().create(&place, Kind::File(Content::inline(out)), 0o644);
        if let (Ok(()), Some(meta)) = (made, meta) {
            call.fs_mut().change(&place, |node| {
                (node.meta.mode, node.meta.uid, node.meta.gid) = (meta.mode, meta.uid, meta.gid)
            });
        }
        if exit != 0 {
            return Ok(exit);
        }
    }
    Ok(status)
}

/// One pass of a script over a text.
struct Run<'r, 'c, 's> {
    call: &'r mut Call<'c, 's>,
    steps: &'r [Step],
    quiet: bool,
    /// Whether each ranged step is within its range.
    active: Vec<bool>,
    out: Vec<u8>,
    appended: Vec<u8>,
    /// Lines with their ends.
    lines: Vec<Vec<u8>>,
    at: usize,
}

/// What becomes of the line after its commands.
enum End {
    Print,
    Delete,
    Quit(i32),
}

impl<'r, 'c, 's> Run<'r, 'c, 's> {
    fn new(call: &'r mut Call<'c, 's>, steps: &'r [Step], quiet: bool) -> Self {
        let count = steps.len();
        Self {
            call,
            steps,
            quiet,
            active: vec![false; count],
            out: Vec::new(),
            appended: Vec::new(),
            lines: Vec::new(),
            at: 0,
        }
    }

    fn over(mut self, text: &[u8]) -> Result<(Vec<u8>, i32), Unknown> {
        self.lines = text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        while self.at < self.lines.len() {
            let mut space = self.space();
            let end = self.cycle(&mut space)?;
            if !matches!(end, End::Delete) && !self.quiet {
                self.print(&space);
            }
            self.flush();
            if let End::Quit(status) = end {
                return Ok((self.out, status));
            }
            self.at += 1;
        }
        Ok((self.out, 0))
    }

    fn space(&self) -> Vec<u8> {
        let line = &self.lines[self.at];
        line.strip_suffix(b"\n").unwrap_or(line).to_vec()
    }

    fn is_last(&self) -> bool {
        self.at + 1 == self.lines.len()
    }

    fn print(&mut self, text: &[u8]) {
        self.end_line();
        self.out.extend_from_slice(text);
        // A last line without an end stays without one.
        if self.lines[self.at].ends_with(b"\n") {
            self.out.push(b'\n');
        }
    }

    fn end_line(&mut self) {
        if self.out.last().is_some_and(|byte| *byte != b'\n') {
            self.out.push(b'\n');
        }
    }

    fn flush(&mut self) {
        if !self.appended.is_empty() {
            self.end_line();
            let appended = std::mem::take(&mut self.appended);
            self.out.extend(appended);
        }
    }

    fn cycle(&mut self, space: &mut Vec<u8>) -> Result<End, Unknown> {
        let mut index = 0;
        while let Some(step) = self.steps.get(index) {
            self.call.work(1 + space.len() as u64 / 16)?;
            let selected = self.selects(index, step, space)? != step.negated;
            index += 1;
            if !selected {
                if let Command::Group { end } = &step.command {
                    index = *end;
                }
                continue;
            }
            match &step.command {
                Command::Group { .. } => {}
                Command::Delete => return Ok(End::Delete),
                Command::Print => self.print(space),
                Command::Quit { status, print } => {
                    self.quiet |= !print;
                    return Ok(End::Quit(*status));
                }
                Command::Number => {
                    self.end_line();
                    let line = format!("{}\n", self.at + 1);
                    self.out.extend(line.bytes());
                }
                Command::Next => {
                    if self.is_last() {
                        return Ok(End::Quit(0));
                    }
                    if !self.quiet {
                        self.print(space);
                    }
                    self.flush();
                    self.at += 1;
                    *space = self.space();
                }
                Command::Append(text) => self.appended.extend_from_slice(text),
                Command::Insert(text) => {
                    self.end_line();
                    self.out.extend_from_slice(text);
                }
                Command::Change(text) => {
                    if step.second.is_none() || step.negated || !self.active[index - 1] {
                        self.end_line();
                        self.out.extend_from_slice(text);
                    }
                    return Ok(End::Delete);
                }
                Command::Translate(table) => space.iter_mut().for_each(|byte| *byte = table[usize::from(*byte)]),
                Command::Substitute { regex, text, flags } => {
                    if self.substitute(space, regex, text, flags)? && flags.print {
                        self.print(space);
                    }
                }
            }
        }
        Ok(End::Print)
    }

    fn is_at(&self, address: &Address, space: &[u8]) -> Result<bool, Unknown> {
        match address {
            Address::Line(line) => Ok(*line == self.at + 1),
            Address::Last => Ok(self.is_last()),
            Address::Regex(regex) => regex.is_match(space).map_err(|error| self.call.unknown(error.0)),
        }
    }

    fn selects(&mut self, index: usize, step: &Step, space: &[u8]) -> Result<bool, Unknown> {
        let Some(first) = &step.first else { return Ok(true) };
        let Some(second) = &step.second else { return self.is_at(first, space) };
        if self.active[index] {
            let past = matches!(second, Address::Line(line) if *line <= self.at);
            if past {
                self.active[index] = false;
                return self.starts(index, first, second, space);
            }
            self.active[index] = !self.is_at(second, space)?;
            return Ok(true);
        }
        self.starts(index, first, second, space)
    }

    fn starts(&mut self, index: usize, first: &Address, second: &Address, space: &[u8]) -> Result<bool, Unknown> {
        if !self.is_at(first, space)? {
            return Ok(false);
        }
        self.active[index] = match second {
            Address::Line(line) => *line > self.at + 1,
            Address::Last => !self.is_last(),
            Address::Regex(_) => true,
        };
        Ok(true)
    }

    fn substitute(
        &mut self,
        space: &mut Vec<u8>,
        regex: &crate::regex::Regex,
        text: &[Text],
        flags: &Flags,
    ) -> Result<bool, Unknown> {
        let (mut out, mut at, mut copied, mut count) = (Vec::new(), 0, 0, 0);
        let mut changed = false;
        while at <= space.len() {
            let found = regex.find(space, at).map_err(|error| self.call.unknown(error.0))?;
            let Some(captures) = found else { break };
            let Some((start, end)) = captures[0] else { break };
            self.call.work(1 + (end - start) as u64 / 16)?;
            // An empty match right after a match does not count.
            if !(start == end && count > 0 && start == copied && at == start && copied > 0) {
                count += 1;
                if count >= flags.number {
                    out.extend_from_slice(&space[copied..start]);
                    for piece in text {
                        match piece {
                            Text::Plain(plain) => out.extend_from_slice(plain),
                            Text::Group(group) => {
                                if let Some(Some((start, end))) = captures.get(*group) {
                                    out.extend_from_slice(&space[*start..*end]);
                                }
                            }
                        }
                    }
                    copied = end;
                    changed = true;
                    if !flags.global {
                        break;
                    }
                }
            }
            at = if end > start { end } else { end + 1 };
        }
        out.extend_from_slice(&space[copied..]);
        if changed {
            *space = out;
        }
        Ok(changed)
    }
}
