//! The supervisor's desk: the socket where commands come in, what each of them is owed, and what the instance printed.
//!
//! Nothing here waits. The supervisor says what is ready and does what comes back as wanted.

use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use bundle::channel::{Event, Happening, Session};
use host::{Interest, Ready};

use super::client::Client;
use super::kept::Kept;
use super::relay::Relay;
use super::spool::Spool;
use crate::memory::OutOfMemory;

use super::{Ask, EndedInstance, Info, Killed, MachineLost, SOCKET, State, Stop};

/// Commands that are heard at once.
const MAX_CLIENTS: usize = 256;

/// Further ones that may only ask what ends an instance or what one is; even more have to wait.
const MAX_SURPLUS: usize = 64;

/// Bytes taken at a time of what was printed.
const PRINTED_BYTES: usize = 16 * 1024;

/// Reads that empty a pipe, whose size is 64 KiB (pipe(7)); each may give as little as a page where pages were not filled.
const PIPE_READS: usize = 16;

/// How long commands get to take their last answers.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a command wants of the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Stop in order.
    Stop {
        /// Milliseconds until the kill, if not the plan's.
        within_ms: Option<u64>,
    },
    /// Send PID 1 this signal.
    Signal(i32),
    /// Let a machine stand still, or go on.
    Pause(bool),
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    listener: UnixListener,
    clients: Vec<Client>,
    next_client: u64,
    relay: Relay,
    info: Info,
    /// What the instance prints, where it is kept: standard output and standard error.
    printed: [Option<File>; 2],
    kept: Kept,
    /// The same in a file, where it is kept.
    spool: Option<Spool>,
    wanted: Vec<Wanted>,
    /// What the guest told of memory that ran out.
    told: Option<OutOfMemory>,
    /// There was a guest: where none is any more, the instance is about to end.
    had_guest: bool,
    /// What did not end when it was asked to.
    killed: Vec<Killed>,
    /// Who waits for a machine to stand still (true), or to go on.
    pausing: Option<(bool, Vec<(u64, u32)>)>,
    /// How the machine was lost, if it was.
    machine_lost: Option<MachineLost>,
}

impl Desk {
    /// Opens the desk in the instance's folder, for this user alone; `printed` is what the instance prints, where that is kept.
    pub fn open(folder: &Path, info: Info, printed: Option<[File; 2]>) -> io::Result<Self> {
        // By way of the folder's descriptor a path of any length fits the address of a socket.
        let at = File::open(folder)?;
        let path = host::fd_path(&at).join(SOCKET);
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let spool = printed.as_ref().map(|_| Spool::begin(folder)).transpose()?;
        let printed = printed.map_or([None, None], |files| files.map(Some));
        let (relay, kept) = (Relay::default(), Kept::default());
        let (clients, wanted) = (Vec::new(), Vec::new());
        Ok(Self {
            listener,
            clients,
            next_client: 0,
            relay,
            info,
            printed,
            kept,
            spool,
            wanted,
            told: None,
            had_guest: false,
            killed: Vec::new(),
            pausing: None,
            machine_lost: None,
        })
    }

    /// PID 1 runs.
    pub fn started(&mut self, pid: i32, start_time: u64) {
        (self.info.pid, self.info.start_time) = (pid, start_time);
    }

    /// The instance is being stopped; so much is known of what that waits for.
    pub fn stopping(&mut self, stop: Stop) {
        self.info.state = State::Stopping;
        self.info.stop = Some(stop);
    }

    /// Something did not end when it was asked to.
    pub fn killed(&mut self, services: Vec<String>, within_ms: Option<u64>) {
        if services.is_empty() && self.killed.is_empty() {
            self.killed.push(Killed { service: None, within_ms });
        }
        // The guest and the supervisor may both have lost patience.
        for service in services.into_iter().map(Some) {
            if self.killed.iter().all(|killed| killed.service != service) {
                self.killed.push(Killed { service, within_ms });
            }
        }
    }

    /// The machine ended although nobody had asked for that.
    pub fn machine_lost(&mut self, lost: MachineLost) {
        self.machine_lost = Some(lost);
    }

    /// How the machine was lost, if it was.
    pub fn lost_machine(&self) -> Option<MachineLost> {
        self.machine_lost.clone()
    }

    /// What did not end when it was asked to.
    pub fn all_killed(&self) -> Vec<Killed> {
        self.killed.clone()
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Keeps a line of the supervisor's own, as the guest would say it.
    pub fn say(&mut self, words: &str) {
        if self.info.about.detached {
            self.keep(true, format!("appliance: {words}\n").as_bytes());
        }
    }

    /// A machine stands still, or goes on, whoever wanted that.
    pub fn stands(&mut self, still: bool) {
        self.info.state = match (still, self.info.state) {
            (true, State::Ready) => State::Paused,
            (false, State::Paused) => State::Ready,
            (_, other) => other,
        };
    }

    /// An order to pause or resume was taken, or refused for a reason: whoever wanted it is told.
    pub fn paused(&mut self, is_pause: bool, result: &Result<(), String>) {
        if result.is_ok() {
            self.stands(is_pause);
        }
        let what = if is_pause { "pause" } else { "resume" };
        let Some((_, waiting)) = self.pausing.take_if(|(wanted, _)| *wanted == is_pause) else { return };
        for (number, stream) in waiting {
            let Some(client) = self.clients.iter_mut().find(|client| client.number == number) else { continue };
            match result {
                Ok(()) => client.done(stream),
                Err(why) => client.refuse(stream, &format!("{what} {}: {why}", self.info.name)),
            }
        }
    }

    /// The guest says something.
    pub fn hear(&mut self, event: &Event) {
        if *event == Event::Ready && self.info.state == State::Starting {
            self.info.state = State::Ready;
        }
        if let Event::Killed { name, within_ms } = event {
            self.killed(vec![name.clone()], *within_ms);
        }
        if let Event::MainEnded { .. } | Event::Failed { .. } = event {
            self.info.state = State::Stopping;
        }
        if let Event::OutOfMemory { limit_bytes, .. } = event {
            let kills = self.told.map_or(0, |told| told.kills) + 1;
            self.told = Some(OutOfMemory { kills, limit_bytes: *limit_bytes });
        }
    }

    /// What the kernel killed because memory ran out: by the count of its control groups, else by what the guest told.
    pub fn out_of_memory(&self) -> Option<OutOfMemory> {
        OutOfMemory::look(&self.info.groups).or(self.told)
    }

    /// Keeps a line that the guest had no time to say, as it would have said it; none that it said.
    pub fn say_untold(&mut self, out_of_memory: OutOfMemory) -> bool {
        let is_untold = self.told.is_none_or(|told| told.kills < out_of_memory.kills);
        if is_untold {
            self.keep(true, format!("appliance: memory ran out: {out_of_memory}\n").as_bytes());
        }
        is_untold
    }

    /// Everything to wait for, in the order in which [`Desk::advance`] takes the answers.
    pub fn interests(&self) -> Vec<Interest<'_>> {
        let read = |fd, wanted| Interest { fd, read: wanted, write: false };
        let mut all = vec![read(self.listener.as_fd(), self.clients.len() < MAX_CLIENTS + MAX_SURPLUS)];
        // An absent one stands in as the listener, not asked for anything.
        all.extend(self.printed.iter().map(|file| match file {
            Some(file) => read(file.as_fd(), true),
            None => read(self.listener.as_fd(), false),
        }));
        all.extend(self.clients.iter().map(|client| Interest {
            fd: client.socket.as_fd(),
            read: true,
            write: !client.session.output().is_empty(),
        }));
        all
    }

    /// Goes on with what is ready; `guest` is the session with the guest, while there is one.
    pub fn advance(&mut self, ready: &[Ready], mut guest: Option<&mut Session>) -> Vec<Wanted> {
        self.had_guest |= guest.is_some();
        let is_ready = |place: usize| ready.get(place).is_some_and(|one| one.read);
        let readable: Vec<usize> = (0..self.clients.len()).filter(|place| is_ready(place + 3)).collect();
        for (place, is_error) in [(0, false), (1, true)] {
            if is_ready(place + 1) {
                self.print(place, is_error);
            }
        }
        for place in readable {
            self.receive(place, guest.as_deref_mut());
        }
        if is_ready(0) {
            self.accept();
        }
        self.pump(guest);
        std::mem::take(&mut self.wanted)
    }

    /// What came from the guest on streams that are not the supervisor's own.
    pub fn hear_streams(&mut self, happenings: Vec<Happening>) {
        let (relay, clients) = (&mut self.relay, &mut self.clients);
        for happening in happenings {
            relay.inside_says(&mut |number, act| with_client(clients, number, act), happening);
        }
    }

    /// Moves everything that can be moved.
    pub fn pump(&mut self, guest: Option<&mut Session>) {
        let (relay, clients) = (&mut self.relay, &mut self.clients);
        match guest {
            Some(guest) => {
                relay.pump(guest, &mut |number, act| with_client(clients, number, act));
                let gone = clients.iter().filter(|client| client.gone);
                gone.for_each(|client| relay.forget(Some(guest), client.number));
            }
            None => relay.clear(&mut |number, act| with_client(clients, number, act)),
        }
        for client in clients.iter_mut() {
            client.read_out(&self.kept, false);
            client.flush();
        }
        clients.retain(|client| !client.gone);
    }

    /// Takes what was printed before now, which is never more than pipes hold.
    pub fn drain(&mut self) {
        let readable = |file: &File| {
            host::poll(&[Interest { fd: file.as_fd(), read: true, write: false }], Some(0))
                .is_ok_and(|ready| ready.first().is_some_and(|one| one.read))
        };
        for (place, is_error) in [(0, false), (1, true)] {
            for _ in 0..PIPE_READS {
                if self.printed.get(place).and_then(Option::as_ref).is_some_and(readable) {
                    self.print(place, is_error);
                }
            }
        }
    }

    /// What is kept of what was printed, as pieces.
    pub fn printed(&self) -> Vec<u8> {
        self.kept.as_pieces()
    }

    /// The position of its first byte, counted from the very first one that was printed.
    pub fn printed_from(&self) -> u64 {
        self.kept.first()
    }

    /// Tells everyone who waits, hears those who came too late, and lets the last answers out.
    pub fn close(mut self, ended: &EndedInstance) {
        self.pump(None);
        let answer = to_json(ended);
        for client in &mut self.clients {
            for stream in std::mem::take(&mut client.waits) {
                let _ = client.session.answer(stream, answer.clone(), false);
            }
        }
        let begun = Instant::now();
        while begun.elapsed() < FAREWELL {
            while self.accept() {}
            for client in &mut self.clients {
                client.read_out(&self.kept, true);
                client.flush();
                client.gone |= client.has_asked && client.session.output().is_empty() && client.readers.is_empty();
            }
            self.clients.retain(|client| !client.gone);
            if self.clients.is_empty() {
                return;
            }
            let ready = host::poll(&self.interests(), Some(20)).unwrap_or_default();
            for (place, _) in ready.iter().skip(3).enumerate().filter(|(_, ready)| ready.read) {
                self.receive_late(place, &answer);
            }
        }
    }

    /// What a command says after the end: it may still want to know how that was, and what was printed.
    fn receive_late(&mut self, place: usize, ended: &str) {
        let Some(client) = self.clients.get_mut(place) else { return };
        for happening in client.receive() {
            let Happening::Asked { stream, json } = happening else { continue };
            client.has_asked = true;
            match serde_json::from_str(&json) {
                Ok(Ask::Wait) => drop(client.session.answer(stream, ended.to_owned(), false)),
                Ok(Ask::Logs { tail, follow }) if self.info.about.detached => {
                    client.begin_reading(&self.kept, stream, tail, follow);
                }
                // It has ended, which its command finds out now.
                _ => client.session.reset(stream),
            }
        }
    }

    fn print(&mut self, place: usize, is_error: bool) {
        let Some(slot) = self.printed.get_mut(place) else { return };
        let mut chunk = [0u8; PRINTED_BYTES];
        match slot.as_mut().map(|file| file.read(&mut chunk)) {
            Some(Ok(count @ 1..)) => self.keep(is_error, chunk.get(..count).unwrap_or_default()),
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => *slot = None,
        }
    }

    fn keep(&mut self, is_error: bool, bytes: &[u8]) {
        self.kept.push(is_error, bytes);
        self.spool.iter_mut().for_each(|spool| spool.push(is_error, bytes));
    }

    /// Lets the next command in; `false` where none waits.
    fn accept(&mut self) -> bool {
        let Ok((socket, _)) = self.listener.accept() else { return false };
        if socket.set_nonblocking(true).is_ok() {
            let is_surplus = self.clients.len() >= MAX_CLIENTS;
            self.clients.push(Client::new(self.next_client, socket, is_surplus));
            self.next_client += 1;
        }
        true
    }

    fn receive(&mut self, place: usize, mut guest: Option<&mut Session>) {
        let Some(client) = self.clients.get_mut(place) else { return };
        let number = client.number;
        for happening in client.receive() {
            match (happening, guest.as_deref_mut()) {
                (Happening::Asked { stream, json }, guest) => self.asked(place, stream, json, guest),
                (Happening::Finished(stream) | Happening::Reset(stream), _) if self.forget_stream(place, stream) => {}
                (Happening::OpenPort { stream, .. }, _) => {
                    if let Some(client) = self.clients.get_mut(place) {
                        client.session.reset(stream);
                    }
                }
                (happening, Some(guest)) => self.relay.outside_says(guest, number, happening),
                _ => {}
            }
        }
    }

    /// The command no longer wants what was printed, or the end.
    fn forget_stream(&mut self, place: usize, stream: u32) -> bool {
        let Some(client) = self.clients.get_mut(place) else { return false };
        let before = client.readers.len() + client.waits.len();
        client.readers.retain(|reader| reader.stream != stream);
        client.waits.retain(|wait| *wait != stream);
        client.readers.len() + client.waits.len() < before
    }

    /// Whether nothing inside can answer: a machine stands still with its guest, a container without.
    pub fn stands_still(&self) -> bool {
        self.info.machine && self.info.state == State::Paused
    }

    fn asked(&mut self, place: usize, stream: u32, json: String, guest: Option<&mut Session>) {
        let ask = serde_json::from_str::<Ask>(&json);
        if matches!(ask, Ok(Ask::Logs { .. })) {
            self.drain();
        }
        let out_of_memory = self.out_of_memory();
        let Some(client) = self.clients.get_mut(place) else { return };
        client.has_asked = true;
        match ask {
            Ok(Ask::Info) => {
                let info = Info { out_of_memory, ..self.info.clone() };
                let _ = client.session.answer(stream, to_json(&info), false);
            }
            Ok(Ask::Stop { within_ms }) => {
                self.wanted.push(Wanted::Stop { within_ms });
                client.done(stream);
            }
            Ok(Ask::Signal { number }) => {
                self.wanted.push(Wanted::Signal(number));
                client.done(stream);
            }
            _ if client.is_surplus => client.refuse(
                stream,
                &format!("talk to the instance: {MAX_CLIENTS} commands do, which is the most at once; wait until one has ended"),
            ),
            Ok(Ask::Logs { .. }) if !self.info.about.detached => client.refuse(
                stream,
                "show what it prints: that goes to where it was started, since it was not started with -d",
            ),
            Ok(Ask::Logs { tail, follow }) => client.begin_reading(&self.kept, stream, tail, follow),
            Ok(Ask::Wait) => client.waits.push(stream),
            Err(_) => self.pass_on(place, stream, json, guest),
        }
    }

    /// What is not for the supervisor is for the guest.
    fn pass_on(&mut self, place: usize, stream: u32, json: String, guest: Option<&mut Session>) {
        let stands_still = self.stands_still();
        let (name, state) = (self.info.name.as_str(), self.info.state);
        let Some(client) = self.clients.get_mut(place) else { return };
        match (guest, pauses(&json)) {
            // What asks now asks an instance that is about to end.
            (None, _) if self.had_guest => client.session.reset(stream),
            (None, _) => {
                client.refuse(stream, &format!("ask {name} for this: there is no guest in it that could do it"))
            }
            (Some(_), Some(pause)) if matches!(state, State::Starting | State::Stopping) => {
                let what = if pause { "pause" } else { "resume" };
                let does = if state == State::Starting { "starting" } else { "stopping" };
                client.refuse(stream, &format!("{what} {name}: it is {does}"));
            }
            (Some(_), None) if stands_still => client.stands_still(stream),
            (Some(_), Some(pause)) if self.info.machine => match &mut self.pausing {
                Some((already, waiting)) if *already == pause => waiting.push((client.number, stream)),
                Some(_) => {
                    client.refuse(stream, &format!("change {name}: another command pauses or resumes it right now"))
                }
                None if (state == State::Paused) == pause => client.was_so(stream),
                none => {
                    *none = Some((pause, vec![(client.number, stream)]));
                    self.wanted.push(Wanted::Pause(pause));
                }
            },
            (Some(_), Some(pause)) if (state == State::Paused) == pause => client.was_so(stream),
            (Some(guest), pause) => {
                match pause {
                    Some(true) => self.info.state = State::Paused,
                    Some(false) => self.info.state = State::Ready,
                    None => {}
                }
                let number = client.number;
                if let Err(reason) = self.relay.ask(guest, (number, stream), json) {
                    client.refuse(stream, &reason);
                }
            }
        }
    }
}

/// Whether the request lets everything stand still, or go on.
fn pauses(json: &str) -> Option<bool> {
    match json {
        r#"{"verb":"pause"}"# => Some(true),
        r#"{"verb":"resume"}"# => Some(false),
        _ => None,
    }
}

fn with_client(clients: &mut [Client], number: u64, act: &mut dyn FnMut(&mut Session)) {
    if let Some(client) = clients.iter_mut().find(|client| client.number == number) {
        act(&mut client.session);
    }
}

/// A value that always has a text.
pub fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
