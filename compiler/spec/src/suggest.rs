//! Did you mean: the nearest known word, when one is near enough to be a slip.

/// The nearest of the known words, if a few slips of the finger lie between.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = match word.chars().count() {
        0 => return None,
        1..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let known: Vec<&str> = known.into_iter().collect();
    nearest_within(word, known.iter().copied(), allowed).or_else(|| begun(&word.to_lowercase(), &known))
}

/// The known word with the fewest edits to it, if there are at most `allowed`; the first by the alphabet of several.
pub fn nearest_within<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, allowed: usize) -> Option<&'a str> {
    let lower = word.to_lowercase();
    // Each character more or less is an edit: most of many thousand words need no table.
    let alike = known.into_iter().filter(|candidate| candidate.len().abs_diff(lower.len()) <= allowed * MAX_BYTES);
    let scored = alike.map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate));
    let near = scored.filter(|(score, candidate)| *score <= allowed && *score < candidate.chars().count().max(2));
    near.min().map(|(_, candidate)| candidate)
}

/// Bytes of the longest character in UTF-8.
const MAX_BYTES: usize = 4;

/// The one known word that begins with this one, where it is long enough to be more than chance.
fn begun<'a>(lower: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut longer = known.iter().filter(|candidate| lower.len() >= 3 && candidate.to_lowercase().starts_with(lower));
    longer.next().filter(|_| longer.next().is_none()).copied()
}

/// What a word of another tool is called here, if it is a well-known one.
pub(crate) fn elsewhere(word: &str) -> Option<&'static str> {
    let lower = word.trim_end_matches(':').to_lowercase();
    FOREIGN.iter().find(|(foreign, _)| *foreign == lower).map(|(_, here)| *here)
}

/// Words of Dockerfiles, compose files and unit files, and how the same is said here.
const FOREIGN: &[(&str, &str)] = &[
    ("build", "there are no build steps: name `packages`, `file` and `service`"),
    ("cmd", "a program is started by a service: service \"name\" { run \"/usr/bin/program\" }"),
    ("command", "a program is started with: run \"/usr/bin/program\" \"argument\""),
    ("copy", "files are taken in with: file \"/path/inside\" from=\"path/beside/the/spec\""),
    ("cpu", "processors are limited with: resources { cpus 2 }"),
    ("depends-on", "an order is given with: after \"other-service\""),
    ("depends_on", "an order is given with: after \"other-service\""),
    ("entrypoint", "a program is started by a service: service \"name\" { run \"/usr/bin/program\" }"),
    ("environment", "variables are set with: env NAME=\"value\""),
    ("exec", "a program is started with: run \"/usr/bin/program\" \"argument\""),
    ("execstart", "a program is started with: run \"/usr/bin/program\" \"argument\""),
    ("expose", "ports are declared in: network \"none\" { port 8080 }"),
    ("from", "what it stands on is named with: base \"debian\" release=\"bookworm\""),
    ("group", "groups belong to a user: user \"name\" groups=\"video\""),
    ("healthcheck", "a service says when it is ready: ready http=\"http://127.0.0.1:8080/\""),
    ("image", "what it stands on is named with: base \"debian\" release=\"bookworm\""),
    ("install", "what is installed is named with: packages \"python3\" \"git\""),
    ("mount", "storage is named with: volume \"data\" at=\"/data\""),
    ("name", "the name stands behind `appliance`: appliance \"my-app\" { … }"),
    ("ports", "ports are declared in: network \"none\" { port 8080 }"),
    ("script", "there are no build steps: what a script would do is a package, a file or a service"),
    ("tmpfs", "folders in memory are named in: resources { scratch \"/workspace\" size=\"1GiB\" }"),
    ("version", "the version stands behind `appliance`: appliance \"my-app\" version=\"1.0.0\" { … }"),
    ("workdir", "a service begins in `/`; write whole paths"),
];

/// Edits between two words: insertions, deletions, replacements, and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(MAX_WORD).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (row, from) in a.chars().take(MAX_WORD).enumerate() {
        let mut line = vec![row + 1];
        for (column, to) in b.iter().enumerate() {
            let at = |cells: &[usize], column: usize| cells.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&line, column) + 1)
                .min(at(&last, column + 1) + 1)
                .min(at(&last, column) + usize::from(from != *to));
            if column > 0 && Some(*to) == previous && b.get(column - 1) == Some(&from) {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            line.push(best);
        }
        before_last = std::mem::replace(&mut last, line);
        previous = Some(from);
    }
    last.last().copied().unwrap_or(0)
}

/// Longer words are cut: nobody means a word of this length by a slip, and the table grows with the square.
const MAX_WORD: usize = 40;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_and_strangers() {
        let known = ["service", "network", "resources", "env"];
        assert_eq!(nearest("sevrice", known), Some("service"));
        assert_eq!(nearest("netwrok", known), Some("network"));
        assert_eq!(nearest("resource", known), Some("resources"));
        assert_eq!(nearest("evn", known), Some("env"));
        assert_eq!(nearest("netw", known), Some("network"));
        assert_eq!(nearest("on-fail", ["never", "on-failure"]), Some("on-failure"));
        assert_eq!(nearest("ser", ["service", "services-of-others"]), None, "two begin so");
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest("", known), None);
    }
}
