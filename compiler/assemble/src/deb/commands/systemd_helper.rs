//! `deb-systemd-helper` (deb-systemd-helper(1p)): enables units by their `[Install]` section, with the state that lets an
//! administrator's choice survive upgrades. And `systemctl enable`, which keeps no state.

use std::collections::BTreeSet;

use super::{Call, Unknown};

const STATE: &str = "/var/lib/systemd/deb-systemd-helper-enabled";
const UNITS: [&str; 3] = ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"];

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut words = call.args.iter().map(String::as_str).filter(|arg| !matches!(*arg, "--quiet" | "--system"));
    let verb = words.next().unwrap_or_default();
    let units: Vec<String> = words.map(str::to_owned).collect();
    if let Some(option) = units.iter().find(|unit| unit.starts_with('-')) {
        return call.unknown_option(option);
    }
    match verb {
        "enable" => units.iter().try_for_each(|unit| enable(call, unit, true)).map(|()| 0),
        "update-state" | "reenable" => {
            units.iter().try_for_each(|unit| enable(call, unit, verb == "reenable")).map(|()| 0)
        }
        "was-enabled" => was_enabled(call, &units),
        "debian-installed" => Ok(i32::from(!units.iter().all(|unit| call.files.exists(state_file(unit))))),
        // Nothing was masked or purged before a first installation.
        "unmask" if !units.iter().any(|unit| is_masked(call, unit)) => Ok(0),
        "mask" | "disable" | "purge" | "unmask" => call.unknown("only a first installation is understood"),
        _ => call.unknown("this verb is not understood"),
    }
}

fn state_file(unit: &str) -> String {
    format!("{STATE}/{unit}.dsh-also")
}

fn is_masked(call: &Call<'_, '_>, unit: &str) -> bool {
    call.files.read_link(format!("/etc/systemd/system/{unit}")).is_some_and(|target| target == b"/dev/null")
}

/// `systemctl enable` (systemctl(1)) of units that are there, also of an instance of a template.
pub(super) fn systemctl_enable(call: &mut Call<'_, '_>, units: &[String]) -> Result<i32, Unknown> {
    for unit in units {
        if read_unit(call, &file_of(unit))?.is_none() {
            return call.fail(1, &format!("Failed to enable unit: Unit file {unit} does not exist."));
        }
        for (link, target) in links(call, unit, file_of)? {
            if call.files.lstat(&link).is_none() {
                call.files.link(&link, &target)?;
            }
        }
    }
    Ok(0)
}

/// The file of a unit: that of the template where the unit is an instance, as `getty@tty1.service` (systemd.unit(5)).
fn file_of(unit: &str) -> String {
    match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((name, _)), Some((_, kind))) => format!("{name}@.{kind}"),
        _ => unit.to_owned(),
    }
}

/// Makes the links of a unit and those that it names in `Also=`, or only their state.
fn enable(call: &mut Call<'_, '_>, unit: &str, with_links: bool) -> Result<(), Unknown> {
    let links = links(call, unit, str::to_owned)?;
    note_and_link(call, unit, &links, with_links)
}

/// The links that enable a unit and those that it names in `Also=`, each with its target. `file_of` gives a unit's file.
fn links(call: &Call<'_, '_>, unit: &str, file_of: fn(&str) -> String) -> Result<BTreeSet<(String, String)>, Unknown> {
    let mut links = BTreeSet::new();
    let mut to_do = vec![unit.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(name) = to_do.pop() {
        if name.contains('/') {
            return call.unknown("a unit's name has a slash");
        }
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some((path, text)) = read_unit(call, &file_of(&name))? else { continue };
        for (key, value) in install_section(&text) {
            let is_instance = file_of(&name) != name;
            let folders = match key {
                "DefaultInstance" if is_instance => continue,
                _ if is_instance && value.contains('%') => return call.unknown("specifiers are not understood"),
                "WantedBy" => "wants",
                "RequiredBy" => "requires",
                "Also" => {
                    to_do.push(value.to_owned());
                    continue;
                }
                "Alias" => {
                    links.insert((format!("/etc/systemd/system/{value}"), path.clone()));
                    continue;
                }
                "DefaultInstance" => return call.unknown("template units are not understood"),
                _ => continue,
            };
            links.insert((format!("/etc/systemd/system/{value}.{folders}/{name}"), path.clone()));
        }
    }
    Ok(links)
}

fn note_and_link(
    call: &mut Call<'_, '_>,
    unit: &str,
    links: &BTreeSet<(String, String)>,
    with_links: bool,
) -> Result<(), Unknown> {
    let list: String = links.iter().map(|(link, _)| format!("{link}\n")).collect();
    call.files.write(state_file(unit), 0o644, list)?;
    for (link, target) in links {
        let marker = format!("{STATE}/{}", link.trim_start_matches("/etc/systemd/system/"));
        let known = call.files.exists(&marker);
        call.files.write(&marker, 0o644, "")?;
        if with_links && !known && call.files.lstat(link).is_none() {
            call.files.link(link, target)?;
        }
    }
    Ok(())
}

/// Enabled before, or never seen: then the answer is yes, so that a first installation enables.
fn was_enabled(call: &mut Call<'_, '_>, units: &[String]) -> Result<i32, Unknown> {
    for unit in units {
        let links = call.files.read_text(state_file(unit))?;
        if links.lines().any(|link| call.files.lstat(link).is_none()) {
            return Ok(1);
        }
    }
    Ok(0)
}

fn read_unit(call: &Call<'_, '_>, name: &str) -> Result<Option<(String, String)>, Unknown> {
    let path = UNITS.iter().map(|folder| format!("{folder}/{name}")).find(|path| call.files.exists(path));
    let Some(path) = path else { return Ok(None) };
    let text = call.files.read_text(&path)?;
    Ok(Some((path, text)))
}

/// The words of each key in `[Install]`, one pair a word.
fn install_section(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let section = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[Install]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let pairs = section.filter(|line| !line.starts_with(['#', ';'])).filter_map(|line| line.split_once('='));
    pairs.flat_map(|(key, value)| value.split_whitespace().map(move |word| (key.trim(), word)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{listing, run};

    #[test]
    fn a_unit_is_enabled_once_and_the_choice_is_remembered() {
        let prepare = |files: &mut crate::Files<'_>| {
            files
                .write(
                    "/usr/lib/systemd/system/a.timer",
                    0o644,
                    "[Timer]\nWantedBy=x\n[Install]\nWantedBy=timers.target\n",
                )
                .unwrap();
            files.link("/lib", "usr/lib").unwrap();
        };
        let (tree, said) = run(
            prepare,
            &[
                "deb-systemd-helper unmask a.timer",
                "deb-systemd-helper --quiet was-enabled a.timer",
                "deb-systemd-helper enable a.timer",
                "deb-systemd-helper disable a.timer",
            ],
        );
        assert_eq!(
            said,
            ["0", "0", "0", "`deb-systemd-helper disable a.timer`: only a first installation is understood"]
        );
        assert_eq!(listing(&tree)[0], "/etc/systemd/system/timers.target.wants/a.timer -> /lib/systemd/system/a.timer");
        assert_eq!(
            listing(&tree)[3..],
            [
                "/var/lib/systemd/deb-systemd-helper-enabled/a.timer.dsh-also /etc/systemd/system/timers.target.wants/a.timer\n",
                "/var/lib/systemd/deb-systemd-helper-enabled/timers.target.wants/a.timer "
            ]
        );
    }
    #[test]
    fn systemctl_enables_what_is_there() {
        let prepare = |files: &mut crate::Files<'_>| {
            let mut unit = |name: &str, text: &str| {
                files.write(format!("/usr/lib/systemd/system/{name}"), 0o644, format!("[Install]\n{text}")).unwrap();
            };
            unit("getty@.service", "WantedBy=getty.target\nDefaultInstance=tty1\n");
            unit("odd@.service", "WantedBy=%i.target\n");
            unit("plain.target", "WantedBy=multi-user.target\n");
            files.link("/lib", "usr/lib").unwrap();
        };
        let (tree, said) = run(
            prepare,
            &[
                "systemctl enable getty@tty1.service",
                "systemctl enable plain.target",
                "systemctl enable getty@.service",
                "systemctl enable odd@x.service",
                "systemctl enable none.service",
                "systemctl enable --now plain.target",
            ],
        );
        let want = [
            "0",
            "0",
            "`systemctl enable getty@.service`: template units are not understood",
            "`systemctl enable odd@x.service`: specifiers are not understood",
            "systemctl: Failed to enable unit: Unit file none.service does not exist.\n1",
            "`systemctl enable --now plain.target`: this use is not understood",
        ];
        assert_eq!(said, want);
        assert_eq!(
            listing(&tree)[..2],
            [
                "/etc/systemd/system/getty.target.wants/getty@tty1.service -> /lib/systemd/system/getty@.service",
                "/etc/systemd/system/multi-user.target.wants/plain.target -> /lib/systemd/system/plain.target"
            ]
        );
    }
}
