//! `update-alternatives` (update-alternatives(1)): choices of one link group, their admin file and links; no log is written.

use std::collections::BTreeMap;

use super::{Call, Unknown};
use crate::files::{Files, PathProblem};

const ADMIN: &str = "/var/lib/dpkg/alternatives";
const LINKS: &str = "/etc/alternatives";

/// One link group, as its admin file has it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    manual: bool,
    link: String,
    /// Slave name → its link.
    slaves: BTreeMap<String, String>,
    /// Path → choice.
    choices: BTreeMap<String, Choice>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Choice {
    priority: i64,
    /// Slave name → its path.
    slaves: BTreeMap<String, String>,
}

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut args: &[String] = call.args;
    let mut force = false;
    while let Some((first, rest)) = args.split_first() {
        match first.as_str() {
            "--quiet" | "--verbose" | "--debug" | "--skip-auto" => {}
            "--force" => force = true,
            "--altdir" | "--admindir" | "--log" | "--root" | "--instdir" => return call.unknown_option(first),
            _ => break,
        }
        args = rest;
    }
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--install", link, name, path, priority, rest @ ..] => {
            install(call, force, [link, name, path, priority], rest)
        }
        ["--remove", name, path] => remove(call, name, Some(path)),
        ["--remove-all", name] => remove(call, name, None),
        ["--auto", name] => switch(call, name, None),
        ["--set", name, path] => switch(call, name, Some(path)),
        ["--list", name] => list(call, name),
        ["--query", name] => query(call, name),
        ["--display", name] => query(call, name),
        _ => call.unknown("this use is not understood"),
    }
}

fn install(call: &mut Call<'_, '_>, force: bool, main: [&str; 4], rest: &[&str]) -> Result<i32, Unknown> {
    let [link, name, path, priority] = main;
    let Ok(priority) = priority.parse() else { return call.fail(2, "priority must be an integer") };
    if !call.files.exists(path) {
        return call.fail(2, &format!("error: alternative path {path} doesn't exist"));
    }
    let mut choice = Choice { priority, slaves: BTreeMap::new() };
    let mut group = load(call.files, name)?.unwrap_or_else(|| Group { name: name.to_owned(), ..Group::default() });
    let old_link = std::mem::replace(&mut group.link, link.to_owned());
    for slave in rest.chunks(4) {
        let ["--slave", slave_link, slave_name, slave_path] = slave else {
            return call.unknown("an option after the priority is not understood");
        };
        group.slaves.insert((*slave_name).to_owned(), (*slave_link).to_owned());
        choice.slaves.insert((*slave_name).to_owned(), (*slave_path).to_owned());
    }
    if !old_link.is_empty() && old_link != link && call.files.read_link(&old_link).is_some() {
        call.files.remove(&old_link);
    }
    group.choices.insert(path.to_owned(), choice);
    settle(call.files, &mut group, force)?;
    Ok(0)
}

fn remove(call: &mut Call<'_, '_>, name: &str, path: Option<&str>) -> Result<i32, Unknown> {
    let Some(mut group) = load(call.files, name)? else {
        // dpkg warns and succeeds: there is nothing to remove.
        return Ok(0);
    };
    let current = current(call.files, name);
    match path {
        None => group.choices.clear(),
        Some(path) if group.choices.remove(path).is_none() => return Ok(0),
        Some(path) => group.manual &= current.as_deref() != Some(path),
    }
    if group.choices.is_empty() {
        let slaves: Vec<(String, String)> = group.slaves.into_iter().collect();
        for (name, link) in
            slaves.iter().map(|(name, link)| (name.as_str(), link.as_str())).chain([(name, group.link.as_str())])
        {
            drop_link(call.files, name, link);
        }
        call.files.remove(format!("{ADMIN}/{name}"));
        return Ok(0);
    }
    settle(call.files, &mut group, false)?;
    Ok(0)
}

fn switch(call: &mut Call<'_, '_>, name: &str, path: Option<&str>) -> Result<i32, Unknown> {
    let Some(mut group) = load(call.files, name)? else {
        return call.fail(2, &format!("error: no alternatives for {name}"));
    };
    group.manual = path.is_some();
    if let Some(path) = path {
        if !group.choices.contains_key(path) {
            return call.fail(2, &format!("error: alternative {path} for {name} not registered; not setting"));
        }
        call.files.link(format!("{LINKS}/{name}"), path)?;
    }
    settle(call.files, &mut group, false)?;
    Ok(0)
}

fn list(call: &mut Call<'_, '_>, name: &str) -> Result<i32, Unknown> {
    let Some(group) = load(call.files, name)? else {
        return call.fail(2, &format!("error: no alternatives for {name}"));
    };
    group.choices.keys().for_each(|path| call.say(path));
    Ok(0)
}

fn query(call: &mut Call<'_, '_>, name: &str) -> Result<i32, Unknown> {
    let Some(group) = load(call.files, name)? else {
        return call.fail(2, &format!("error: no alternatives for {name}"));
    };
    let mut text = format!("Name: {name}\nLink: {}\n", group.link);
    let pairs = |slaves: &BTreeMap<String, String>| {
        slaves.iter().map(|(name, path)| format!(" {name} {path}\n")).collect::<String>()
    };
    if !group.slaves.is_empty() {
        text.push_str(&format!("Slaves:\n{}", pairs(&group.slaves)));
    }
    let best = group.best().unwrap_or_default();
    let value = current(call.files, name).unwrap_or_else(|| "none".to_owned());
    text.push_str(&format!("Status: {}\nBest: {best}\nValue: {value}\n", if group.manual { "manual" } else { "auto" }));
    for (path, choice) in &group.choices {
        text.push_str(&format!("\nAlternative: {path}\nPriority: {}\n", choice.priority));
        if !choice.slaves.is_empty() {
            text.push_str(&format!("Slaves:\n{}", pairs(&choice.slaves)));
        }
    }
    call.out.push_str(&text);
    Ok(0)
}

impl Group {
    /// The choice of automatic mode: the highest priority, and of equals the first by path.
    fn best(&self) -> Option<String> {
        let by_rank = self.choices.iter().max_by(|a, b| a.1.priority.cmp(&b.1.priority).then(b.0.cmp(a.0)));
        by_rank.map(|(path, _)| path.clone())
    }
}

/// Makes the links fit the group and writes its admin file.
fn settle(files: &mut Files<'_>, group: &mut Group, force: bool) -> Result<(), PathProblem> {
    let kept = current(files, &group.name).filter(|path| group.manual && group.choices.contains_key(path));
    group.manual = kept.is_some();
    let Some(path) = kept.or_else(|| group.best()) else { return Ok(()) };
    set_link(files, &group.name, &group.link, &path, force)?;
    let empty = BTreeMap::new();
    let paths = group.choices.get(&path).map_or(&empty, |choice| &choice.slaves);
    for (name, link) in &group.slaves {
        match paths.get(name).filter(|path| files.exists(path.as_str())) {
            Some(path) => set_link(files, name, link, path, force)?,
            None => drop_link(files, name, link),
        }
    }
    save(files, group)
}

fn set_link(files: &mut Files<'_>, name: &str, link: &str, path: &str, force: bool) -> Result<(), PathProblem> {
    files.link(format!("{LINKS}/{name}"), path)?;
    // A real file in the link's place is the administrator's: it stays.
    if force || files.lstat(link).is_none() || files.read_link(link).is_some() {
        files.link(link, format!("{LINKS}/{name}"))?;
    }
    Ok(())
}

fn drop_link(files: &mut Files<'_>, name: &str, link: &str) {
    files.remove(format!("{LINKS}/{name}"));
    if files.read_link(link).is_some() {
        files.remove(link);
    }
}

fn current(files: &Files<'_>, name: &str) -> Option<String> {
    files.read_link(format!("{LINKS}/{name}")).map(|target| String::from_utf8_lossy(&target).into_owned())
}

fn load(files: &Files<'_>, name: &str) -> Result<Option<Group>, Unknown> {
    if name.contains('/') || name.is_empty() {
        return Ok(None);
    }
    let path = format!("{ADMIN}/{name}");
    if !files.exists(&path) {
        return Ok(None);
    }
    let text = files.read_text(&path)?;
    let group = parse(name, &text).ok_or_else(|| Unknown(format!("{path} is malformed")))?;
    Ok(Some(group))
}

/// Reads an admin file: mode, link, slaves, a blank line, then each choice with its priority and slave paths.
fn parse(name: &str, text: &str) -> Option<Group> {
    let mut lines = text.lines();
    let mut group = Group {
        name: name.to_owned(),
        manual: lines.next()? == "manual",
        link: lines.next()?.to_owned(),
        ..Group::default()
    };
    let mut order = Vec::new();
    while let Some(slave) = lines.next().filter(|line| !line.is_empty()) {
        order.push(slave.to_owned());
        group.slaves.insert(slave.to_owned(), lines.next()?.to_owned());
    }
    while let Some(path) = lines.next().filter(|line| !line.is_empty()) {
        let mut choice = Choice { priority: lines.next()?.parse().ok()?, slaves: BTreeMap::new() };
        for slave in &order {
            let slave_path = lines.next()?;
            if !slave_path.is_empty() {
                choice.slaves.insert(slave.clone(), slave_path.to_owned());
            }
        }
        group.choices.insert(path.to_owned(), choice);
    }
    Some(group)
}

fn save(files: &mut Files<'_>, group: &Group) -> Result<(), PathProblem> {
    let mut text = format!("{}\n{}\n", if group.manual { "manual" } else { "auto" }, group.link);
    group.slaves.iter().for_each(|(name, link)| text.push_str(&format!("{name}\n{link}\n")));
    text.push('\n');
    for (path, choice) in &group.choices {
        text.push_str(&format!("{path}\n{}\n", choice.priority));
        for name in group.slaves.keys() {
            text.push_str(choice.slaves.get(name).map_or("", String::as_str));
            text.push('\n');
        }
    }
    text.push('\n');
    files.write(format!("{ADMIN}/{}", group.name), 0o644, text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{listing, run};

    fn check(lines: &[&str], want: &[&str]) {
        let prepare = |files: &mut crate::Files<'_>| {
            for path in ["/bin/a", "/bin/b", "/man/a"] {
                files.write(path, 0o755, "").unwrap();
            }
        };
        let (tree, said) = run(prepare, lines);
        let got: Vec<String> =
            said.into_iter().chain(listing(&tree).into_iter().filter(|line| !line.ends_with(' '))).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn the_best_choice_wins_and_slaves_follow() {
        let a = "update-alternatives --install /bin/x x /bin/a 10 --slave /man/x x.1 /man/a";
        let b = "update-alternatives --install /bin/x x /bin/b 20";
        check(
            &[a],
            &[
                "0",
                "/bin/x -> /etc/alternatives/x",
                "/etc/alternatives/x -> /bin/a",
                "/etc/alternatives/x.1 -> /man/a",
                "/man/x -> /etc/alternatives/x.1",
                "/var/lib/dpkg/alternatives/x auto\n/bin/x\nx.1\n/man/x\n\n/bin/a\n10\n/man/a\n\n",
            ],
        );
        check(
            &[a, b],
            &[
                "0",
                "0",
                "/bin/x -> /etc/alternatives/x",
                "/etc/alternatives/x -> /bin/b",
                "/var/lib/dpkg/alternatives/x auto\n/bin/x\nx.1\n/man/x\n\n/bin/a\n10\n/man/a\n/bin/b\n20\n\n\n",
            ],
        );
        check(
            &[
                a,
                b,
                "update-alternatives --set x /bin/a",
                "update-alternatives --remove x /bin/b",
                "update-alternatives --remove x /bin/a",
            ],
            &["0", "0", "0", "0", "0"],
        );
    }

    #[test]
    fn what_is_missing_is_an_error_as_in_dpkg() {
        check(
            &["update-alternatives --install /bin/x x /bin/gone 10"],
            &["update-alternatives: error: alternative path /bin/gone doesn't exist\n2"],
        );
        check(&["update-alternatives --auto x"], &["update-alternatives: error: no alternatives for x\n2"]);
        check(&["update-alternatives --remove x /bin/a"], &["0"]);
        check(&["update-alternatives --config x"], &["`update-alternatives --config x`: this use is not understood"]);
    }
}
