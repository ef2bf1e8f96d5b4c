//! `busybox` itself: it makes links to itself, or does what one of its applets does.

use shell::Unknown;

use super::Call;

/// `busybox --install -s` makes a link for every applet; the package says where each stands. Anything else is an applet.
pub(super) fn call(call: &mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown> {
    let name = call.inner.name();
    let words: Vec<&str> = call.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--install", "-s"] => install(call, &name),
        [applet, ..] if !applet.starts_with('-') => {
            let argv = call.args.iter().map(|arg| arg.clone().into_bytes()).collect();
            call.inner.run(argv)
        }
        _ => call.unknown("this use is not understood"),
    }
}

fn install(call: &mut Call<'_, '_, '_, '_>, name: &str) -> Result<i32, Unknown> {
    let list = format!("/etc/busybox-paths.d/{name}");
    let text = call.with(|files| files.read_text(&list))?;
    if text.is_empty() {
        return call.unknown(&format!("{list} does not say where applets stand"));
    }
    let target = format!("/bin/{name}");
    call.inner.work(text.len() as u64 / 16)?;
    call.with(|files| {
        for path in text.lines().filter(|line| !line.is_empty()) {
            // What stands there stays, also a link to nothing.
            if files.lstat(path).is_none() {
                files.link(path, &target)?;
            }
        }
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;

    #[test]
    fn links_are_made_where_the_package_says_and_nothing_is_replaced() {
        let script = "/bin/busybox --install -s && /bin/busybox mkdir -p /made && echo $?";
        let (tree, said) =
            run(&[("/etc/busybox-paths.d/busybox", "bin/cat\nusr/bin/[\n"), ("/bin/cat", "own")], script);
        assert_eq!(said, "0\n0");
        let links: Vec<String> = tree.lines().filter(|line| line.starts_with("l ")).map(str::to_owned).collect();
        assert_eq!(links.len(), 1, "{tree}");
        assert!(links[0].starts_with("l /usr/bin/[ ") && links[0].ends_with(" /bin/busybox"), "{tree}");
        assert!(tree.contains("\nd /made "), "{tree}");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let unknown = |script: &str| run(&[], script).1;
        assert!(unknown("busybox --install").contains("this use is not understood"));
        assert!(unknown("busybox --install -s").contains("does not say where applets stand"));
    }
}
