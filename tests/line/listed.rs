//! What `allow` may list: `check` and the rules of a run must agree.

use crate::world::World;

#[test]
fn a_spec_may_list_what_the_rules_understand() {
    let world = World::new();
    let check = |entry: &str, expected: bool| {
        world.spec(&format!("network \"outbound\" {{ allow \"{entry}\"; }}\noutput \"oci\""));
        let checked = world.run(&["check"]);
        assert_eq!(checked.code == Some(0), expected, "{entry}: {}", checked.text());
        assert!(expected || checked.stderr.contains("`allow` takes a host"), "{entry}: {}", checked.text());
        assert_eq!(network::Rules::outbound(&[entry.to_owned()]).is_ok(), expected, "{entry}");
    };
    let good = [
        "example.com",
        "example.com.",
        "*.example.com:443",
        "a_b.example",
        "xn--bcher-kva.example",
        "10.0.0.0/8",
        "10.0.0.1:53",
        "10.0.0.0/8:443",
        "2001:db8::1",
        "2001:db8::/32",
        "[2001:db8::1]:443",
        "[2001:db8::]",
        "localhost",
    ];
    good.into_iter().for_each(|entry| check(entry, true));
    let bad = [
        "",
        "https://example.com",
        "example.com/path",
        "example.com:0",
        "example.com:65536",
        "example.com:http",
        "10.0.0.0/33",
        "2001:db8::/129",
        "10.0.0",
        "0x7f.1",
        "a..b",
        "-a.example",
        "*",
        "a.*.example",
        "[::1",
        "[::1]443",
        "b\u{fc}cher.example",
        "two words",
    ];
    bad.into_iter().for_each(|entry| check(entry, false));
}
