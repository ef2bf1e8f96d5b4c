//! Copying between this host and an instance, file by file over the guest channel: with modes and holes, each file's
//! digest checked at its end, and nothing half-written at either side.
//!
//! What an instance says about its files is not believed: no name leads out of the folder that is copied to.

mod inward;
mod outward;

use std::path::PathBuf;

use bundle::channel::{Happening, Piece, Pieces, Request};
use engine::{Connection, ConnectionError};

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this host.
    Here(PathBuf),
    /// In an instance.
    Inside {
        /// The instance, as the command line names it.
        instance: String,
        /// The absolute path there.
        path: String,
    },
}

/// Folders in folders that are followed.
const MAX_DEPTH: usize = 200;

/// Why something was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// This host.
    #[error("{what} {}", path.display())]
    Here {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The instance.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// What cannot be copied, or is not right.
    #[error("{0}")]
    Wrong(String),
}

/// Copies over one connection.
#[derive(Debug)]
pub struct Copier {
    connection: Connection,
    /// Owners and times are kept too.
    archive: bool,
    /// Files, folders and links that were copied.
    pub count: u64,
    /// What was left out, by path: neither file, folder nor link.
    pub left_out: Vec<String>,
    /// Files whose owners were to be kept and were not: only root gives files away.
    pub not_given: u64,
}

impl Copier {
    /// Copies over this connection.
    pub fn new(connection: Connection, archive: bool) -> Self {
        Self { connection, archive, count: 0, left_out: Vec::new(), not_given: 0 }
    }

    /// Reads a stream of pieces to its end; every piece but errors and the status goes to `take`.
    fn read_pieces(
        &mut self,
        request: &Request,
        take: &mut dyn FnMut(Piece) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        let (stream, _) = self.connection.begin(request)?;
        self.until_status(stream, take)
    }

    fn until_status(
        &mut self,
        stream: u32,
        take: &mut dyn FnMut(Piece) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        let (mut pieces, mut said) = (Pieces::default(), Vec::new());
        loop {
            match self.connection.next_in_time(None)? {
                Happening::Data { stream: of, bytes } if of == stream => {
                    self.connection.session().used(stream, bytes.len());
                    for piece in pieces.push(&bytes).map_err(|error| CopyError::Wrong(error.to_string()))? {
                        match piece {
                            Piece::Err(bytes) => said.extend(bytes.into_iter().take(4096 - said.len().min(4096))),
                            Piece::Status(0) => {
                                self.connection.session().reset(stream);
                                return Ok(());
                            }
                            Piece::Status(_) => {
                                return Err(CopyError::Wrong(String::from_utf8_lossy(&said).into_owned()));
                            }
                            other => take(other)?,
                        }
                    }
                }
                Happening::Finished(of) | Happening::Reset(of) if of == stream => {
                    return Err(CopyError::Connection(ConnectionError::Gone));
                }
                _ => {}
            }
        }
    }
}

fn here(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> CopyError {
    let path = path.into();
    move |source| CopyError::Here { what, path, source }
}
