//! `update-rc.d` (update-rc.d(8)): the links of init scripts in `/etc/rcN.d`, by the levels of their LSB header.
//!
//! The number of a link would come from insserv, which sorts by dependencies; like update-rc.d without it, all get 01.

use super::{Call, Unknown};

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let words: Vec<&str> = call.args.iter().map(String::as_str).filter(|arg| *arg != "-f").collect();
    match words.as_slice() {
        [name, "remove"] => {
            each_level(|level| unlink(call, level, name));
            Ok(0)
        }
        [name, "defaults" | "defaults-disabled", ..] if !name.contains('/') => {
            let disabled = words.get(1) == Some(&"defaults-disabled");
            defaults(call, name, disabled)
        }
        [name, "enable" | "disable"] if !call.files.exists(format!("/etc/init.d/{name}")) => {
            call.fail(1, "error: no such script")
        }
        _ => call.unknown("this use is not understood"),
    }
}

fn defaults(call: &mut Call<'_, '_>, name: &str, disabled: bool) -> Result<i32, Unknown> {
    let script = format!("/etc/init.d/{name}");
    if !call.files.exists(&script) {
        return call.fail(1, &format!("error: unable to read {script}"));
    }
    let text = call.files.read_text(&script)?;
    let levels = |field: &str| -> Vec<String> {
        let header = text
            .lines()
            .skip_while(|line| !line.contains("BEGIN INIT INFO"))
            .take_while(|line| !line.contains("END INIT INFO"));
        let mut values = header.filter_map(|line| line.trim_start_matches('#').trim().strip_prefix(field));
        values.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    if !text.contains("BEGIN INIT INFO") {
        return call.unknown("the init script has no LSB header");
    }
    let start = if disabled { "K" } else { "S" };
    for (prefix, levels) in [(start, levels("Default-Start:")), ("K", levels("Default-Stop:"))] {
        for level in levels.iter().filter(|level| "0123456S".contains(level.as_str()) && level.len() == 1) {
            call.files.link(format!("/etc/rc{level}.d/{prefix}01{name}"), format!("../init.d/{name}"))?;
        }
    }
    each_level(|level| drop(call.files.make_dir(format!("/etc/rc{level}.d"), 0o755)));
    Ok(0)
}

fn each_level(mut act: impl FnMut(char)) {
    "0123456S".chars().for_each(&mut act);
}

fn unlink(call: &mut Call<'_, '_>, level: char, name: &str) {
    for link in call.files.names_in(format!("/etc/rc{level}.d")) {
        if link.get(3..) == Some(name) && link.starts_with(['S', 'K']) {
            call.files.remove(format!("/etc/rc{level}.d/{link}"));
        }
    }
}
