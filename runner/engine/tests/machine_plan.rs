//! What a machine would be on hosts of every kind: plans are values, so one host can look at all of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use bundle::manifest::Manifest;
use bundle::plan::{
    Gpu, GpuNeed, Isolation, Level, Memory, Network, NetworkMode, Plan, Port, Process, Resources, Root, Seccomp, Volume,
};
use engine::{
    BootFiles, Bundle, CgroupFacts, CgroupLayout, Checked, Compression, Direct, DiskFile, Facts, Held, Layer,
    MachineFacts, NoQemu, NoSubordinateIds, Probe, Qemu, Reach, RunOptions, System, Tun, bind, why_machine,
};

fn plan() -> Plan {
    Plan {
        schema: 1,
        name: "toy".into(),
        version: "1".into(),
        hostname: "toy".into(),
        process: Process { args: vec![bundle::guest::GUEST_PATH.into()], env: BTreeMap::new(), stop_grace_ms: 3000 },
        root: Root { read_only: true, writable: vec!["/tmp".into()], scratch: Vec::new() },
        isolation: Isolation {
            level: Some(Level::Vm),
            at_least: Level::Container,
            capabilities: Vec::new(),
            seccomp: Seccomp::Default,
        },
        network: Network { mode: NetworkMode::None, allow: Vec::new(), ports: vec![Port { port: 8080, name: None }] },
        resources: Resources { memory: None, cpus_milli: Some(1500), pids: None, disk_bytes: None },
        volumes: vec![Volume { name: "data".into(), at: "/data".into(), size_bytes: Some(2 << 30) }],
        open: Vec::new(),
        gpu: Gpu { need: GpuNeed::None, vendors: Vec::new(), memory_bytes: None },
    }
}

fn bundle(plan: Plan, direct: bool) -> Bundle {
    let file = |name: &str| PathBuf::from("/bundle").join(name);
    let checked = |name: &str| Checked { path: file(name), sha256: "00".repeat(32) };
    let manifest = Manifest {
        schema: 1,
        name: "toy".into(),
        version: "1".into(),
        arch: vec!["amd64".into()],
        artifacts: Vec::new(),
        lock_blake3: String::new(),
        tool_version: String::new(),
    };
    let verity = plan.root.read_only.then(|| file("root.verity"));
    let direct = direct.then(|| Direct {
        kernel: checked("microvm/kernel"),
        initrd: checked("microvm/initrd"),
        command_line: "console=ttyS0 quiet".into(),
        root: file("root.ext4"),
        verity,
    });
    let disk = |name: &str, format: &str| DiskFile { path: file(name), format: format.into() };
    let volumes = BTreeMap::from([("data".to_owned(), disk("volumes/data.raw", "raw"))]);
    Bundle {
        manifest,
        plan,
        layers: Vec::new(),
        boot: BootFiles { direct, disk: Some(disk("disk,1.qcow2", "qcow2")), volumes },
    }
}

fn facts(system: System, processor: &str, acceleration: Probe) -> Facts {
    Facts {
        kernel: "6.1".into(),
        uid: 0,
        gid: 0,
        privileged: true,
        may_raise_limits: true,
        cgroups: CgroupFacts { layout: CgroupLayout::None, controllers: BTreeMap::new() },
        user_namespaces: Probe::NotTried,
        subordinate_ids: Err(NoSubordinateIds { why: "root needs none".into(), remedy: String::new() }),
        memory_total_bytes: 8 << 30,
        memory_available_bytes: 4 << 30,
        cpus: 4,
        open_files_max: 1024,
        tun: Tun::NotTried,
        machines: Some(MachineFacts {
            system,
            processor: processor.into(),
            qemu: Ok(Qemu { program: format!("/usr/bin/qemu-system-{processor}").into(), version: (7, 2) }),
            firmware: Some("/usr/share/firmware.fd".into()),
            acceleration,
            tsc_khz: Some(2_900_000),
        }),
    }
}

fn options() -> RunOptions {
    let mut options = RunOptions::new("/cache".into(), "/volumes".into());
    options.state_folder = "/state".into();
    options
}

/// What stands in the way, with what to do about it.
#[track_caller]
fn check_unmet(bundle: &Bundle, facts: &Facts, options: &RunOptions, expected: &[&str]) {
    let unmet = bind(bundle, facts, options, "toy-1-2").unwrap_err();
    let text = unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(unmet.len(), 1, "{text}");
    expected.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in: {text}"));
}

#[test]
fn machines_of_every_host_are_as_recorded() {
    let writable = || {
        let mut plan = plan();
        plan.root = Root { read_only: false, writable: Vec::new(), scratch: Vec::new() };
        plan.resources.disk_bytes = Some(4 << 30);
        plan
    };
    let network = |mode: NetworkMode, allow: &[&str]| {
        let mut plan = plan();
        (plan.network.mode, plan.network.allow) = (mode, allow.iter().map(|one| (*one).to_owned()).collect());
        plan
    };
    let listed = || network(NetworkMode::Outbound, &["10.0.0.0/8", "api.example.com:443"]);
    let fails = || Probe::Fails("a small machine did not come up within 5 s".to_owned());
    let cases = [
        ("linux, kvm, microvm", bundle(plan(), true), facts(System::Linux, "x86_64", Probe::Works)),
        ("linux, no kvm, microvm, writable", bundle(writable(), true), facts(System::Linux, "x86_64", fails())),
        ("linux, kvm, disk", bundle(plan(), false), facts(System::Linux, "x86_64", Probe::Works)),
        ("linux, no kvm, disk, writable", bundle(writable(), false), facts(System::Linux, "x86_64", fails())),
        ("linux on arm, kvm", bundle(plan(), true), facts(System::Linux, "aarch64", Probe::Works)),
        ("macos on arm", bundle(plan(), true), facts(System::MacOs, "aarch64", Probe::Works)),
        ("windows", bundle(plan(), true), facts(System::Windows, "x86_64", Probe::Works)),
        ("linux, kvm, microvm, outbound", bundle(listed(), true), facts(System::Linux, "x86_64", Probe::Works)),
        (
            "linux, kvm, disk, full",
            bundle(network(NetworkMode::Full, &[]), false),
            facts(System::Linux, "x86_64", Probe::Works),
        ),
    ];
    let mut text = String::new();
    for (name, bundle, facts) in cases {
        let bound = bind(&bundle, &facts, &options(), "toy-1-2").unwrap();
        let machine = bound.machine().unwrap();
        writeln!(text, "# {name}: {}, within {} ms", machine.why, machine.boot_ms).unwrap();
        bound.verdicts.iter().for_each(|one| writeln!(text, "{:?} {}: {}", one.held, one.item, one.how).unwrap());
        bound.steps.iter().for_each(|step| writeln!(text, "{}", serde_json::to_string(step).unwrap()).unwrap());
        writeln!(text, "{} {}\n", machine.program.display(), machine.arguments.join(" ")).unwrap();
    }
    let record = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine_plans.txt");
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::write(record, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(record).unwrap(), "set UPDATE_SNAPSHOTS=1 to record it anew");
}

#[test]
fn what_is_missing_is_named_with_what_helps() {
    let linux = || facts(System::Linux, "x86_64", Probe::NotTried);
    let without = |change: &dyn Fn(&mut MachineFacts)| {
        let mut facts = linux();
        facts.machines.as_mut().into_iter().for_each(change);
        facts
    };
    let none = without(&|machines| machines.qemu = Err(NoQemu::Absent("qemu-system-x86_64".into())));
    check_unmet(&bundle(plan(), true), &none, &options(), &["no qemu-system-x86_64", "apt install qemu-system-x86"]);
    let why = || "does not start: Exec format error".to_owned();
    let broken = without(&|machines| machines.qemu = Err(NoQemu::Broken { program: "/q".into(), why: why() }));
    check_unmet(&bundle(plan(), true), &broken, &options(), &["/q does not start", "see why with: /q --version"]);
    let old = without(&|machines| machines.qemu = Ok(Qemu { program: "/q".into(), version: (5, 1) }));
    check_unmet(&bundle(plan(), true), &old, &options(), &["QEMU 5.2 or newer", "5.1 is here", "apt install"]);
    let bare = without(&|machines| machines.firmware = None);
    check_unmet(&bundle(plan(), false), &bare, &options(), &["UEFI firmware", "apt install ovmf"]);
    assert!(bind(&bundle(plan(), true), &bare, &options(), "toy-1-2").is_ok(), "a microvm needs no firmware");

    let mut nothing = bundle(plan(), false);
    nothing.boot.disk = None;
    check_unmet(&nothing, &linux(), &options(), &["nothing that boots", "output \"microvm\""]);
    let mut poor = bundle(plan(), true);
    poor.boot.volumes.clear();
    check_unmet(&poor, &linux(), &options(), &["no disk for the volume data"]);
}

#[test]
fn a_container_with_a_network_needs_the_device_that_makes_them() {
    let with = |mode: NetworkMode, tun: Tun| {
        let mut plan = plan();
        plan.isolation.level = None;
        plan.network.mode = mode;
        plan.volumes.clear();
        let digest = "00".repeat(32);
        let blob = PathBuf::from("/bundle/oci/blobs/sha256/layer");
        let layer = Layer { blob, compression: Compression::Gzip, diff_id: digest.clone(), chain_id: digest };
        let facts = Facts { tun, ..facts(System::Linux, "x86_64", Probe::NotTried) };
        (Bundle { layers: vec![layer], ..bundle(plan, true) }, facts)
    };
    let check = |tun: Tun, expected: &[&str]| {
        let (bundle, facts) = with(NetworkMode::Outbound, tun);
        check_unmet(&bundle, &facts, &options(), expected);
    };
    check(Tun::Missing, &["network \"outbound\"", "/dev/net/tun is not there", "modprobe tun", "--vm"]);
    check(Tun::Forbidden, &["may not be opened by this user", "chmod 0666 /dev/net/tun", "--vm"]);
    check(Tun::Fails("it burns".into()), &["cannot be opened: it burns"]);
    let wired = |mode: NetworkMode, tun: Tun| {
        let (bundle, facts) = with(mode, tun);
        let bound = bind(&bundle, &facts, &options(), "toy-1-2").unwrap();
        (bound.container().unwrap().wire, bound.reach)
    };
    assert_eq!(wired(NetworkMode::None, Tun::Missing), (false, None), "without a network nothing is needed");
    assert_eq!(wired(NetworkMode::Full, Tun::Works), (true, Some(Reach::Full)));
    assert_eq!(wired(NetworkMode::Outbound, Tun::Works), (true, Some(Reach::Listed(Vec::new()))));
}

#[test]
fn what_is_listed_must_be_destinations() {
    let mut plan = plan();
    (plan.network.mode, plan.network.allow) = (NetworkMode::Outbound, vec!["10.0.0.0/99".to_owned()]);
    let facts = facts(System::Linux, "x86_64", Probe::NotTried);
    check_unmet(&bundle(plan, true), &facts, &options(), &["10.0.0.0/99", "`allow`"]);
}

#[test]
fn memory_is_fitted_to_the_host_and_what_would_fit_is_said() {
    let mib = |count: u64| count << 20;
    let with = |memory: Option<(u64, u64, u64)>, available: u64| {
        let mut plan = plan();
        plan.resources.memory =
            memory.map(|(bytes, min, max)| Memory { bytes: mib(bytes), min_bytes: mib(min), max_bytes: mib(max) });
        let mut facts = facts(System::Linux, "x86_64", Probe::NotTried);
        facts.memory_available_bytes = mib(available);
        (bundle(plan, true), facts)
    };
    let check = |memory, available, expected| {
        let (bundle, facts) = with(memory, available);
        let bound = bind(&bundle, &facts, &options(), "toy-1-2").unwrap();
        let machine = bound.machine().unwrap();
        assert_eq!((machine.memory_mib, machine.balloon_mib), expected);
    };
    check(None, 4096, (512, None));
    check(None, 300, (300, None));
    check(Some((1024, 512, 1024)), 4096, (1024, None));
    check(Some((1024, 512, 2048)), 4096, (2048, Some(1024)));
    check(Some((1024, 512, 2048)), 1500, (1500, Some(1024)));
    check(Some((1024, 512, 2048)), 700, (700, None));
    check(Some((32, 16, 64)), 4096, (128, None));
    let (bundle, facts) = with(Some((1024, 512, 2048)), 400);
    let words = ["512 MiB of memory are needed and 400 MiB are free", "set `memory min=` to 400 MiB or less"];
    check_unmet(&bundle, &facts, &options(), &words);
    let (bundle, facts) = with(Some((64, 64, 64)), 100);
    check_unmet(&bundle, &facts, &options(), &["a machine has at least 128 MiB of memory, and 100 MiB are free"]);
    let verdict = |memory, available, expected: (Held, &str)| {
        let (bundle, facts) = with(memory, available);
        let bound = bind(&bundle, &facts, &options(), "toy-1-2").unwrap();
        let said = bound.verdicts.iter().find(|verdict| verdict.item == "memory").unwrap();
        assert_eq!((said.held, said.how.as_str()), expected);
    };
    verdict(None, 4096, (Held::Enforced, "the machine has 512 MiB, since the spec asks for none"));
    let raised = "the machine has 128 MiB and not 32: with less no kernel of a distribution comes up";
    verdict(Some((32, 16, 64)), 4096, (Held::Partial, raised));
    let little = "the machine has 700 MiB: 1024 are asked, and no more are free";
    verdict(Some((1024, 512, 2048)), 700, (Held::Enforced, little));
}

#[test]
fn a_command_in_place_of_the_services_is_asked_of_the_guest() {
    let facts = facts(System::Linux, "x86_64", Probe::NotTried);
    let options = RunOptions { command: vec!["sh".into()], user: Some("web".into()), terminal: true, ..options() };
    let bound = bind(&bundle(plan(), true), &facts, &options, "toy-1-2").unwrap();
    let machine = bound.machine().unwrap();
    let command = machine.command.as_ref().unwrap();
    assert_eq!((command.args.as_slice(), command.user.as_deref()), (["sh".to_owned()].as_slice(), Some("web")));
    assert_eq!((command.env.get("TERM").map(String::as_str), bound.terminal), (Some("xterm"), true));
    let held = "virtserialport,chardev=command,name=appliance.command.0".to_owned();
    let channel = "virtserialport,chardev=channel,name=appliance.agent.0".to_owned();
    let place = |word: &String| machine.arguments.iter().position(|argument| argument == word).unwrap();
    assert!(place(&held) < place(&channel), "the guest waits for the channel's name alone");
}

#[test]
fn who_runs_qemu_is_what_root_of_the_machine_would_become() {
    let how = |uid: u32| {
        let facts = Facts { uid, ..facts(System::Linux, "x86_64", Probe::NotTried) };
        let bound = bind(&bundle(plan(), true), &facts, &options(), "toy-1-2").unwrap();
        bound.verdicts.into_iter().find(|verdict| verdict.item == "no new privileges").unwrap()
    };
    assert!(how(0).how.ends_with("is a process of root here") && how(0).remedy.is_some());
    assert!(how(1000).how.ends_with("is a process of user 1000 here") && how(1000).remedy.is_none());
}

#[test]
fn a_bundle_says_as_what_it_runs_and_the_caller_may_ask_for_more() {
    let facts = facts(System::Linux, "x86_64", Probe::NotTried);
    let level = |change: &dyn Fn(&mut Plan), vm: bool| {
        let mut plan = plan();
        plan.isolation.level = None;
        change(&mut plan);
        let bound = bind(&bundle(plan, true), &facts, &RunOptions { vm, ..options() }, "toy-1-2");
        bound.unwrap().machine().is_some()
    };
    assert!(level(&|plan| plan.isolation.level = Some(Level::Vm), false));
    assert!(level(&|plan| plan.isolation.at_least = Level::Vm, false));
    assert!(level(&|plan| plan.isolation.level = Some(Level::Container), true));
    assert!(level(&|_| {}, false), "it has no container image");
    let why = |change: &dyn Fn(&mut Plan), vm: bool| {
        let mut plan = plan();
        plan.isolation.level = None;
        change(&mut plan);
        why_machine(&bundle(plan, true), &RunOptions { vm, ..options() })
    };
    assert!(why(&|_| {}, false).unwrap().contains("no container image"));
    assert_eq!((why(&|_| {}, true), why(&|plan| plan.isolation.level = Some(Level::Vm), false)), (None, None));
}

#[test]
fn another_init_has_a_machine_and_a_command_the_guest() {
    let facts = facts(System::Linux, "x86_64", Probe::NotTried);
    let bundle = || {
        let mut plan = plan();
        plan.isolation.level = None;
        plan.process.args = vec![bundle::guest::SYSTEM_INIT_PATH.into()];
        let digest = "00".repeat(32);
        let blob = PathBuf::from("/bundle/oci/blobs/sha256/layer");
        let layer = Layer { blob, compression: Compression::Gzip, diff_id: digest.clone(), chain_id: digest };
        Bundle { layers: vec![layer], ..self::bundle(plan, true) }
    };
    assert!(bind(&bundle(), &facts, &options(), "toy-1-2").unwrap().machine().is_some());
    let commanded = RunOptions { command: vec!["id".into()], user: Some("web".into()), ..options() };
    let bound = bind(&bundle(), &facts, &commanded, "toy-1-2").unwrap();
    let process = &bound.container().unwrap().config.process;
    assert_eq!(process.args, [bundle::guest::GUEST_PATH, "--user", "web", "--", "id"]);

    let mut only_image = bundle();
    (only_image.boot.direct, only_image.boot.disk) = (None, None);
    check_unmet(&only_image, &facts, &options(), &["starts with systemd", "--vm", "init \"builtin\""]);
}
