//! Progress on a terminal: one line that says what is being done and how far it has come.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use store::{Progress, Unit};

use crate::ui::Ui;

/// Shows progress on standard error where a person watches, and nothing elsewhere.
pub struct Bar {
    ui: Ui,
    bar: Mutex<Option<ProgressBar>>,
}

impl Bar {
    /// No work yet.
    pub fn new(ui: &Ui) -> Self {
        Self { ui: ui.clone(), bar: Mutex::new(None) }
    }

    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        // A panic elsewhere while drawing leaves nothing that could be wrong here.
        act(&mut self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.with(|bar| {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        });
    }
}

impl Progress for Bar {
    fn begin(&self, what: &str, unit: Unit, total: u64) {
        self.clear();
        if !self.ui.shows_progress() || total == 0 {
            return;
        }
        let template = match unit {
            Unit::Bytes => "{msg:24} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            Unit::Items => "{msg:24} {bar:30} {pos}/{len}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total).with_style(style.progress_chars("━╸ ")).with_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.with(|slot| *slot = Some(bar));
    }

    fn advance(&self, steps: u64) {
        self.with(|bar| {
            if let Some(bar) = bar {
                bar.inc(steps);
            }
        });
    }

    fn message(&self, text: &str) {
        self.with(|bar| match bar {
            Some(bar) => bar.suspend(|| self.ui.warn(text)),
            None => self.ui.warn(text),
        });
    }

    fn detail(&self, text: &str) {
        self.with(|bar| match bar {
            Some(bar) => bar.suspend(|| self.ui.detail(text)),
            None => self.ui.detail(text),
        });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
