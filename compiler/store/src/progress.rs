//! How far long work has come, for whoever shows it.

/// Is told how far work has come. Calls come from several threads.
pub trait Progress: Sync {
    /// Work of this many steps (bytes where `unit` is `Bytes`) begins; it ends with the next call of this.
    fn begin(&self, what: &str, unit: Unit, total: u64);
    /// So many steps more are done.
    fn advance(&self, steps: u64);
    /// A warning: something to know that is no failure (a mirror that was passed over).
    fn message(&self, text: &str);
    /// Something that only who looks closely wants to know (a place that did not have a file that another one had).
    fn detail(&self, text: &str);
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Items,
}

/// Shows nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Unit, _: u64) {}
    fn advance(&self, _: u64) {}
    fn message(&self, _: &str) {}
    fn detail(&self, _: &str) {}
}
