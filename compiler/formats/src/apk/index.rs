//! A signed index, `APKINDEX.tar.gz` (apk-package(5), "Index format"): a signature member and a member with the text.

use super::segment::{MEMBER_BYTES, SegmentError, Segments};
use super::signature::{self, KeyFile, SignatureError, Signer};

/// The text of an index that a trusted key vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIndex {
    /// The text of `APKINDEX`, for the family's reader.
    pub text: Vec<u8>,
    /// What `DESCRIPTION` says, for people; empty where there is none.
    pub description: String,
    /// Who vouches for it.
    pub signer: Signer,
}

/// Why a signed index is not taken.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Its form.
    #[error("read the index")]
    Segment(#[source] SegmentError),
    /// Nobody vouches for it.
    #[error(transparent)]
    Signature(SignatureError),
    /// Something follows its last member.
    #[error("read the index: something follows its end")]
    Trailing,
    /// There is no text in it.
    #[error("read the index: there is no file `APKINDEX`")]
    NoText,
}

/// Verifies an index and gives its text. Nothing of it is looked at before that.
///
/// # Errors
/// When it has another form, or no key in `keys` vouches for it.
pub fn open_index(bytes: &[u8], keys: &[KeyFile]) -> Result<SignedIndex, IndexError> {
    let mut segments = Segments::open(bytes).map_err(IndexError::Segment)?;
    let signatures = segments.small("signature", 1 << 20).map_err(IndexError::Segment)?;
    if !signatures.files.keys().all(|name| signature::is_signature(name)) {
        return Err(IndexError::Signature(SignatureError::Unsigned));
    }
    let signed = bytes.get(signatures.packed.len()..).unwrap_or_default();
    let signer = signature::verify(&signatures.files, signed, keys).map_err(IndexError::Signature)?;
    let mut content = segments.small("content", MEMBER_BYTES).map_err(IndexError::Segment)?;
    if content.packed.len() != signed.len() {
        return Err(IndexError::Trailing);
    }
    let description = content.files.remove("DESCRIPTION").unwrap_or_default();
    let text = content.files.remove("APKINDEX").ok_or(IndexError::NoText)?;
    Ok(SignedIndex { text, description: String::from_utf8_lossy(&description).into_owned(), signer })
}
