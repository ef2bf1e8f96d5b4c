//! What a file descriptor of a script can be: nothing, bytes to read, a buffer to fill, or a file of the tree.

use std::cell::RefCell;
use std::rc::Rc;

use tree::{NodeId, TreePath};

/// A buffer that several descriptors may fill.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Buffer {
    pub fn take(&self) -> Vec<u8> {
        self.0.take()
    }

    pub fn push(&self, bytes: &[u8]) {
        self.0.borrow_mut().extend_from_slice(bytes);
    }
}

/// Bytes to read, with the position that all copies of a descriptor share.
#[derive(Debug)]
pub(crate) struct Source {
    pub bytes: Vec<u8>,
    pub at: usize,
}

/// An open file of the tree, with the position that all copies of a descriptor share.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub path: TreePath,
    pub id: NodeId,
    pub offset: usize,
    pub append: bool,
    pub writable: bool,
    pub readable: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Stream {
    Null,
    Input(Rc<RefCell<Source>>),
    Output(Buffer),
    File(Rc<RefCell<OpenFile>>),
}

impl Stream {
    pub fn input(bytes: Vec<u8>) -> Self {
        Self::Input(Rc::new(RefCell::new(Source { bytes, at: 0 })))
    }

    pub fn file(file: OpenFile) -> Self {
        Self::File(Rc::new(RefCell::new(file)))
    }
}
