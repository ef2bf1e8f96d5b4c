//! Which addresses were given for which names, in a table of fixed size.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// For how long a name opens the way to an address after it was last given or dialled, in milliseconds: a day, because
/// servers resolve a name once, when they start.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// How many pairs of address and name are kept. The oldest give way.
const MAX_PAIRS: usize = 4096;

/// What the inside was told.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// When each pair ends.
    pairs: BTreeMap<(IpAddr, String), u64>,
}

impl Names {
    /// Notes that the address was given for the name.
    pub(crate) fn gave(&mut self, address: IpAddr, name: &str, now_ms: u64) {
        if self.pairs.len() >= MAX_PAIRS {
            self.pairs.retain(|_, end_ms| *end_ms > now_ms);
        }
        if self.pairs.len() >= MAX_PAIRS {
            let oldest = self.pairs.iter().min_by_key(|(_, end_ms)| **end_ms).map(|(pair, _)| pair.clone());
            if let Some(oldest) = oldest {
                self.pairs.remove(&oldest);
            }
        }
        self.pairs.insert((address, name.to_owned()), now_ms.saturating_add(KEPT_MS));
    }

    /// The names of an address that still count.
    pub(crate) fn of(&self, address: IpAddr, now_ms: u64) -> Vec<&str> {
        let pairs = self.pairs.range((address, String::new())..).take_while(|((other, _), _)| *other == address);
        pairs.filter(|(_, end_ms)| **end_ms > now_ms).map(|((_, name), _)| name.as_str()).collect()
    }

    /// Notes that the address was dialled: its names count on.
    pub(crate) fn dialled(&mut self, address: IpAddr, now_ms: u64) {
        let pairs = self.pairs.range_mut((address, String::new())..).take_while(|((other, _), _)| *other == address);
        for (_, end_ms) in pairs.filter(|(_, end_ms)| **end_ms > now_ms) {
            *end_ms = now_ms.saturating_add(KEPT_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_counts_for_a_day_after_it_was_last_used() {
        let mut names = Names::default();
        let address = IpAddr::from([1, 2, 3, 4]);
        names.gave(address, "a.example", 0);
        names.gave(IpAddr::from([1, 2, 3, 5]), "b.example", 0);
        assert_eq!(names.of(address, KEPT_MS - 1), ["a.example"]);
        assert!(names.of(address, KEPT_MS).is_empty());
        names.dialled(address, KEPT_MS - 1);
        assert_eq!(names.of(address, 2 * KEPT_MS - 2), ["a.example"]);
        names.dialled(address, 3 * KEPT_MS);
        assert!(names.of(address, 3 * KEPT_MS).is_empty(), "what has ended does not come back");
    }

    #[test]
    fn the_table_does_not_grow() {
        let mut names = Names::default();
        for at in 0..MAX_PAIRS + 10 {
            names.gave(IpAddr::from([1, 2, 3, 4]), &format!("n{at}.example"), at as u64);
        }
        assert_eq!(names.pairs.len(), MAX_PAIRS);
        assert!(names.of(IpAddr::from([1, 2, 3, 4]), 20).contains(&format!("n{}.example", MAX_PAIRS + 9).as_str()));
        assert!(!names.of(IpAddr::from([1, 2, 3, 4]), 20).contains(&"n3.example"));
    }
}
