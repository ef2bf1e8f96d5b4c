//! OpenRC's `rc-update` and `rc-service`: which services start in which run level is links in `/etc/runlevels`.

use shell::Unknown;

use super::Call;

/// `rc-update [-q] add|del|delete SERVICE [RUNLEVEL]` (rc-update(8)).
pub(super) fn rc_update(call: &mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown> {
    let words: Vec<String> =
        call.args.iter().filter(|arg| !["-q", "--quiet"].contains(&arg.as_str())).cloned().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (action, service, level) = match words.as_slice() {
        [action, service] => (*action, *service, "default"),
        [action, service, level] => (*action, *service, *level),
        _ => return call.unknown("this use is not understood"),
    };
    let is_plain = |word: &str| !word.starts_with(['-', '.']) && !word.contains('/');
    if !is_plain(service) || !is_plain(level) {
        return call.unknown("such a name is not understood");
    }
    let link = format!("/etc/runlevels/{level}/{service}");
    let program = format!("/etc/init.d/{service}");
    match action {
        "add" => {
            let (known, there) =
                call.with(|files| Ok((files.exists(format!("/etc/runlevels/{level}")), files.exists(&program))))?;
            if !there {
                return call.fail(&format!("service `{service}' does not exist"));
            }
            if !known {
                return call.fail(&format!("`{level}' is not a valid runlevel"));
            }
            call.with(|files| files.link(&link, &program)).map(|()| 0)
        }
        "del" | "delete" => call.with(|files| Ok(files.remove(&link))).map(|removed| i32::from(!removed)),
        _ => call.unknown("this use is not understood"),
    }
}

/// No service runs while a root is put together.
pub(super) fn rc_service(call: &mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown> {
    call.system.borrow_mut().notes.insert("no service is started or stopped".to_owned());
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;

    #[test]
    fn services_are_linked_into_run_levels() {
        let files =
            [("/etc/init.d/sshd", "#!/sbin/openrc-run\n"), ("/etc/runlevels/default/x", ""), ("/sbin/rc-update", "")];
        let (tree, said) = run(&files, "rc-update -q add sshd default; rc-update add none; rc-update del x");
        assert!(said.ends_with('0'), "{said}");
        assert!(said.contains("service `none' does not exist"), "{said}");
        assert!(tree.contains("l /etc/runlevels/default/sshd ") && !tree.contains("default/x"), "{tree}");
        assert!(run(&files, "rc-update add ../../x").1.contains("such a name"));
    }
}
