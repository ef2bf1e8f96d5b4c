//! What belongs to streams of the channel, by their ids: a list, since there are few, and a tree of each kind would be
//! most of what its module adds to a program that must stay small.

/// Values by stream id, each id at most once.
#[derive(Debug)]
pub struct Streams<T>(Vec<(u32, T)>);

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Streams<T> {
    /// Adds the value of a stream that has none.
    pub fn insert(&mut self, stream: u32, value: T) {
        self.0.push((stream, value));
    }

    /// Whether the stream has a value.
    pub fn has(&self, stream: u32) -> bool {
        self.get(stream).is_some()
    }

    /// The value of a stream.
    pub fn get(&self, stream: u32) -> Option<&T> {
        self.0.iter().find(|(id, _)| *id == stream).map(|(_, value)| value)
    }

    /// The value of a stream.
    pub fn get_mut(&mut self, stream: u32) -> Option<&mut T> {
        self.0.iter_mut().find(|(id, _)| *id == stream).map(|(_, value)| value)
    }

    /// Takes the value of a stream.
    pub fn remove(&mut self, stream: u32) -> Option<T> {
        let place = self.0.iter().position(|(id, _)| *id == stream)?;
        Some(self.0.swap_remove(place).1)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &(u32, T)> {
        self.0.iter()
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut (u32, T)> {
        self.0.iter_mut()
    }

    /// Keeps those for which this is true.
    pub fn retain(&mut self, mut keep: impl FnMut(u32, &mut T) -> bool) {
        self.0.retain_mut(|(stream, value)| keep(*stream, value));
    }

    /// Takes all of them.
    pub fn take(&mut self) -> Vec<(u32, T)> {
        std::mem::take(&mut self.0)
    }
}
