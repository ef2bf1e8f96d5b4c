//! What can end a command early: mistakes in a spec, or an error of the world with what to do about it.

use std::error::Error;

use spec::{Diagnostic, Sources};

use crate::exit::Exit;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// Mistakes in a spec, with the texts they point into.
    Spec {
        /// All of them, sorted by place.
        found: Vec<Diagnostic>,
        /// The texts.
        sources: Sources,
        /// How the command ends.
        exit: Exit,
    },
    /// An error of the world.
    World {
        /// What was tried, as a verb phrase after "failed to"; empty where the error says it.
        doing: String,
        /// What went wrong.
        error: Box<dyn Error + Send + Sync>,
        /// What to do about it.
        help: Option<String>,
        /// How the command ends.
        exit: Exit,
    },
}

impl Failure {
    /// An error whose own text reads after "failed to".
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::doing(exit, "", error)
    }

    /// An error, with what was tried.
    pub fn doing(exit: Exit, doing: impl Into<String>, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::World { doing: doing.into(), error: error.into(), help: None, exit }
    }

    /// The same with a line that says what to do.
    #[must_use]
    pub fn help(self, text: impl Into<String>) -> Self {
        match self {
            Self::World { doing, error, exit, .. } => Self::World { doing, error, help: Some(text.into()), exit },
            spec @ Self::Spec { .. } => spec,
        }
    }

    /// The same with another way for the command to end.
    #[must_use]
    pub fn with_exit(self, exit: Exit) -> Self {
        match self {
            Self::World { doing, error, help, .. } => Self::World { doing, error, help, exit },
            Self::Spec { found, sources, .. } => Self::Spec { found, sources, exit },
        }
    }

    /// How the command ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Spec { exit, .. } | Self::World { exit, .. } => *exit,
        }
    }

    /// What to do about an error of the world, where that is known.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::World { help, .. } => help.as_deref(),
            Self::Spec { .. } => None,
        }
    }

    /// The texts of an error and its causes, outermost first; a cause that only repeats is left out.
    pub fn texts(&self) -> Vec<String> {
        let Self::World { doing, error, .. } = self else { return Vec::new() };
        let mut texts = if doing.is_empty() { Vec::new() } else { vec![doing.clone()] };
        let mut next: Option<&dyn Error> = Some(error.as_ref());
        while let Some(error) = next {
            let text = error.to_string();
            if texts.last().is_none_or(|last| !last.ends_with(&text)) {
                texts.push(text);
            }
            next = error.source();
        }
        texts
    }
}
