//! Runs commands: lists, pipelines, compound commands, functions, and `set -e` exactly where dash applies it.

use crate::ast::{AndOr, Command, Join, Kind, List, Pipeline, Word};
use crate::builtins::Builtin;
use crate::shell::{Eval, Meaning, Shell, Stop};
use crate::stream::{Buffer, Stream};

/// Compound commands that may run within one another, functions counted; more would endanger the stack.
const NESTING: u32 = 128;

impl<'s> Shell<'s> {
    pub(crate) fn list(&mut self, list: &List) -> Eval<i32> {
        let mut status = 0;
        for and_or in list {
            status = self.and_or(and_or)?;
        }
        Ok(status)
    }

    fn and_or(&mut self, and_or: &AndOr) -> Eval<i32> {
        if and_or.background {
            self.line = and_or.first.commands.first().map_or(self.line, |command| command.line);
            return Err(self.unknown("a command in the background").into());
        }
        let Some(((last_join, last), middle)) = and_or.rest.split_last() else { return self.pipeline(&and_or.first) };
        let mut status = self.testing(|shell| shell.pipeline(&and_or.first))?;
        for (join, pipeline) in middle {
            if (*join == Join::And) == (status == 0) {
                status = self.testing(|shell| shell.pipeline(pipeline))?;
            }
        }
        if (*last_join == Join::And) == (status == 0) {
            status = self.pipeline(last)?;
        }
        Ok(status)
    }

    /// Runs `inner` where failure is looked at, so that `set -e` does not apply.
    pub(crate) fn testing(&mut self, inner: impl FnOnce(&mut Self) -> Eval<i32>) -> Eval<i32> {
        let before = std::mem::replace(&mut self.tested, true);
        let result = inner(self);
        self.tested = before;
        result
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Eval<i32> {
        let status = match (&pipeline.commands[..], pipeline.negated) {
            ([command], false) => return self.command(command),
            ([command], true) => self.testing(|shell| shell.command(command))?,
            (commands, true) => self.testing(|shell| shell.piped(commands))?,
            (commands, false) => {
                let status = self.piped(commands)?;
                return self.checked(status);
            }
        };
        self.state.status = i32::from(status == 0);
        Ok(self.state.status)
    }

    /// Runs the commands of a pipeline one after the other, each with all that the one before wrote.
    fn piped(&mut self, commands: &[Command]) -> Eval<i32> {
        let mut input = None;
        let mut status = 0;
        for (index, command) in commands.iter().enumerate() {
            let output = (index + 1 < commands.len()).then(Buffer::default);
            status = self.subshell(|shell| {
                if let Some(bytes) = input.take() {
                    shell.state.fds.insert(0, Stream::input(bytes));
                }
                if let Some(buffer) = &output {
                    shell.state.fds.insert(1, Stream::Output(buffer.clone()));
                }
                shell.command(command)
            })?;
            input = output.map(|buffer| buffer.take());
        }
        Ok(status)
    }

    fn checked(&mut self, status: i32) -> Eval<i32> {
        self.state.status = status;
        if status != 0 && self.state.options.errexit && !self.tested { Err(Stop::Exit(status)) } else { Ok(status) }
    }

    pub(crate) fn command(&mut self, command: &Command) -> Eval<i32> {
        self.line = command.line;
        self.work(1)?;
        if let Kind::Simple { assignments, words } = &command.kind {
            let status = self.simple(assignments, words, &command.redirects)?;
            return self.checked(status);
        }
        let mut saved = Vec::new();
        let redirected = self.redirect(&command.redirects, &mut saved);
        let result = match redirected {
            Err(stop) => Err(stop),
            Ok(Err(message)) => {
                self.restore(std::mem::take(&mut saved));
                self.complain(&message)?;
                self.checked(2)
            }
            Ok(Ok(())) if self.nesting >= NESTING => Err(self.unknown("commands that are nested too deeply").into()),
            Ok(Ok(())) => {
                self.nesting += 1;
                let result = self.compound(&command.kind);
                self.nesting -= 1;
                result
            }
        };
        self.restore(saved);
        let status = result?;
        self.state.status = status;
        match command.kind {
            Kind::Subshell(_) => self.checked(status),
            _ => Ok(status),
        }
    }

    fn compound(&mut self, kind: &Kind) -> Eval<i32> {
        match kind {
            Kind::Group(list) => self.list(list),
            Kind::Subshell(list) => self.subshell(|shell| shell.list(list)),
            Kind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.testing(|shell| shell.list(condition))? == 0 {
                        return self.list(body);
                    }
                }
                self.list(otherwise)
            }
            Kind::Loop { until, condition, body } => self.loop_while(*until, condition, body),
            Kind::For { name, words, body } => self.loop_for(name, words.as_deref(), body),
            Kind::Case { subject, arms } => self.case(subject, arms),
            Kind::Function { name, body } => {
                self.state.functions.insert(name.clone(), body.clone());
                Ok(0)
            }
            Kind::Simple { assignments, words } => self.simple(assignments, words, &[]),
        }
    }

    fn loop_while(&mut self, until: bool, condition: &List, body: &List) -> Eval<i32> {
        let mut status = 0;
        self.state.loops += 1;
        let result = loop {
            self.work(1)?;
            match self.testing(|shell| shell.list(condition)) {
                Ok(found) if (found == 0) == until => break Ok(status),
                Ok(_) => {}
                Err(stop) => match loop_stop(stop) {
                    Ok(true) => continue,
                    Ok(false) => break Ok(0),
                    Err(stop) => break Err(stop),
                },
            }
            match self.list(body) {
                Ok(last) => status = last,
                Err(stop) => match loop_stop(stop) {
                    Ok(true) => status = 0,
                    Ok(false) => break Ok(0),
                    Err(stop) => break Err(stop),
                },
            }
        };
        self.state.loops = self.state.loops.saturating_sub(1);
        result
    }

    fn loop_for(&mut self, name: &[u8], words: Option<&[Word]>, body: &List) -> Eval<i32> {
        let values = match words {
            Some(words) => self.expand_words(words)?,
            None => self.state.args.clone(),
        };
        let mut status = 0;
        self.state.loops += 1;
        let mut result = Ok(());
        for value in values {
            self.work(1)?;
            self.assign(name, value)?;
            match self.list(body) {
                Ok(last) => status = last,
                Err(stop) => {
                    status = 0;
                    match loop_stop(stop) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(stop) => {
                            result = Err(stop);
                            break;
                        }
                    }
                }
            }
        }
        self.state.loops = self.state.loops.saturating_sub(1);
        result.map(|()| status)
    }

    fn case(&mut self, subject: &Word, arms: &[(Vec<Word>, List)]) -> Eval<i32> {
        let subject = self.expand_text(subject)?;
        for (patterns, body) in arms {
            for pattern in patterns {
                let pattern = self.expand_pattern(pattern)?;
                if self.matches(&pattern, &subject)? {
                    self.state.status = if body.is_empty() { 0 } else { self.state.status };
                    return self.list(body);
                }
            }
        }
        Ok(0)
    }

    fn simple(
        &mut self,
        assignments: &[(Vec<u8>, Word)],
        words: &[Word],
        redirects: &[crate::ast::Redirect],
    ) -> Eval<i32> {
        self.substitution_status = None;
        let argv = self.expand_words(words)?;
        let meaning = argv.first().map(|name| self.meaning(name));
        let special = matches!(&meaning, None | Some(Meaning::Builtin(Builtin { special: true, .. })));
        let mut saved = Vec::new();
        let redirected = self.redirect(redirects, &mut saved);
        let result = match redirected {
            Err(stop) => Err(stop),
            Ok(Err(message)) => {
                self.restore(std::mem::take(&mut saved));
                self.complain(&message)?;
                if special && meaning.is_some() { Err(Stop::Exit(2)) } else { Ok(2) }
            }
            Ok(Ok(())) => self.invoke(assignments, meaning, argv),
        };
        let lasting =
            matches!(words.first().map(Vec::as_slice), Some([crate::ast::Part::Literal(name)]) if name == b"exec");
        if !lasting || result.is_err() {
            self.restore(saved);
        }
        result
    }

    fn invoke(
        &mut self,
        assignments: &[(Vec<u8>, Word)],
        meaning: Option<Meaning<'s>>,
        argv: Vec<Vec<u8>>,
    ) -> Eval<i32> {
        let Some(meaning) = meaning else {
            for (name, word) in assignments {
                let value = self.expand_text(word)?;
                self.assign(name, value)?;
            }
            self.trace(assignments.iter().map(|(name, _)| &name[..]))?;
            return Ok(self.substitution_status.unwrap_or(0));
        };
        self.trace(argv.iter().map(Vec::as_slice))?;
        let lasting = matches!(&meaning, Meaning::Builtin(Builtin { special: true, .. }));
        let mut before = Vec::new();
        for (name, word) in assignments {
            let value = self.expand_text(word)?;
            before.push((name.clone(), self.state.vars.saved(name)));
            self.assign(name, value)?;
            if !lasting {
                self.state.vars.mark(name, |variable| variable.exported = true);
            }
        }
        let result = match meaning {
            Meaning::Function(body) => self.function(&body, &argv),
            Meaning::Builtin(builtin) => (builtin.run)(self, &argv),
            other => self.start(other, argv),
        };
        if !lasting {
            for (name, saved) in before.into_iter().rev() {
                self.state.vars.put_back(&name, saved);
            }
        }
        result
    }

    fn trace<'a>(&mut self, words: impl Iterator<Item = &'a [u8]>) -> Eval<()> {
        if !self.state.options.xtrace {
            return Ok(());
        }
        let mut line = b"+".to_vec();
        for word in words {
            line.push(b' ');
            line.extend_from_slice(word);
        }
        line.push(b'\n');
        Ok(self.write(2, &line)?)
    }

    fn function(&mut self, body: &Command, argv: &[Vec<u8>]) -> Eval<i32> {
        let args = std::mem::replace(&mut self.state.args, argv.get(1..).unwrap_or_default().to_vec());
        let loops = std::mem::take(&mut self.state.loops);
        self.state.vars.enter();
        let result = self.deeper(|shell| shell.command(body));
        self.state.vars.leave();
        self.state.args = args;
        self.state.loops = loops;
        match result {
            Err(Stop::Return(status)) => Ok(status),
            other => other,
        }
    }

    /// Sets a variable as the script does; a protected one ends the script, as POSIX.1 section 2.8.1 has it.
    pub(crate) fn assign(&mut self, name: &[u8], value: Vec<u8>) -> Eval<()> {
        if self.state.vars.set(name, value).is_err() {
            self.complain(&format!("{}: is read only", String::from_utf8_lossy(name)))?;
            return Err(Stop::Exit(2));
        }
        if self.state.options.allexport {
            self.state.vars.mark(name, |variable| variable.exported = true);
        }
        Ok(())
    }
}

/// Whether a loop goes on, or the stop that passes through it.
fn loop_stop(stop: Stop) -> Result<bool, Stop> {
    match stop {
        Stop::Break(0 | 1) => Ok(false),
        Stop::Continue(0 | 1) => Ok(true),
        Stop::Break(levels) => Err(Stop::Break(levels - 1)),
        Stop::Continue(levels) => Err(Stop::Continue(levels - 1)),
        other => Err(other),
    }
}
