//! Finds the name that was probably meant.

/// The known name with the fewest wrong letters, if those are really few: one from three letters on, two from seven on.
pub fn nearest(word: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let most = match word.chars().count() {
        0..3 => return None,
        3..7 => 1,
        _ => 2,
    };
    let rated = known.into_iter().map(|name| (distance(word, &name), name));
    rated.filter(|(wrong, _)| *wrong <= most).min().map(|(_, name)| name)
}

/// Letters to add, drop or change until one is the other (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut left = line + 1;
        let mut above_left = line;
        let mut next = vec![left];
        for (wanted, above) in other.iter().zip(row.iter().skip(1)) {
            left = (above_left + usize::from(letter != *wanted)).min(left + 1).min(above + 1);
            above_left = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let check = |word: &str, expected: Option<&str>| {
            let known = ["web", "www-data", "root", "python3", "sh", "touch"].map(str::to_owned);
            assert_eq!(nearest(word, known).as_deref(), expected, "{word}");
        };
        check("wbe", None);
        check("wep", Some("web"));
        check("we", None);
        check("nosuch", None);
        check("pyton", None);
        check("pyton33", Some("python3"));
        check("www-date", Some("www-data"));
        check("python", Some("python3"));
        check("rooot", Some("root"));
        check("apache", None);
        check("", None);
    }

    #[test]
    fn distances_are_counted() {
        let check = |one: &str, other: &str, expected: usize| assert_eq!(distance(one, other), expected);
        check("kitten", "sitting", 3);
        check("", "abc", 3);
        check("abc", "", 3);
        check("abc", "abc", 0);
    }
}
