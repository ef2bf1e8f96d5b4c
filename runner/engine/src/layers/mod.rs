//! Image layers as folders of a cache: each is unpacked once, found again by the digests of its content and of
//! what lies below it.

pub(crate) mod below;
mod collect;
mod roots;
mod stamp;
pub mod tar;
mod unpack;

pub use collect::RootsTally;
pub(crate) use collect::{collect, usage};
pub use roots::{Roots, RootsError};
pub use stamp::InUse;
pub use unpack::{UnpackError, unpack};
