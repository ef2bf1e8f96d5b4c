//! Doing something to each of several instances: what can be done is done, and what failed is told at the end.

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// The names for which something failed, in their order, and why.
#[derive(Debug, Default)]
pub struct Failed(Vec<(String, Failure)>);

impl Failed {
    /// What was done for this name; a failure is kept for the end.
    pub fn take<T>(&mut self, name: &str, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.0.push((name.to_owned(), failure))).ok()
    }

    /// Prints what was done, where JSON was asked for, and says what failed. `exit` is how the command ends otherwise.
    ///
    /// # Errors
    /// The only one of `names` failed: that is told like every other error.
    pub fn end(mut self, names: &[String], exit: Exit, mut done: Value, ui: &Ui) -> Result<Exit, Failure> {
        if names.len() == 1
            && let Some((_, failure)) = self.0.pop()
        {
            return Err(failure);
        }
        if ui.json {
            if !self.0.is_empty() {
                done["ok"] = false.into();
            }
            done["failed"] = self.0.iter().map(|(name, failure)| as_json(name, failure)).collect();
            ui.json(&done);
        } else {
            self.0.iter().for_each(|(_, failure)| ui.failure(failure));
        }
        Ok(if self.0.is_empty() { exit } else { Exit::Failure })
    }
}

fn as_json(name: &str, failure: &Failure) -> Value {
    json!({ "name": name, "error": failure.texts(), "help": failure.remedy() })
}
