//! `appliance ls`: what stands at a path of an instance that runs: a folder's entries, or what the path itself is.

use bundle::channel::{Entry, EntryKind};
use serde_json::json;

use crate::cli_instances::Ls;
use crate::copy::Copier;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect};
use crate::shown::{absolute, shown};
use crate::ui::Ui;

/// Lists a folder, or shows what else stands there.
pub fn ls(args: &Ls, ui: &Ui) -> Result<Exit, Failure> {
    let found = Instances::look(ui)?.live(&args.instance)?;
    let path = absolute(&args.path);
    let mut reader = Copier::new(connect(&found)?, false);
    let looked = reader.stat(&path).and_then(|entry| {
        let is_folder = entry.kind == EntryKind::Folder && !args.itself;
        let entries = if is_folder { Some(reader.entries(&path)?) } else { None };
        Ok((entry, entries))
    });
    let (entry, entries) =
        looked.map_err(|error| Failure::doing(Exit::Failure, format!("list {path} in {}", found.name), error))?;
    if ui.json {
        ui.json(&json!({ "ok": true, "entry": entry, "entries": entries }));
        return Ok(Exit::Success);
    }
    ui.result(&table(entries.as_deref().unwrap_or(std::slice::from_ref(&entry))));
    Ok(Exit::Success)
}

/// Kind and mode, owner, size, time, name.
fn table(entries: &[Entry]) -> String {
    let owner = |entry: &Entry| format!("{}:{}", entry.uid, entry.gid);
    let widest = |width: fn(&Entry) -> usize| entries.iter().map(width).max().unwrap_or(0);
    let owners = entries.iter().map(|entry| owner(entry).len()).max().unwrap_or(0);
    let sizes = widest(|entry| entry.size_bytes.to_string().len());
    let line = |entry: &Entry| {
        let target = entry.target.as_ref().map(|target| format!(" -> {}", shown(target))).unwrap_or_default();
        let (mode, time, name) = (mode(entry), time(entry.mtime_secs), shown(&entry.name));
        format!("{mode} {:<owners$} {:>sizes$} {time} {name}{target}\n", owner(entry), entry.size_bytes)
    };
    entries.iter().map(line).collect()
}

/// Kind and permissions in ten letters, as `ls -l` has them.
fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        EntryKind::File => '-',
        EntryKind::Folder => 'd',
        EntryKind::Symlink => 'l',
        EntryKind::Other => '?',
    };
    let bit = |bit: u32| entry.mode & bit != 0;
    let mut letters: Vec<char> =
        "rwxrwxrwx".chars().enumerate().map(|(place, letter)| if bit(0o400 >> place) { letter } else { '-' }).collect();
    for (special, place, letter) in [(0o4000, 2, 's'), (0o2000, 5, 's'), (0o1000, 8, 't')] {
        if let Some(found) = letters.get_mut(place).filter(|_| bit(special)) {
            *found = if *found == '-' { letter.to_ascii_uppercase() } else { letter };
        }
    }
    std::iter::once(kind).chain(letters).collect()
}

/// A time in UTC: the day by the Gregorian calendar, with years that begin in March so that leap days come last.
fn time(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", rest / 3_600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        let check = |seconds, expected: &str| assert_eq!(time(seconds), expected);
        check(0, "1970-01-01 00:00");
        check(951_827_696, "2000-02-29 12:34");
        check(1_709_251_199, "2024-02-29 23:59");
        check(1_767_225_600, "2026-01-01 00:00");
        check(-1, "1969-12-31 23:59");
    }

    #[test]
    fn entries_are_lines_of_a_table() {
        let entry = |name: &str, kind, mode, uid, target: Option<&str>| Entry {
            name: name.to_owned(),
            kind,
            mode,
            uid,
            gid: 0,
            size_bytes: u64::from(uid) * 7,
            mtime_secs: 0,
            target: target.map(str::to_owned),
        };
        let entries = [
            entry("bin", EntryKind::Folder, 0o1777, 0, None),
            entry("a\nb", EntryKind::File, 0o4640, 1000, None),
            entry("l", EntryKind::Symlink, 0o777, 0, Some("/x")),
        ];
        let expected = "drwxrwxrwt 0:0       0 1970-01-01 00:00 bin\n\
            -rwSr----- 1000:0 7000 1970-01-01 00:00 a\\nb\n\
            lrwxrwxrwx 0:0       0 1970-01-01 00:00 l -> /x\n";
        assert_eq!(table(&entries), expected);
    }
}
