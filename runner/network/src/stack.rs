//! What happens with a frame of the inside: it is answered here, belongs to a connection, or asks for one, which is judged.
//! No clock, no wire: times are arguments, and frames come and go as bytes.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use nix::poll::PollFlags;

use crate::dial::Line;
use crate::dns::{Answer, Question};
use crate::names::Names;
use crate::outbox::Outbox;
use crate::packets::{self, Head, Incoming, Key, Unreachable};
use crate::resolver::Resolver;
use crate::rules::{Known, Permit, Refusal};
use crate::tcp::{ROOM, Tcp};
use crate::udp::Udp;
use crate::world::World;
use crate::{ADDRESSES, Counts, Event, Protocol, Rules};

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// Questions that wait for a lookup.
const MAX_QUESTIONS: usize = 64;

/// Different events of a kind that are told; later ones are only counted.
const MAX_TOLD: usize = 256;

/// Frames that may come in one turn: there is room for an answer to each.
const TURN: usize = 64;

/// What was told: what was allowed never takes the place of what was not, nor do lookups that failed.
#[derive(Default)]
struct Told {
    allowed: BTreeSet<String>,
    denied: BTreeSet<String>,
    lookups: BTreeSet<String>,
}

/// The stack of one wire.
pub struct Stack<W> {
    rules: Rules,
    world: W,
    names: Names,
    tcp: Tcp,
    udp: Udp,
    resolver: Resolver,
    questions: Vec<(Key, Question)>,
    out: Outbox,
    told: Told,
    events: Vec<Event>,
    counts: Counts,
}

/// Something of the host that the stack waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    Lookup,
    Tcp(Key),
    Udp(Key),
}

impl<W: World> Stack<W> {
    /// A stack without connections.
    ///
    /// # Errors
    /// If the system gives no socket pair.
    pub fn new(rules: Rules, world: W) -> io::Result<Self> {
        Ok(Self {
            rules,
            names: Names::default(),
            tcp: Tcp::new(),
            udp: Udp::default(),
            resolver: Resolver::new(world.resolver())?,
            questions: Vec::new(),
            out: Outbox::default(),
            told: Told::default(),
            events: Vec::new(),
            counts: Counts::default(),
            world,
        })
    }

    /// Takes a frame of the inside. Without room for its answers it is lost: ask [`Stack::takes_frames`] before.
    pub fn frame(&mut self, frame: &[u8], now_ms: u64) {
        self.counts.frames_in += 1;
        match packets::read(frame) {
            _ if !self.has_room() => self.counts.dropped += 1,
            Some(Incoming::WhoIsTheGateway) => packets::i_am_the_gateway(&mut self.out),
            Some(Incoming::Echo(ident, seq_no, data)) => packets::echo(&mut self.out, ident, seq_no, data),
            Some(Incoming::Tcp(segment)) if segment.opens && !self.tcp.knows(&segment.head.key) => {
                self.open(&segment.head, segment.packet, now_ms);
            }
            Some(Incoming::Tcp(segment)) => self.tcp.packet(&segment.head, segment.packet, &mut self.out, now_ms),
            Some(Incoming::Udp(head, payload)) if is_name_server(&head.key) => self.question(&head, payload),
            Some(Incoming::Udp(head, payload)) => self.datagram(&head, payload, now_ms),
            None => self.counts.dropped += 1,
        }
    }

    /// Whether there is room for the answers to the frames of a turn.
    pub fn takes_frames(&self) -> bool {
        self.out.has_room(TURN)
    }

    fn has_room(&self) -> bool {
        self.out.has_room(ROOM)
    }

    /// Does everything that can be done without a frame: answers of the host, lookups, times.
    pub fn work(&mut self, now_ms: u64) {
        for found in self.resolver.take() {
            self.found(&found.name, found.addresses, now_ms);
        }
        self.tcp.work(&mut self.out, now_ms);
        self.counts.dropped += self.udp.work(&mut self.out, now_ms);
    }

    /// Takes what there is to tell.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        Counts { frames_out: self.out.frames(), ..self.counts }
    }

    /// The frames for the inside, each after its length.
    pub fn waiting(&self) -> &[u8] {
        self.out.waiting()
    }

    pub(crate) fn out(&mut self) -> &mut Outbox {
        &mut self.out
    }

    /// What the stack waits for on the host's side.
    pub(crate) fn waits<'a>(&'a self, mut add: impl FnMut(Waits, BorrowedFd<'a>, PollFlags)) {
        add(Waits::Lookup, self.resolver.bell(), PollFlags::POLLIN);
        self.tcp.waits(|key, line, flags| add(Waits::Tcp(key), line, flags));
        self.udp.waits(|key, line| add(Waits::Udp(key), line, PollFlags::POLLIN));
    }

    pub(crate) fn ready(&mut self, what: Waits, flags: PollFlags) {
        match what {
            Waits::Lookup => {}
            Waits::Tcp(key) => self.tcp.ready(&key, flags),
            Waits::Udp(key) => self.udp.ready(&key),
        }
    }

    /// In how many milliseconds there is work though nothing comes. None if there is none. Without room for frames only
    /// the wire itself brings work.
    pub(crate) fn due_in_ms(&mut self, now_ms: u64) -> Option<u64> {
        if !self.has_room() {
            return None;
        }
        let answers = self.udp.has_answers().then_some(0);
        [answers, self.tcp.due_in_ms(now_ms), self.udp.due_in_ms(now_ms)].into_iter().flatten().min()
    }

    fn open(&mut self, head: &Head, packet: &[u8], now_ms: u64) {
        if self.tcp.is_full() {
            self.counts.crowded += 1;
            return self.tcp.packet(head, packet, &mut self.out, now_ms);
        }
        if let Some(Line::Tcp(line)) = self.dial(head, Protocol::Tcp, now_ms) {
            self.tcp.dialled(*head, packet, line, now_ms);
        }
    }

    fn datagram(&mut self, head: &Head, payload: &[u8], now_ms: u64) {
        if !self.udp.knows(&head.key)
            && let Some(Line::Udp(line)) = self.dial(head, Protocol::Udp, now_ms)
        {
            self.counts.crowded += u64::from(self.udp.opened(*head, line, now_ms));
        }
        if self.udp.knows(&head.key) && !self.udp.send(&head.key, payload, &mut self.out, now_ms) {
            self.counts.dropped += 1;
        }
    }

    /// A socket to where the packet wants to go, if that is allowed; otherwise the inside is told.
    fn dial(&mut self, head: &Head, protocol: Protocol, now_ms: u64) -> Option<Line> {
        let permit = self.judge(head, protocol, now_ms)?;
        self.counts.allowed += 1;
        self.names.dialled(permit.destination().ip(), now_ms);
        let line = self.world.dial(permit);
        if let Err(error) = &line {
            packets::unreachable(&mut self.out, head, Unreachable::of(error.kind()));
        }
        line.ok()
    }

    fn judge(&mut self, head: &Head, protocol: Protocol, now_ms: u64) -> Option<Permit> {
        let destination = SocketAddr::V4(head.key.destination);
        let names = self.names.of(destination.ip(), now_ms);
        let name = names.first().map(|name| (*name).to_owned());
        let verdict = match self.world.own_addresses(destination.ip()) {
            Ok(own) => self.rules.judge(destination, protocol, Known { own: &own, names: &names }),
            // What cannot be judged is refused.
            Err(error) => Err(Refusal::unknown(&error)),
        };
        match verdict {
            Ok(permit) => {
                let rule = permit.rule().to_owned();
                self.tell(Event::Allowed { destination, protocol, name, rule });
                Some(permit)
            }
            Err(refusal) => {
                self.counts.denied += 1;
                let rule = refusal.rule().to_owned();
                self.tell(Event::Denied { destination, protocol, name, rule });
                packets::unreachable(&mut self.out, head, Unreachable::Forbidden);
                None
            }
        }
    }

    fn question(&mut self, head: &Head, datagram: &[u8]) {
        let Some(question) = Question::read(datagram) else {
            self.counts.dropped += 1;
            return;
        };
        if !self.rules.lists_name(question.name()) {
            self.counts.unlisted_names += 1;
            self.tell(Event::UnlistedName { name: question.name().to_owned() });
            return self.answer(&head.key, &question, &Answer::NoSuchName);
        }
        if !question.wants_ipv4() {
            return self.answer(&head.key, &question, &Answer::Addresses(&[]));
        }
        let is_asked = self.questions.iter().any(|(_, other)| other.name() == question.name());
        let fits = self.questions.len() < MAX_QUESTIONS;
        if fits && (is_asked || self.resolver.ask(question.name())) {
            self.questions.push((head.key, question));
        } else {
            self.counts.crowded += 1;
            self.answer(&head.key, &question, &Answer::Failed);
        }
    }

    fn found(&mut self, name: &str, addresses: io::Result<Vec<IpAddr>>, now_ms: u64) {
        let addresses = match addresses {
            Ok(all) => self.reachable(name, &all),
            Err(error) => {
                let why = error.to_string();
                let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why).to_owned();
                self.tell(Event::LookupFailed { name: name.to_owned(), why });
                None
            }
        };
        for address in addresses.iter().flatten() {
            self.names.gave(IpAddr::V4(*address), name, now_ms);
        }
        let asked: Vec<_> = self.questions.extract_if(.., |(_, question)| question.name() == name).collect();
        for (key, question) in asked {
            match &addresses {
                Some(addresses) => {
                    self.counts.names += 1;
                    self.answer(&key, &question, &Answer::Addresses(addresses));
                }
                None => self.answer(&key, &question, &Answer::Failed),
            }
        }
    }

    /// Those of a name's addresses that the inside may know: the inside's own loopback address, say, would lead it to itself.
    /// `None` where it leads to none but such.
    fn reachable(&mut self, name: &str, addresses: &[IpAddr]) -> Option<Vec<Ipv4Addr>> {
        let mut reachable = Vec::new();
        let mut is_misled = false;
        for four in addresses.iter().filter_map(four) {
            let address = IpAddr::V4(four);
            // Where the host does not know its own addresses, what is dialled is refused.
            let own = self.world.own_addresses(address).unwrap_or_default();
            match Rules::never(address, &own) {
                Some(rule) => {
                    is_misled = true;
                    self.tell(Event::Misled { name: name.to_owned(), address, rule: rule.to_owned() });
                }
                None => reachable.push(four),
            }
        }
        (!is_misled || !reachable.is_empty()).then_some(reachable)
    }

    fn answer(&mut self, key: &Key, question: &Question, answer: &Answer<'_>) {
        if self.out.has_room(1) {
            packets::datagram(&mut self.out, key, &question.answer(answer));
        }
    }

    fn tell(&mut self, event: Event) {
        let (told, what) = match &event {
            Event::Allowed { .. } | Event::Enough { .. } => (&mut self.told.allowed, None),
            Event::LookupFailed { .. } => (&mut self.told.lookups, Some("failed lookups")),
            _ => (&mut self.told.denied, Some("refusals")),
        };
        let once = match &event {
            Event::LookupFailed { name, .. } => name.clone(),
            other => other.to_string(),
        };
        if told.len() < MAX_TOLD && told.insert(once) {
            let last = what.filter(|_| told.len() == MAX_TOLD).map(|what| Event::Enough { what });
            self.events.push(event);
            self.events.extend(last);
        }
    }
}

/// The IPv4 address that this is, or that it stands for.
fn four(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(four) => Some(*four),
        IpAddr::V6(six) => six.to_ipv4_mapped(),
    }
}

fn is_name_server(key: &Key) -> bool {
    *key.destination.ip() == ADDRESSES.dns() && key.destination.port() == DNS_PORT
}
