//! Turns a POSIX ACL from the form of the kernel's calls into the shorter one that ext4 stores.
//!
//! In: version 2, eight bytes an entry (`linux/posix_acl_xattr.h`). Out: version 1, with an id only where it says
//! something ("Extended Attributes", POSIX ACLs).

/// Why a value is no ACL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AclError {
    /// Not a header of four bytes and entries of eight.
    #[error("its length is not that of an ACL")]
    Length,
    /// The header names another version than 2.
    #[error("it is not an ACL of version 2")]
    Version,
    /// An entry is for none of owner, user, group, mask and other.
    #[error("it has an entry of unknown kind {0}")]
    Tag(u16),
}

/// The value that ext4 stores for this value of `system.posix_acl_access` or `system.posix_acl_default`.
///
/// # Errors
/// When the value is no ACL.
pub fn stored_form(value: &[u8]) -> Result<Vec<u8>, AclError> {
    let (version, entries) = value.split_first_chunk::<4>().ok_or(AclError::Length)?;
    let (entries, []) = entries.as_chunks::<8>() else {
        return Err(AclError::Length);
    };
    if u32::from_le_bytes(*version) != 2 {
        return Err(AclError::Version);
    }
    let mut stored = 1u32.to_le_bytes().to_vec();
    for entry in entries {
        let [tag_low, tag_high, rest @ ..] = entry;
        let kept = match u16::from_le_bytes([*tag_low, *tag_high]) {
            // Named users and groups have an id; owner, owning group, mask and others have none.
            0x02 | 0x08 => 8,
            0x01 | 0x04 | 0x10 | 0x20 => 4,
            tag => return Err(AclError::Tag(tag)),
        };
        stored.extend([*tag_low, *tag_high]);
        stored.extend(&rest[..kept - 2]);
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_only_with_named_users_and_groups() {
        let entry = |tag: u8, id: u8| [tag, 0, 6, 0, id, 0, 0, 0];
        let value = [&[2, 0, 0, 0][..], &entry(1, 255), &entry(2, 9), &entry(32, 255)].concat();
        assert_eq!(stored_form(&value).unwrap(), [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 6, 0, 9, 0, 0, 0, 32, 0, 6, 0]);
        assert_eq!(stored_form(&value[..11]), Err(AclError::Length));
        assert_eq!(stored_form(&[1, 0, 0, 0]), Err(AclError::Version));
        assert_eq!(stored_form(&[&[2, 0, 0, 0][..], &entry(64, 0)].concat()), Err(AclError::Tag(64)));
    }
}
