//! The good packages of the toy archive: together they have one of everything that Debian packages do.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use tree::Node;

use super::package::{Package, Packing};

/// Names that the toy shell answers to.
pub const APPLETS: &str = "sh cat chmod chown cp cut dd echo env false find grep head hostname httpd id install kill ln ls \
    mkdir mknod mount mv nc ps rm sed seq sleep stat tail tee test touch tr true umount wc wget";

/// Every good package, with no program of the host in it: the same bytes everywhere.
pub fn all() -> Vec<Package> {
    vec![
        base(),
        tools(),
        alternatives(),
        conffile(),
        account(),
        diversion(),
        trigger(),
        fonts(),
        links(),
        many(),
        large(),
    ]
}

/// What everything stands on.
pub fn base() -> Package {
    Package::new("toy-base", "1.0")
        .field("Essential", "yes")
        .field("Priority", "required")
        .dir("etc", 0o755)
        .file(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        )
        .file("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")
        .file("etc/shells", 0o644, "/bin/sh\n")
        .file("etc/issue", 0o644, "Toy GNU/Linux 1\n")
        .dir("root", 0o700)
        .dir("tmp", 0o1777)
        .dir("usr/bin", 0o755)
        .dir("usr/sbin", 0o755)
        .dir("var/tmp", 0o1777)
        .dir("var/lib", 0o755)
}

/// The programs that scripts call: emulation asks only that they are there.
pub fn tools() -> Package {
    let names = "usr/bin/dpkg-divert usr/bin/dpkg-trigger usr/bin/update-alternatives usr/sbin/adduser usr/sbin/addgroup \
        usr/bin/cat usr/bin/chown usr/bin/install usr/bin/mkdir usr/bin/rm";
    let program = "#!/bin/sh\necho 'this toy is never run' >&2\nexit 99\n";
    names
        .split_whitespace()
        .fold(Package::new("toy-tools", "1.0").needs("toy-base"), |package, name| package.file(name, 0o755, program))
}

fn alternatives() -> Package {
    Package::new("toy-alt", "1.0")
        .needs("toy-base, toy-tools")
        .file("usr/bin/toy-pager", 0o755, "#!/bin/sh\nexec cat\n")
        .script("postinst", "if [ \"$1\" = configure ]; then\n    update-alternatives --install /usr/bin/pager pager /usr/bin/toy-pager 50\nfi")
        .packed(Packing::Zstd)
}

fn conffile() -> Package {
    Package::new("toy-conf", "1.0")
        .needs("toy-base")
        .file("etc/toy/toy.conf", 0o644, "colour = blue\n")
        .control("conffiles", 0o644, "/etc/toy/toy.conf\n")
        .packed(Packing::Xz)
}

fn account() -> Package {
    let script = "case \"$1\" in\n    configure)\n        adduser --system --quiet --group --home /var/lib/toyd --no-create-home toyd\n        \
        mkdir -p /var/lib/toyd\n        chown toyd:toyd /var/lib/toyd\n    ;;\nesac";
    Package::new("toy-user", "1.0").needs("toy-base, toy-tools").script("postinst", script)
}

fn diversion() -> Package {
    Package::new("toy-divert", "1.0")
        .needs("toy-base, toy-tools")
        .field("Pre-Depends", "toy-tools")
        .file("etc/issue", 0o644, "Toy GNU/Linux 1, diverted\n")
        .script("preinst", "dpkg-divert --package toy-divert --add --rename --divert /etc/issue.toy /etc/issue")
}

fn trigger() -> Package {
    let script = "if [ \"$1\" = triggered ]; then\n    mkdir -p /var/lib/toy-trigger\n    echo \"$2\" > /var/lib/toy-trigger/seen\nfi";
    Package::new("toy-trigger", "1.0")
        .needs("toy-base, toy-tools")
        .control("triggers", 0o644, "interest /usr/share/toy-fonts\n")
        .script("postinst", script)
}

fn fonts() -> Package {
    Package::new("toy-fonts", "2:1.0-1").needs("toy-base").file(
        "usr/share/toy-fonts/round.ttf",
        0o644,
        "not really a font\n",
    )
}

/// Hard links, a setuid program, a file capability, links of all kinds, and names that need care.
fn links() -> Package {
    // VFS_CAP_REVISION_2 with CAP_NET_BIND_SERVICE permitted and effective (linux/capability.h).
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut capable = Node::file(0o755, "bind\n");
    capable.meta.xattrs.insert(b"security.capability".to_vec(), capability.to_vec());
    let mut owned = Node::file(0o640, "owned\n");
    (owned.meta.uid, owned.meta.gid) = (65534, 65534);
    Package::new("toy-links", "1.0")
        .needs("toy-base")
        .file("usr/lib/toy/first", 0o644, "one inode\n")
        .hard_link("usr/lib/toy/second", "usr/lib/toy/first", 0o644)
        .hard_link("usr/lib/toy/third", "usr/lib/toy/first", 0o644)
        .file("usr/bin/toy-su", 0o4755, "setuid\n")
        .node("usr/bin/toy-bind", capable)
        .node("usr/lib/toy/owned", owned)
        .link("usr/lib/toy/absolute", "/usr/lib/toy/first")
        .link("usr/lib/toy/relative", "first")
        .link("usr/lib/toy/dangling", "/nowhere/at/all")
        .link("usr/lib/toy/long", &format!("/{}", "a-long-target/".repeat(12)))
        .file("usr/lib/toy/with space", 0o644, "")
        .file("usr/lib/toy/ünïcode", 0o644, "u\n")
        .packed(Packing::Gzip)
}

fn many() -> Package {
    (0..3000).fold(Package::new("toy-many", "1.0").needs("toy-base"), |package, n| {
        package.file(&format!("usr/share/toy-many/{:02}/file-{n:04}", n % 7), 0o644, format!("file {n}\n"))
    })
}

/// A file that is mostly holes, and one that is not.
fn large() -> Package {
    let mut sparse = vec![0u8; 24 << 20];
    for at in [0, 5 << 20, (17 << 20) + 4095, (24 << 20) - 1] {
        sparse[at] = b'x';
    }
    let mut state = 12345u32;
    let noise: Vec<u8> = (0..(1 << 20))
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    Package::new("toy-large", "1.0").needs("toy-base").file("usr/share/toy-large/sparse", 0o644, sparse).file(
        "usr/share/toy-large/noise",
        0o644,
        noise,
    )
}

/// A shell that runs: this host's static busybox under all its names. It stands in for the tools too.
pub fn shell(busybox: Vec<u8>) -> Package {
    let package = Package::new("toy-shell", "1.0").needs("toy-base").file("usr/bin/busybox", 0o755, busybox);
    APPLETS.split_whitespace().fold(package, |package, name| package.link(&format!("usr/bin/{name}"), "busybox"))
}
