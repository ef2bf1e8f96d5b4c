//! What the TCP engine takes for its network card: at most one packet to read, and the outbox to write to.

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetProtocol;

use super::ROOM;
use crate::MTU;
use crate::outbox::Outbox;
use crate::packets;

/// A card for one step.
pub(super) struct Device<'a> {
    out: &'a mut Outbox,
    packet: Option<&'a [u8]>,
}

impl<'a> Device<'a> {
    pub(super) fn new(out: &'a mut Outbox, packet: Option<&'a [u8]>) -> Self {
        Self { out, packet }
    }
}

/// A packet that came.
pub(super) struct Came<'a>(&'a [u8]);

/// Room for a packet that goes.
pub(super) struct Goes<'a>(&'a mut Outbox);

impl phy::Device for Device<'_> {
    type RxToken<'a>
        = Came<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Goes<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Came<'_>, Goes<'_>)> {
        let packet = self.packet.take()?;
        Some((Came(packet), Goes(self.out)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Goes<'_>> {
        self.out.has_room(ROOM).then_some(Goes(self.out))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

fn capabilities() -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ip;
    capabilities.max_transmission_unit = MTU;
    capabilities
}

impl phy::RxToken for Came<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl phy::TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        packets::frame(self.0, EthernetProtocol::Ipv4, length, write)
    }
}

/// A card that nothing comes from and nothing goes to: the engine asks one for its capabilities when it is made.
pub(super) struct Silent;

impl phy::Device for Silent {
    type RxToken<'a> = Came<'a>;
    type TxToken<'a> = Goes<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Came<'_>, Goes<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Goes<'_>> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}
