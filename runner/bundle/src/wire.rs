//! The inside's end of an instance's wire: who is who on it, and what the kernel inside is told about its card.
//!
//! A card with [`GUEST_MAC`] leads to the supervisor and to nobody else; any other card is none of ours and is left alone.
//! Here are only bytes: who sends them is the starter of a container, or the guest of a machine (rtnetlink(7), IPv4 alone).

use std::net::Ipv4Addr;

/// The address inside.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// The way out and the name server: the supervisor.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The length of the network's prefix in bits.
pub const PREFIX: u8 = 30;

/// The hardware address of the card inside, by which the guest of a machine knows it.
pub const GUEST_MAC: [u8; 6] = [0x02, 0x61, 0x70, 0x70, 0x00, 0x02];

/// The name of the card in a container.
pub const DEVICE: &str = "eth0";

/// What `/etc/resolv.conf` says inside, where the appliance left it empty (resolv.conf(5)).
pub const RESOLVER: &str = "nameserver 198.18.0.1\n";

/// Types of messages (`linux/rtnetlink.h`).
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

/// `NLM_F_REQUEST | NLM_F_ACK` (netlink(7)).
const ASK: u16 = 0x0005;
/// `NLM_F_CREATE | NLM_F_REPLACE`: what is there already is no fault.
const MAKE: u16 = 0x0500;

/// `AF_INET`
const IPV4: u8 = 2;
/// `IFF_UP`
const UP: u32 = 1;

/// The message type of an answer, and where in it the error stands (netlink(7), `NLMSG_ERROR`).
const ERROR: u16 = 2;
const ERROR_AT: usize = 16;

/// A hardware address as sysfs shows it, in `address` of a device.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// What makes the device of this index the wire's end, in this order, each to be answered before the next is sent:
/// up with its hardware address, its address, the way out.
pub fn messages(index: u32) -> [Vec<u8>; 3] {
    let index = index.to_ne_bytes();
    let mut link = vec![0; 4];
    link.extend(index);
    link.extend(UP.to_ne_bytes());
    link.extend(UP.to_ne_bytes());
    attribute(&mut link, IFLA_ADDRESS, &GUEST_MAC);

    let mut address = vec![IPV4, PREFIX, 0, 0];
    address.extend(index);
    attribute(&mut address, IFA_ADDRESS, &GUEST.octets());
    attribute(&mut address, IFA_LOCAL, &GUEST.octets());

    // To everywhere, in the main table, as at boot, by unicast.
    let mut route = vec![IPV4, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    attribute(&mut route, RTA_GATEWAY, &GATEWAY.octets());
    [message(NEW_LINK, ASK, &link), message(NEW_ADDRESS, ASK | MAKE, &address), message(NEW_ROUTE, ASK | MAKE, &route)]
}

/// Attributes (`linux/if_link.h`, `linux/if_addr.h`, `linux/rtnetlink.h`).
const IFLA_ADDRESS: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_GATEWAY: u16 = 5;

/// The error number of an answer; `None` where all is well.
pub fn refusal(answer: &[u8]) -> Option<i32> {
    /// What stands for an answer that is none (`EPROTO`).
    const NO_ANSWER: i32 = 71;
    let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let code = answer.get(ERROR_AT..).and_then(|bytes| bytes.first_chunk()).map(|bytes| i32::from_ne_bytes(*bytes));
    match (kind, code) {
        (Some(ERROR), Some(0)) => None,
        (Some(ERROR), Some(code)) => Some(code.saturating_neg()),
        _ => Some(NO_ANSWER),
    }
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence and sender: one message is under way at a time, and the kernel knows its sender.
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

/// Adds an attribute, padded to four bytes (netlink(7), `NLA_ALIGN`).
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_as_long_as_it_says() {
        for message in messages(7) {
            let length = u32::from_ne_bytes(*message.first_chunk().unwrap());
            assert_eq!((length as usize, message.len() % 4), (message.len(), 0), "{message:?}");
        }
        assert_eq!(RESOLVER, format!("nameserver {GATEWAY}\n"));
        assert_eq!(mac_text(GUEST_MAC), "02:61:70:70:00:02");
    }

    #[test]
    fn only_an_answer_without_error_is_good() {
        let answer = |kind: u16, code: i32| {
            let mut bytes = 36_u32.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(code.to_ne_bytes());
            bytes
        };
        assert_eq!(refusal(&answer(ERROR, 0)), None);
        assert_eq!(refusal(&answer(ERROR, -1)), Some(1));
        assert_eq!(refusal(&answer(ERROR, i32::MIN)), Some(i32::MAX));
        assert_eq!(refusal(&answer(NEW_LINK, 0)), Some(71));
        for length in 0..20 {
            assert_eq!(refusal(&answer(ERROR, 0)[..length]), Some(71), "{length}");
        }
    }
}
