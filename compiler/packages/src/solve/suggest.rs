//! Did you mean: the known name that is nearest to a mistyped one.

/// The nearest of `names`, when at most two edits (one for short names) lie between; the first of several.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let most = if wrong.len() < 5 { 1 } else { 2 };
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        let limit = best.map_or(most, |(edits, _)| edits - 1);
        if name.len().abs_diff(wrong.len()) > limit || name.len() > 100 {
            continue;
        }
        match edits(wrong.as_bytes(), name.as_bytes()) {
            edits if edits > limit => {}
            edits => best = Some((edits, name)),
        }
        if best.is_some_and(|(edits, _)| edits <= 1) {
            break;
        }
    }
    best.map(|(_, name)| name.to_owned())
}

/// Insertions, deletions, replacements and swaps of neighbours between two texts.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut older: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut line = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(ca != cb);
            let mut cost = replaced.min(last[j + 1] + 1).min(line[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *cb && b[j - 1] == *ca {
                cost = cost.min(older[j - 1] + 1);
            }
            line.push(cost);
        }
        older = std::mem::replace(&mut last, line);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let check = |wrong, expected: Option<&str>| {
            let names = ["curl", "nginx", "nodejs", "python3", "python3-pip"];
            assert_eq!(nearest(wrong, names.into_iter()).as_deref(), expected, "{wrong}");
        };
        check("ngnix", Some("nginx"));
        check("node-js", Some("nodejs"));
        check("pyton3", Some("python3"));
        check("crul", Some("curl"));
        check("wget", None);
        check("", None);
    }
}
