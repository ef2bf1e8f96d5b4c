//! Storage that outlives an instance.

use super::Body;
use crate::appliance::{Appliance, Volume};
use crate::explain::{BUILT_IN, Page};
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};
use crate::units::size_text;

/// `volume`
pub(crate) const VOLUME: NodeRule = NodeRule {
    name: "volume",
    doc: "Storage that outlives an instance; everything else that is written is gone at stop. It lives below the user's data folder (`~/.local/share/appliance/volumes`), by the names of appliance and volume; `appliance volume ls` shows it, `appliance volume rm` removes it. Containers have a folder and machines a disk, each with its own content: what one has written the other does not see. An empty volume takes owner and mode of the folder at its path, and nothing of what is in it: give them with `dir`.",
    args: &[ArgRule::one("the name", Kind::Name)],
    props: &[
        PropRule::new("at", Kind::Path, "where it is inside").required(),
        PropRule::new("size", Kind::Size, "most that it may hold").default("no limit"),
    ],
    occurs: Occurs::Named,
    example: "volume \"models\" at=\"/models\" size=\"20GiB\"",
    ..NodeRule::EMPTY
};

/// Decodes the volumes.
pub(crate) fn decode(body: Body<'_>) -> Vec<Volume> {
    let volume = |item: &crate::item::Item| {
        Some(Volume { name: item.arg(0)?.to_owned(), at: item.text("at")?.to_owned(), size_bytes: item.number("size") })
    };
    body.all("volume").filter_map(volume).collect()
}

/// Prints the volumes.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    for volume in &appliance.volumes {
        let size = volume.size_bytes.map(size_text);
        page.node("volume", &format!("volume {}", volume.name), BUILT_IN)
            .arg(&volume.name)
            .prop("at", &volume.at, BUILT_IN)
            .maybe("size", size.as_deref())
            .end();
    }
}
