//! Exactly which modules of Debian's cloud kernel each platform gets, in load order.

use std::fs;
use std::path::Path;

use assemble::kernel::{Machines, Platform, RootType, plan_modules};
use tree::NoBlobs;

use crate::kernel;
use crate::support::skip;

/// The modules for each platform with a network, in load order; in brackets what the kernel has built in of what was asked
/// for, and behind it what would be of use and is not there.
const LISTING: &str = "tests/golden/initial-file-systems.txt";

#[test]
fn each_platform_gets_exactly_its_modules() {
    let test = "each_platform_gets_exactly_its_modules";
    let debian = match kernel::debian() {
        Ok(debian) => debian,
        Err(reason) => return skip(test, &format!("there is no Debian kernel: {reason}")),
    };
    let line = |platform: Platform, root, network| {
        let plan = plan_modules(debian, Machines { platforms: &[platform], root, network }, &NoBlobs);
        let plan = match plan {
            Ok(plan) => plan,
            Err(problem) => return format!("{platform}: {problem}\n").replace(&debian.release, "RELEASE"),
        };
        let names: Vec<&str> = plan.load.iter().map(|module| module.name.as_str()).collect();
        format!("{platform}: {} [{}] {}\n", names.join(" "), plan.builtin.join(" "), plan.absent.join(", "))
    };
    let mut listing: String = Platform::ALL.iter().map(|platform| line(*platform, RootType::Ext4, true)).collect();
    for (root, network) in [(RootType::Ext4, false), (RootType::Erofs, false), (RootType::Squashfs, false)] {
        listing += &format!("{root:?} without a network, {}", line(Platform::QemuMicrovm, root, network));
    }
    let listing = listing.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LISTING);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &listing).unwrap();
    }
    assert_eq!(listing, fs::read_to_string(&path).unwrap(), "UPDATE_GOLDEN=1 renews {LISTING}");
}
