//! What an instance reaches, and what reaches it.

use bundle::plan::{Network, NetworkMode, Open, Port};
use spec::appliance as declared;

pub(crate) fn network(wanted: &declared::Network) -> Network {
    Network {
        mode: match wanted.mode {
            declared::NetworkMode::None => NetworkMode::None,
            declared::NetworkMode::Outbound => NetworkMode::Outbound,
            declared::NetworkMode::Full => NetworkMode::Full,
        },
        allow: wanted.allow.clone(),
        ports: wanted.ports.iter().map(|port| Port { port: port.port, name: port.name.clone() }).collect(),
    }
}

pub(crate) fn open(open: &declared::Open) -> Open {
    Open { name: open.name.clone(), scheme: open.scheme.clone(), port: open.port }
}
