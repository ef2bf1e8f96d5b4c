//! Properties that hold for every text: reading it never panics, and laying it out or explaining it keeps its meaning.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spec::appliance::Arch;
use spec::{Checked, World};

fn world(bases: &[spec::base::BaseImage]) -> World<'_> {
    World { bases, host_arch: Arch::Amd64, allow_outside: false }
}

/// Parses and checks any bytes; whatever is found must render.
fn read(bytes: &[u8], bases: &[spec::base::BaseImage]) -> Option<Checked> {
    let found = match spec::parse_bytes("a.kdl", bytes, &BTreeMap::new()) {
        Err(rejected) => spec::check_rest(&rejected, &world(bases)),
        Ok(spec) => match spec::check(&spec, &world(bases)) {
            Ok(checked) => return Some(checked),
            Err(found) => found,
        },
    };
    assert!(!found.is_empty(), "a rejected spec says why");
    assert!(!spec::plain(&found).is_empty());
    assert!(serde_json::to_string(&found).is_ok());
    None
}

fn check_explained(text: &str, bases: &[spec::base::BaseImage]) {
    let checked = read(text.as_bytes(), bases).unwrap_or_else(|| panic!("valid: {text}"));
    let explained = spec::explain(&checked);
    let again = read(explained.as_bytes(), bases).unwrap_or_else(|| panic!("explained is valid: {explained}"));
    assert_eq!(again.appliance, checked.appliance, "{explained}");
    // What is explained is whole: explaining it again adds nothing but other origins.
    let bare = |text: &str| {
        text.lines().map(|line| line.split(" // ").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(bare(&spec::explain(&again)), bare(&explained));
}

fn check_laid_out(text: &str) {
    let once = spec::format("a.kdl", text).expect("is KDL");
    assert_eq!(spec::format("a.kdl", &once).expect("is KDL"), once, "laying out twice changes nothing");
    let comments = |text: &str| text.matches("//").count();
    assert_eq!(comments(&once), comments(text), "comments are kept");
}

fn valid() -> Vec<String> {
    spec::templates().iter().map(|template| template.fill("my-app")).chain([FULL.to_owned()]).collect()
}

#[test]
fn valid_specs_keep_their_meaning() {
    let bases = spec::builtin_bases();
    for text in valid() {
        check_explained(&text, &bases);
        check_laid_out(&text);
    }
}

#[test]
fn templates_give_no_errors_and_are_laid_out() {
    for template in spec::templates() {
        let text = template.fill("my-app");
        assert_eq!(spec::format("a.kdl", &text).unwrap(), text, "{}", template.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes, &[]);
    }

    #[test]
    fn any_kdl_like_text_is_safe(text in "[a-z{}()/\\\\#\"=;*\\-\n 0-9]{0,200}") {
        read(text.as_bytes(), &[]);
        let _ = spec::format("a.kdl", &text).map(|once| check_laid_out(&once));
    }

    #[test]
    fn mutated_specs_are_safe(which in 0usize..5, cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..8)) {
        let bases = spec::builtin_bases();
        let mut bytes = valid().swap_remove(which).into_bytes();
        for (at, byte, how) in cuts {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        if let Some(checked) = read(&bytes, &bases) {
            let explained = spec::explain(&checked);
            prop_assert_eq!(read(explained.as_bytes(), &bases).map(|again| again.appliance), Some(checked.appliance));
        }
    }
}

const FULL: &str = r##"
// Every section at once.
appliance "luna-agent" version="1.0.0" {
    summary "A desktop-automation agent in a box"
    base "ubuntu" release="24.04"
    arch "arm64"   "amd64"
    packages "python3" "nodejs>=18" ; packages "git"
    exclude "libuv1"
    repository "https://repo.example.com/debian/" suite="stable" component="main" "contrib" key="keys/example.asc"
    user "luna" home="/home/luna" groups="video" "audio"; user "sol" uid=1000
    file "/opt/luna" from="./app/" owner="luna" group="video"
    file "/etc/motd" text="Welcome to \"Luna\"\n\tback\\slash \u{202e}\u{1}" mode="0644"
    file "/etc/long" text="""
        several
          lines { of "text"
        """
    dir  "/var/lib//luna/" owner="luna" mode="0750"
    link "/usr/local/bin/luna" to="/opt/luna/bin/luna"
    env LANG="C.UTF-8" PATH="/bin" inf_="1"
    hostname "luna"


    service "web" user="luna" {
        run "/opt/luna/start.sh" "--port" "8080"
        env PORT="8080"
        after "display"
        restart "on-failure" delay="1.5s"
        ready http="http://127.0.0.1:8080/health" within="10s"
        stop within="4s"
    }
    service "display" {
        run "Xvfb"
        ready exec="/bin/check" "--fast"
        main #true
    }
    open "ui" http=8080
    kernel "linux-image-virtual" base="ubuntu"
    init "builtin"
    isolation "auto" {
        at-least "container"
        root "writable"
        writable "/var/lib/luna" "/tmp"
        capabilities "NET_BIND_SERVICE" "cap_chown"
        seccomp "profiles/own.json"
    }
    network "outbound" {
        port 8080 name="ui"
        port 22
        allow "api.example.com:443" "10.0.0.0/8"
    }
    resources {
        memory "1GiB" min="512MiB" max="2GiB"
        cpus 1.5
        pids 512
        disk "4GiB"
        scratch "/workspace" size="2GB"
    }
    gpu "optional" vendor="nvidia" "amd" memory="6GiB"
    volume "models" at="/models" size="20GiB"
    volume "free" at="/free"
    lifecycle { sleep-after "30m"; wake-on "connect"; pool 2 }
    tools "python3" "git"
    output "oci" "ext4" "raw" "qcow2"
    launch "podman" "qemu"
}
"##;
