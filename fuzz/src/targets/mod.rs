//! One function for each reader of foreign bytes. Any bytes go in; what must never happen is a panic, a hang, or the
//! breach of the property that the function asserts. What comes back is whether the input was understood, so
//! that the smoke test can tell seeds that reach deep from seeds that have rotted.

mod alpine;
mod archives;
mod assembling;
mod boot;
mod bundles;
mod channel;
mod debian;
mod disks;
mod documents;
mod ext4;
mod images;
mod layers;
mod pieces;
mod qmp;
mod scripts;
mod specs;
mod stored;
mod wire;

/// A target: its name, also that of its folder below `seeds/`, its body, and how many mutations the smoke test tries.
pub type Target = (&'static str, fn(&[u8]) -> bool, u32);

/// Every target, in the order of the stages that read such bytes.
pub const ALL: &[Target] = &[
    ("spec", specs::spec, 1200),
    ("base", specs::base, 600),
    ("control", debian::control, 3000),
    ("release", debian::release, 1500),
    ("catalog", debian::catalog, 1200),
    ("lock", debian::lock, 600),
    ("apt_sources", stored::apt_sources, 3000),
    ("decoded", stored::decoded, 3000),
    ("tree_dump", stored::tree_dump, 3000),
    ("ar", archives::ar, 3000),
    ("tar", archives::tar, 3000),
    ("compression", archives::compression, 2000),
    ("deb", archives::deb, 1500),
    ("apk", alpine::apk, 1500),
    ("apk_index", alpine::index, 1500),
    ("apk_text", alpine::text, 3000),
    ("shell_parse", scripts::parse, 3000),
    ("shell_run", scripts::run, 2000),
    ("assemble", assembling::assemble, 300),
    ("ext4", ext4::ext4, 200),
    ("qcow2", disks::qcow2, 2000),
    ("cpio", boot::cpio, 3000),
    ("kernel", boot::kernel, 500),
    ("kmod", boot::kmod, 2000),
    ("pe", boot::pe, 1500),
    ("certificate", boot::certificate, 3000),
    ("command_line", boot::command_line, 3000),
    ("documents", documents::documents, 3000),
    ("bundle", bundles::bundle, 500),
    ("seccomp", bundles::seccomp, 150),
    ("layer", layers::layer, 500),
    ("image_layers", images::image_layers, 1500),
    ("image_documents", images::image_documents, 3000),
    ("image_reference", images::image_reference, 3000),
    ("registry_texts", images::registry_texts, 3000),
    ("installed", images::installed, 3000),
    ("channel", channel::channel, 3000),
    ("qmp", qmp::qmp, 3000),
    ("wire", wire::wire, 1500),
];

/// Runs the target of this name and says whether it understood the input.
///
/// # Panics
/// When there is none, and when the target finds something.
pub fn run(name: &str, data: &[u8]) -> bool {
    let (_, body, _) = ALL.iter().find(|(known, ..)| *known == name).expect("the target has a row in ALL");
    body(data)
}
