//! What a script says: commands, words and redirections, as the grammar of POSIX.1-2017 XCU section 2 has them.
//! Output of the parser, input of the evaluation; it holds no effect and no state.

use std::sync::{Arc, OnceLock};

/// A parsed script; holding one guarantees that its nesting is bounded.
#[derive(Debug, Clone)]
pub struct Script {
    pub(crate) body: Arc<List>,
}

/// Commands one after the other.
pub(crate) type List = Vec<AndOr>;

/// Pipelines joined by `&&` and `||`, from left to right.
#[derive(Debug)]
pub(crate) struct AndOr {
    pub first: Pipeline,
    pub rest: Vec<(Join, Pipeline)>,
    pub background: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    And,
    Or,
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    pub negated: bool,
    pub commands: Vec<Command>,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub line: u32,
    pub kind: Kind,
    pub redirects: Vec<Redirect>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Simple {
        assignments: Vec<(Vec<u8>, Word)>,
        words: Vec<Word>,
    },
    Group(List),
    Subshell(List),
    /// Conditions with their bodies, then what `else` says.
    If {
        branches: Vec<(List, List)>,
        otherwise: List,
    },
    Loop {
        until: bool,
        condition: List,
        body: List,
    },
    For {
        name: Vec<u8>,
        words: Option<Vec<Word>>,
        body: List,
    },
    Case {
        subject: Word,
        arms: Vec<(Vec<Word>, List)>,
    },
    Function {
        name: Vec<u8>,
        body: Arc<Command>,
    },
}

#[derive(Debug)]
pub(crate) struct Redirect {
    pub fd: Option<u32>,
    pub kind: RedirectKind,
}

#[derive(Debug)]
pub(crate) enum RedirectKind {
    Read(Word),
    Write(Word),
    /// `>|`, which also replaces what `set -C` protects.
    Clobber(Word),
    Append(Word),
    ReadWrite(Word),
    /// `<&` and `>&`: a number or `-`.
    Duplicate {
        word: Word,
        default_fd: u32,
    },
    /// The body arrives at the next newline, after the redirection itself was read.
    Here(Arc<OnceLock<Word>>),
}

pub(crate) type Word = Vec<Part>;

#[derive(Debug)]
pub(crate) enum Part {
    /// Text outside quotes.
    Literal(Vec<u8>),
    /// Text that quotes or a backslash protect.
    Quoted(Vec<u8>),
    /// What stands between double quotes.
    Double(Word),
    Parameter(Box<Parameter>),
    Substitution(Arc<List>),
    Arithmetic(Word),
    /// `~` or `~name` at a place where it means a home folder.
    Tilde(Vec<u8>),
}

#[derive(Debug)]
pub(crate) struct Parameter {
    pub name: Vec<u8>,
    pub operation: Operation,
}

#[derive(Debug)]
pub(crate) enum Operation {
    Plain,
    Length,
    /// `-`, `=`, `?` or `+`; with a colon an empty value counts as unset.
    Condition {
        sign: u8,
        colon: bool,
        word: Word,
    },
    Trim {
        suffix: bool,
        longest: bool,
        word: Word,
    },
    /// An expansion beyond POSIX, such as `${x//a/b}`.
    Foreign(Vec<u8>),
}
