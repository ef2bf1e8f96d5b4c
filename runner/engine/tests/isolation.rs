//! What a container cannot do, tried from inside it, as root and as an ordinary user.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::json;
use support::Toy;

/// Runs the script both as root and as an ordinary user; its output must be the same and this.
fn check(test: &str, script: &str, expected: &str) {
    check_with(test, script, expected, |_| {});
}

fn check_with(test: &str, script: &str, expected: &str, change: fn(&mut serde_json::Value)) {
    for as_root in [true, false] {
        let Some(toy) = Toy::new(test, as_root, change) else { continue };
        let (text, _) = toy.shell(script);
        assert_eq!(text.trim(), expected.trim(), "as root: {as_root}");
        assert_eq!(toy.leftovers("no-such-marker"), Vec::<String>::new());
    }
}

#[test]
fn only_writable_paths_can_be_written() {
    check(
        "only_writable_paths_can_be_written",
        "for path in / /bin /etc /var/lib /dev /proc/sys/kernel /sys; do touch $path/x 2>/dev/null && echo wrote $path; done
         rm -f /bin/busybox 2>/dev/null && echo removed
         for path in /tmp /var/lib/luna /workspace /data /dev/shm; do touch $path/x || stat $path; done; cat /var/lib/luna/seed",
        "seed",
    );
}

#[test]
fn scratch_has_its_size() {
    let script =
        "dd if=/dev/zero of=/workspace/big bs=1024 count=2000 2>&1 | grep -c 'No space'; stat -c %s /workspace/big";
    check("scratch_has_its_size", script, "1\n1048576");
}

#[test]
fn no_rights_are_left() {
    check(
        "no_rights_are_left",
        "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status",
        "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2",
    );
}

#[test]
fn kept_capabilities_stay() {
    let keep = |plan: &mut serde_json::Value| plan["isolation"]["capabilities"] = json!(["net_bind_service"]);
    let script = "grep -E '^Cap(Eff|Amb)' /proc/self/status";
    check_with("kept_capabilities_stay", script, "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400", keep);
}

#[test]
fn dangerous_calls_are_refused() {
    check(
        "dangerous_calls_are_refused",
        "mount -t tmpfs x /tmp 2>/dev/null && echo mounted; unshare -U true 2>/dev/null && echo unshared; unshare -m true 2>/dev/null && echo unshared
         chroot / true 2>/dev/null && echo chrooted; mknod /tmp/disk b 8 0 2>/dev/null && echo node; hostname other 2>/dev/null && echo renamed
         echo done",
        "done",
    );
}

#[test]
fn the_world_is_small() {
    check(
        "the_world_is_small",
        "set -- /proc/[0-9]*; echo $#; ls /sys/class/net; hostname; ls /sys/firmware | wc -l
         cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c; grep -c -v ':/$' /proc/self/cgroup
         (echo x >/proc/sysrq-trigger) 2>/dev/null || echo sealed",
        "1\nlo\ntoy\n0\n0\n0\nsealed",
    );
}

#[test]
fn devices_are_few_and_work() {
    check(
        "devices_are_few_and_work",
        "ls /dev | grep .; echo lost >/dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c",
        "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n4\n4",
    );
}

#[test]
fn the_number_of_processes_is_limited() {
    let few = |plan: &mut serde_json::Value| plan["resources"] = json!({ "pids": 12 });
    for as_root in [true, false] {
        let Some(toy) = Toy::new("the_number_of_processes_is_limited", as_root, few) else { continue };
        // Children that cannot be made end the shell's loop early.
        let (text, _) = toy.shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 0.3 & done; echo all");
        assert!(text.contains("can't fork"), "{text}");
    }
}

#[test]
fn memory_is_limited() {
    // Without a word about it no more may be written than half of the memory.
    let roomy = |plan: &mut serde_json::Value| plan["resources"]["disk_bytes"] = json!(1 << 30);
    let Some(toy) = Toy::new("memory_is_limited", true, roomy) else { return };
    let plan = toy.run(&["--plan"], &["true"]);
    if String::from_utf8_lossy(&plan.stdout).contains("no hierarchy with the memory controller") {
        return support::skip("memory_is_limited", "the host has no memory controller").unwrap_or(());
    }
    // A memory file system counts as memory of the one who writes.
    let (text, _) = toy.shell("dd if=/dev/zero of=/tmp/big bs=1M count=200; exit $?");
    assert!(text.contains("Killed"), "{text}");
}

/// The filter once refused every question to a terminal.
#[test]
fn a_terminal_is_a_terminal() {
    let Some(toy) = Toy::new("a_terminal_is_a_terminal", support::is_root(), |_| {}) else { return };
    let mut command =
        toy.command(&["--tty"], &["sh", "-c", "test -t 0 && test -t 1 && (: </dev/tty) && echo terminal"]);
    assert_eq!(String::from_utf8_lossy(&command.output().unwrap().stdout).trim(), "terminal");
}

#[test]
fn strict_refuses_more() {
    let strict = |plan: &mut serde_json::Value| plan["isolation"]["seccomp"] = json!("strict");
    check_with("strict_refuses_more", "unshare -p true 2>/dev/null || echo refused", "refused", strict);
}

#[test]
fn a_profile_file_is_obeyed() {
    let profile = |plan: &mut serde_json::Value| {
        let text = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 }],
        });
        plan["isolation"]["seccomp"] = json!({ "profile": text.to_string() });
    };
    check_with(
        "a_profile_file_is_obeyed",
        "mkdir /tmp/x",
        "mkdir: can't create directory '/tmp/x': Operation not supported",
        profile,
    );
}
