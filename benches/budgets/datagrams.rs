//! The budgets of observations by datagram: Catchment against a loop that takes datagrams the same way and only counts them. Each
//! has a process of its own that stays on one core; datagrams come from another core, if there is one. What was sent is what
//! was received and what the kernel says it threw away, in every round.

use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use catchment::config::Config;
use catchment::config::layers::Layers;
use catchment::udp::socket::{Batch, bind_udp};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::children::{Served, Server, answer};
use super::data;
use super::http::total;
use super::report::{Budget, Line, Measure, Report};

/// Of the Catchment that takes datagrams.
pub const FLAGS: &[&str] =
    &["--udp-listen", "127.0.0.1:0", "--udp-sockets", "1", "--shards", "1", "--workers", "1", "--log-level", "error"];

/// Datagrams that are sent by one call.
const AT_ONCE: usize = 32;
const SERIES: usize = 10 * AT_ONCE;
/// Datagrams that wait for a receiver when it goes on, unless its buffer holds fewer.
const BURST: usize = 8192;
/// A round has so many turns of each side.
const TURNS: usize = 8;
const TURN: Duration = Duration::from_millis(100);
/// How long the steady rate lasts at which nothing may be lost.
const STEADY: Duration = Duration::from_millis(500);
/// How long a receiver may take to be done with what was sent.
const PATIENCE: Duration = Duration::from_secs(10);

const OF_A_CORE: &str = "datagrams, of a core";
const IN_A_FLOOD: &str = "datagrams, in a flood";
const LOST: &str = "datagrams lost at half the flood";
const COUNTER: &str = "a loop that counts them";

/// All of them, of the same two processes.
pub fn measure(report: &mut Report) {
    if ![OF_A_CORE, IN_A_FLOOD, LOST].iter().any(|name| report.wants(name)) {
        return;
    }
    // On a thread of its own: it stays on one core from then on.
    std::thread::scope(|scope| scope.spawn(|| measure_here(report)).join().expect("datagrams are measured"));
}

fn measure_here(report: &mut Report) {
    let mut contest =
        Contest { ours: Side::start(Served::DatagramCatchment), counter: Side::start(Served::DatagramCounter) };
    stay_on(|cores| cores.last().copied());
    let measure = Measure { unit: "M datagrams/s", reference: COUNTER };
    report.measure(OF_A_CORE, |name, rounds| {
        let rates = (0..rounds).map(|_| contest.capacities()).collect();
        Line::new(name, measure, rates, Budget::AtLeast(0.7))
    });
    let mut rate_of_counter = None;
    report.measure(IN_A_FLOOD, |name, rounds| {
        let rates: Vec<(f64, f64)> = (0..rounds).map(|_| contest.floods()).collect();
        let line = Line::new(name, measure, rates, Budget::AtLeast(0.7));
        rate_of_counter = Some(line.reference());
        line
    });
    report.measure(LOST, |name, rounds| {
        let rate = 0.5e6 * rate_of_counter.unwrap_or_else(|| contest.floods().1);
        eprintln!("{name}: {:.3} M a second", 1e-6 * rate);
        let lost = (0..rounds).map(|_| contest.ours.loss_at(rate)).collect();
        Line::new(name, Measure { unit: "lost", reference: "sent" }, lost, Budget::AtMost(0.0))
    });
    let Side { server, done, .. } = &contest.ours;
    assert_eq!(total(server), done.taken as f64, "the page shows what was taken in");
}

struct Contest {
    ours: Side,
    counter: Side,
}

impl Contest {
    /// Millions of datagrams in a second of processor time, when there are always more: ours and the counter's.
    fn capacities(&mut self) -> (f64, f64) {
        self.in_turn(|side| {
            let (taken, time) = side.burst();
            (taken as f64, time.as_secs_f64())
        })
    }

    /// Millions of datagrams in a second of a flood, until its last datagram is taken.
    fn floods(&mut self) -> (f64, f64) {
        let offered = Cell::new((0.0, 0.0));
        let rates = self.in_turn(|side| {
            let (start, before) = (Instant::now(), side.sender.sent);
            side.sender.send_while(|_| start.elapsed() < TURN);
            let (sent, seconds) = offered.get();
            offered.set((sent + (side.sender.sent - before) as f64, seconds + start.elapsed().as_secs_f64()));
            side.wait_until_nothing_waits();
            let time = start.elapsed().as_secs_f64();
            (side.settle().taken as f64, time)
        });
        let (sent, seconds) = offered.get();
        eprintln!("{IN_A_FLOOD}: of {:.2} M a second", 1e-6 * sent / seconds);
        rates
    }

    /// Datagrams over seconds, summed over the turns.
    fn in_turn(&mut self, turn: impl Fn(&mut Side) -> (f64, f64)) -> (f64, f64) {
        let (mut ours, mut counter) = ((0.0, 0.0), (0.0, 0.0));
        for _ in 0..TURNS {
            for (side, sum) in [(&mut self.counter, &mut counter), (&mut self.ours, &mut ours)] {
                let (taken, seconds) = turn(side);
                *sum = (sum.0 + taken, sum.1 + seconds);
            }
        }
        (1e-6 * ours.0 / ours.1, 1e-6 * counter.0 / counter.1)
    }
}

/// What a receiver says has become of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    /// Taken in, or counted.
    taken: u64,
    /// Received, and dropped for a reason.
    dropped: u64,
    /// Thrown away by the kernel.
    lost: u64,
}

impl Done {
    fn sum(self) -> u64 {
        self.taken + self.dropped + self.lost
    }

    fn since(self, before: Self) -> Self {
        Self { taken: self.taken - before.taken, dropped: self.dropped - before.dropped, lost: self.lost - before.lost }
    }
}

/// A receiver, and who sends to it.
struct Side {
    served: Served,
    server: Server,
    sender: Sender,
    /// Of all that was sent until the last turn ended.
    done: Done,
}

impl Side {
    fn start(served: Served) -> Self {
        let server = Server::start(served);
        let sender = Sender::new(server.datagrams.unwrap_or(server.address));
        let mut side = Self { served, server, sender, done: Done::default() };
        // The series are known from here on.
        side.burst();
        side
    }

    /// Lets datagrams pile up and then be taken; how many were taken, and the processor time it took.
    fn burst(&mut self) -> (u64, Duration) {
        self.pause(Signal::STOP);
        let last = self.sender.sent + BURST as u64;
        self.sender.send_while(|sent| sent < last);
        let before = processor_time(&self.server.child);
        self.pause(Signal::CONT);
        let time = self.processor_time_when_idle() - before;
        (self.settle().taken, time)
    }

    /// Datagrams that were not taken in at a steady rate, and those that were sent.
    fn loss_at(&mut self, rate: f64) -> (f64, f64) {
        let first = self.sender.sent;
        let start = Instant::now();
        let due = |time: Duration| first + (rate * time.as_secs_f64()) as u64;
        while start.elapsed() < STEADY {
            let due = due(start.elapsed());
            self.sender.send_while(|sent| sent < due);
        }
        let sent = self.sender.sent - first;
        let Done { dropped, lost, .. } = self.settle();
        ((dropped + lost) as f64, sent as f64)
    }

    fn pause(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server.child), signal).expect("a child of ours");
    }

    /// Waits until the process rests, with nothing left in the buffer.
    fn processor_time_when_idle(&self) -> Duration {
        const REST: Duration = Duration::from_millis(2);
        self.wait_until_nothing_waits();
        let (start, mut time) = (Instant::now(), Duration::ZERO);
        loop {
            let now = processor_time(&self.server.child);
            if now == time {
                return time;
            }
            assert!(start.elapsed() < PATIENCE, "expected the receiver to rest, got one that works on");
            time = now;
            std::thread::park_timeout(REST);
        }
    }

    fn wait_until_nothing_waits(&self) {
        let start = Instant::now();
        while !has_nothing_waiting(self.sender.to) {
            assert!(start.elapsed() < PATIENCE, "expected the receiver to take what waits, got one that does not");
        }
    }

    /// What has become of what was sent since the last turn; all of it must have an end.
    fn settle(&mut self) -> Done {
        let (start, before) = (Instant::now(), self.done);
        while self.done.sum() != self.sender.sent {
            let Self { sender: Sender { sent, .. }, done, .. } = &*self;
            assert!(start.elapsed() < PATIENCE, "expected {sent} datagrams, got {done:?}");
            self.done = self.told();
        }
        self.done.since(before)
    }

    fn told(&mut self) -> Done {
        match self.served {
            Served::DatagramCounter => {
                let told = self.server.ask();
                let (taken, lost) = told.split_once(' ').expect("two numbers");
                Done { taken: number(taken), dropped: 0, lost: number(lost) }
            }
            _ => self.told_by_page(),
        }
    }

    fn told_by_page(&self) -> Done {
        let page = ureq::get(format!("http://{}/-/metrics", self.server.address)).call().expect("a page");
        let page = page.into_body().read_to_string().expect("text");
        let sum = |name: &str| -> u64 {
            let lines = page.lines().filter(|line| line.starts_with(name));
            lines.map(|line| number(line.rsplit(' ').next().unwrap_or_default())).sum()
        };
        let dropped = sum("catchment_udp_dropped_total{");
        let taken = sum("catchment_udp_datagrams_total ") - dropped;
        Done { taken, dropped, lost: sum("catchment_udp_kernel_drops_total ") }
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a whole number")
}

/// Processor time of all threads of a process; exact while they rest.
fn processor_time(child: &Child) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("the process runs");
    let time = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).expect("a kernel that tells");
        number(text.split(' ').next().unwrap_or_default())
    };
    Duration::from_nanos(threads.map(|thread| time(thread.expect("a thread"))).sum())
}

/// Whether the socket bound to the address has an empty buffer, as the kernel tells.
fn has_nothing_waiting(address: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/udp").expect("a kernel that tells");
    let port = format!(":{:04X}", address.port());
    let ours = |line: &&str| line.split_ascii_whitespace().nth(1).is_some_and(|local| local.ends_with(&port));
    table.lines().filter(ours).all(|line| line.contains(":00000000 00:"))
}

/// Sends the series in turn.
struct Sender {
    socket: UdpSocket,
    to: SocketAddr,
    /// Each is [`AT_ONCE`] datagrams in a row, which the kernel takes apart again.
    pieces: Vec<String>,
    sent: u64,
}

impl Sender {
    fn new(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(to).expect("an address of this machine");
        let length = data::datagram(0).len() as i32;
        setsockopt(&socket, sockopt::UdpGsoSegment, &length).expect("a kernel that takes datagrams apart");
        let datagrams: Vec<String> = (0..SERIES).map(data::datagram).collect();
        Self { socket, to, pieces: datagrams.chunks_exact(AT_ONCE).map(<[String]>::concat).collect(), sent: 0 }
    }

    /// Sends while it shall, as told by how many were sent so far.
    fn send_while(&mut self, goes_on: impl Fn(u64) -> bool) {
        while goes_on(self.sent) {
            let piece = &self.pieces[self.sent as usize / AT_ONCE % self.pieces.len()];
            self.socket.send(piece.as_bytes()).expect("somebody listens");
            self.sent += AT_ONCE as u64;
        }
    }
}

/// Binds this process, or what it starts later, to the first core that it may use.
pub fn stay_on_first_core() {
    stay_on(|cores| cores.first().copied());
}

fn stay_on(choose: impl Fn(&[usize]) -> Option<usize>) {
    let allowed = sched_getaffinity(None).expect("a kernel that tells");
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let mut chosen = CpuSet::new();
    chosen.set(choose(&cores).expect("a core"));
    sched_setaffinity(None, &chosen).expect("a core that it may use");
}

/// The loop that counts, until the parent has gone.
///
/// # Errors
/// If there is no socket, or it breaks.
pub fn count() -> Result<(), String> {
    stay_on_first_core();
    let layers = Layers::collect(["catchment".into()], std::iter::empty()).map_err(|error| error.to_string())?;
    let buffer = Config::from_layers(&layers).map_err(|error| error.to_string())?.datagrams.buffer;
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut sockets = bind_udp(address, 1, Some(buffer)).map_err(|error| error.to_string())?;
    let socket = Arc::new(sockets.remove(0));
    let received = Arc::new(AtomicU64::new(0));
    println!("{}", socket.local_address());
    let (asked, counted) = (Arc::clone(&socket), Arc::clone(&received));
    answer(move || format!("{} {}", counted.load(Ordering::Relaxed), asked.kernel_drops().unwrap_or_default()));
    let mut batch = Batch::new(64 << 10);
    loop {
        let count = batch.receive(&socket).map_err(|error| error.to_string())?;
        received.fetch_add(count as u64, Ordering::Relaxed);
    }
}
