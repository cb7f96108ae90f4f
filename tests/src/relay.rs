//! A TCP relay that can be told to misbehave: between a minion and its master, as firewalls and bad lines do.
//!
//! Each direction of each connection passes, swallows (the sender sees an open, healthy connection) or delays what it gets;
//! connections can be cut or reset, also in the middle of what is being said, and what was said can be said again. A relay made
//! with [`Relay::recording`] keeps everything that went through it. Orders given with
//! [`Relay::rule`] hold for every connection; [`Relay::swallow_open`] only for those open now, so that a new dial gets through.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use socket2::SockRef;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the minion to its master.
    ToMaster,
    /// From the master to its minion.
    ToMinion,
}

/// What happens to bytes of one direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// They arrive.
    Pass,
    /// They vanish; nobody is told.
    Swallow,
    /// They arrive late.
    Delay(Duration),
    /// The next ones arrive only up to this many bytes; then the connection is cut.
    CutAfter(usize),
    /// The same, but both ends are reset (RST) instead of closed.
    ResetAfter(usize),
}

/// A running relay to one port of 127.0.0.1. Dropped, it cuts everything.
#[derive(Debug)]
pub struct Relay {
    /// Where the minion connects.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Relay {
    /// Starts a relay to `target`.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn to(target: u16) -> Result<Self> {
        Self::over(target, Shared::default())
    }

    /// The same; what goes through it is kept for [`Relay::recorded`].
    ///
    /// # Errors
    /// When no port can be had.
    pub fn recording(target: u16) -> Result<Self> {
        let state = State { record: Some(BTreeMap::new()), ..State::default() };
        Self::over(target, Shared { state: Mutex::new(state), ..Shared::default() })
    }

    fn over(target: u16, shared: Shared) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(shared);
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, target, &accepting));
        Ok(Self { port, shared })
    }

    /// Sets the rule of a direction for open and for future connections.
    pub fn rule(&self, direction: Direction, rule: Rule) {
        let mut state = self.shared.state();
        state.rules[direction as usize] = rule;
        for link in &mut state.links {
            link.rules[direction as usize] = rule;
        }
    }

    /// Swallows one direction of the connections that are open now. A new dial is not affected.
    pub fn swallow_open(&self, direction: Direction) {
        for link in &mut self.shared.state().links {
            link.rules[direction as usize] = Rule::Swallow;
        }
    }

    /// Closes every open connection.
    pub fn cut(&self) {
        for link in self.shared.state().links.drain(..) {
            link.close();
        }
    }

    /// Refuses new connections (accepts and closes at once), or takes them again.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refusing.store(refuse, Ordering::SeqCst);
    }

    /// Says the last thing that went to any minion again, heartbeats apart, on every open connection.
    pub fn say_again(&self) {
        let mut state = self.shared.state();
        let last = std::mem::take(&mut state.last_to_minion);
        for link in &mut state.links {
            let _gone = link.minion.write_all(&last);
        }
        state.last_to_minion = last;
    }

    /// What went through it so far: each direction of each connection, whole.
    #[must_use]
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        self.shared.state().record.iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state().made
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.state().links.len()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the accepting thread, which then sees that it is over.
        let _refused = TcpStream::connect(("127.0.0.1", self.port));
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    refusing: AtomicBool,
    ended: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct State {
    rules: [Rule; 2],
    links: Vec<Link>,
    made: usize,
    last_to_minion: Vec<u8>,
    /// By connection and direction; `None` when nothing is kept.
    record: Option<BTreeMap<(usize, usize), Vec<u8>>>,
}

impl Default for State {
    fn default() -> Self {
        Self { rules: [Rule::Pass; 2], links: Vec::new(), made: 0, last_to_minion: Vec::new(), record: None }
    }
}

#[derive(Debug)]
struct Link {
    number: usize,
    rules: [Rule; 2],
    minion: TcpStream,
    master: TcpStream,
    end: End,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Close,
    Reset,
}

impl Link {
    fn close(&self) {
        for stream in [&self.minion, &self.master] {
            let _gone = match self.end {
                End::Close => stream.shutdown(Shutdown::Both),
                // Nothing is said by this; with no time to linger, the last close of the socket is a reset.
                End::Reset => SockRef::from(stream)
                    .set_linger(Some(Duration::ZERO))
                    .and_then(|()| stream.shutdown(Shutdown::Read)),
            };
        }
    }
}

fn accept(listener: &TcpListener, target: u16, shared: &Arc<Shared>) {
    for minion in listener.incoming().map_while(Result::ok) {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        if shared.refusing.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(master) = TcpStream::connect(("127.0.0.1", target)) else { continue };
        let _connected = link(minion, master, shared);
    }
}

fn link(minion: TcpStream, master: TcpStream, shared: &Arc<Shared>) -> Result<()> {
    let number = {
        let mut state = shared.state();
        state.made += 1;
        let (number, rules) = (state.made, state.rules);
        let (kept_minion, kept_master) = (minion.try_clone()?, master.try_clone()?);
        let kept = Link { number, rules, minion: kept_minion, master: kept_master, end: End::Close };
        state.links.push(kept);
        number
    };
    let ways = [
        (Direction::ToMaster, minion.try_clone()?, master.try_clone()?),
        (Direction::ToMinion, master, minion),
    ];
    for (direction, source, sink) in ways {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            pump(direction, source, sink, (number, &shared));
            let mut state = shared.state();
            state.links.iter().filter(|link| link.number == number).for_each(Link::close);
            state.links.retain(|link| link.number != number);
        });
    }
    Ok(())
}

fn pump(
    direction: Direction,
    mut source: TcpStream,
    mut sink: TcpStream,
    (number, shared): (usize, &Shared),
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = source.read(&mut buffer) {
        if count == 0 {
            return;
        }
        let bytes = &buffer[..count];
        let Some(rule) = rule_of(direction, number, bytes, shared) else { return };
        let passed = match rule {
            Rule::Pass => sink.write_all(bytes),
            Rule::Swallow => Ok(()),
            Rule::Delay(late) => {
                thread::sleep(late);
                sink.write_all(bytes)
            }
            Rule::CutAfter(limit) | Rule::ResetAfter(limit) => {
                let _gone = sink.write_all(&bytes[..limit.min(count)]);
                return;
            }
        };
        if passed.is_err() {
            return;
        }
    }
}

fn rule_of(direction: Direction, number: usize, bytes: &[u8], shared: &Shared) -> Option<Rule> {
    let mut state = shared.state();
    let link = state.links.iter_mut().find(|link| link.number == number)?;
    let rule = link.rules[direction as usize];
    if let Rule::ResetAfter(_) = rule {
        link.end = End::Reset;
    }
    if let Some(record) = &mut state.record {
        record.entry((number, direction as usize)).or_default().extend_from_slice(bytes);
    }
    if direction == Direction::ToMinion && bytes.len() > HEARTBEAT {
        state.last_to_minion = bytes.to_vec();
    }
    Some(rule)
}

/// No heartbeat is longer, every publish is.
const HEARTBEAT: usize = 100;
