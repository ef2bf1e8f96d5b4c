//! The capabilities of Linux by name, as plans and settings write them.

/// Names by number, lower case without `CAP_` (`include/uapi/linux/capability.h`).
pub const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The number of the capability with this name: in any case, with or without `CAP_`.
pub fn number(name: &str) -> Option<u8> {
    let lower = name.to_ascii_lowercase();
    let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
    NAMES.iter().position(|known| *known == bare).and_then(|number| u8::try_from(number).ok())
}

/// The set of these capabilities as the kernel's calls take it: bit N stands for number N. Unknown names add nothing.
pub fn set_of<'a>(names: impl IntoIterator<Item = &'a String>) -> u64 {
    names.into_iter().filter_map(|name| number(name)).fold(0, |set, number| set | 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_bits() {
        let names = ["chown", "net_bind_service", "no_such"].map(str::to_owned);
        assert_eq!(set_of(&names), 1 | 1 << 10);
        assert_eq!(number("CAP_Perfmon"), Some(38));
        assert_eq!(NAMES.len(), 41);
        assert_eq!(NAMES[38], "perfmon");
    }
}
