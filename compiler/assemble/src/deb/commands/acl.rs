//! Access lists (acl(5)) as `a+` lines of tmpfiles.d(5) add to them, in the kernel's form (`linux/posix_acl_xattr.h`).

use std::collections::BTreeMap;

use tree::Node;

use crate::accounts::Accounts;

/// The list that is asked when a file is opened.
const ACCESS: &[u8] = b"system.posix_acl_access";
/// The list that what is made in a folder starts with.
const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// The id of entries that are not about somebody named.
const NOBODY: u32 = u32::MAX;

/// Permissions by kind of entry and id: the kernel's own order.
type Entries = BTreeMap<(u16, u32), u16>;

/// Adds the entries of a text such as `d:group:adm:r-x,user::rwx` to a node that has no lists yet; `None` when the text says
/// something else, and then nothing is changed.
pub(super) fn add(node: &mut Node, text: &str, accounts: &Accounts) -> Option<()> {
    let (mut access, mut default) = (Entries::new(), Entries::new());
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let of_default = entry.strip_prefix("d:").or_else(|| entry.strip_prefix("default:"));
        let (key, permissions) = read(of_default.unwrap_or(entry), accounts)?;
        if of_default.is_some() { &mut default } else { &mut access }.insert(key, permissions);
    }
    if node.meta.xattrs.contains_key(ACCESS) || node.meta.xattrs.contains_key(DEFAULT) {
        return None;
    }
    let mode = node.meta.mode;
    for (name, entries) in [(ACCESS, access), (DEFAULT, default)] {
        if !entries.is_empty() {
            let whole = complete(entries, mode);
            if name == ACCESS {
                // Where there is a mask, the mode's bits of the group show it (acl(5), "Correspondence").
                let at = |kind| whole.get(&(kind, NOBODY)).copied().unwrap_or(0);
                let group = whole.get(&(MASK, NOBODY)).copied().unwrap_or_else(|| at(GROUP_OBJ));
                node.meta.mode = mode & !0o777 | at(USER_OBJ) << 6 | group << 3 | at(OTHER);
            }
            node.meta.xattrs.insert(name.to_vec(), encode(&whole));
        }
    }
    Some(())
}

fn read(entry: &str, accounts: &Accounts) -> Option<((u16, u32), u16)> {
    let mut fields = entry.split(':');
    let (kind, name, permissions) = (fields.next()?, fields.next()?, fields.next()?);
    let key = match (kind, name) {
        ("u" | "user", "") => (USER_OBJ, NOBODY),
        ("u" | "user", name) => (USER, name.parse().ok().or_else(|| accounts.uid(name))?),
        ("g" | "group", "") => (GROUP_OBJ, NOBODY),
        ("g" | "group", name) => (GROUP, name.parse().ok().or_else(|| accounts.gid(name))?),
        ("m" | "mask", "") => (MASK, NOBODY),
        ("o" | "other", "") => (OTHER, NOBODY),
        _ => return None,
    };
    let bits = permissions.chars().try_fold(0, |bits, letter| match letter {
        'r' => Some(bits | 4),
        'w' => Some(bits | 2),
        'x' => Some(bits | 1),
        '-' => Some(bits),
        _ => None,
    });
    bits.filter(|_| fields.next().is_none()).map(|bits| (key, bits))
}

/// With what every list has: the three of the mode, and a mask of all that may be restricted where somebody is named.
fn complete(mut entries: Entries, mode: u16) -> Entries {
    for (kind, bits) in [(USER_OBJ, mode >> 6 & 7), (GROUP_OBJ, mode >> 3 & 7), (OTHER, mode & 7)] {
        entries.entry((kind, NOBODY)).or_insert(bits);
    }
    let masked = entries.iter().filter(|((kind, _), _)| [USER, GROUP_OBJ, GROUP].contains(kind));
    let mask = masked.fold(0, |mask, (_, bits)| mask | bits);
    if entries.keys().any(|(kind, _)| [USER, GROUP].contains(kind)) {
        entries.entry((MASK, NOBODY)).or_insert(mask);
    }
    entries
}

fn encode(entries: &Entries) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for ((kind, id), bits) in entries {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}
