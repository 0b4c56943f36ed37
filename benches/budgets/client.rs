//! Clients that push over HTTP: requests written out beforehand, on connections that stay, in turn for many pushers.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::AddAssign;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a server answers to a push that it took.
const ACCEPTED: &[u8] = b"HTTP/1.1 202 ";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// How long a server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pushes that were answered, and the time they took together.
#[derive(Default)]
pub struct Pushed {
    pushes: usize,
    time: Duration,
}

impl Pushed {
    /// How long a push took, those of all connections taken as one after the other.
    pub fn seconds_a_push(&self) -> f64 {
        self.time.as_secs_f64() / self.pushes as f64
    }
}

impl AddAssign for Pushed {
    fn add_assign(&mut self, other: Self) {
        self.pushes += other.pushes;
        self.time += other.time;
    }
}

/// A whole request.
pub fn push_request(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Connections on one thread, each of which pushes when its last push was answered.
pub struct ClosedLoop {
    runtime: actix_rt::Runtime,
    connections: Vec<tokio::net::TcpStream>,
    requests: Rc<[Vec<u8>]>,
    /// Pushes so far; the next one is the request of this number, over and over.
    turns: Rc<Cell<usize>>,
}

impl ClosedLoop {
    /// Of the requests of all pushers, one after the other.
    pub fn connect(address: SocketAddr, connections: usize, requests: Rc<[Vec<u8>]>) -> Self {
        let runtime = actix_rt::Runtime::new().expect("a runtime");
        let connect = || runtime.block_on(tokio::net::TcpStream::connect(address)).expect("the server listens");
        let connections: Vec<_> = (0..connections).map(|_| connect()).collect();
        connections.iter().for_each(|connection| connection.set_nodelay(true).expect("a TCP connection"));
        Self { runtime, connections, requests, turns: Rc::default() }
    }

    /// Every pusher pushes once.
    pub fn push_of_each(&mut self) {
        self.run(self.requests.len(), Duration::MAX);
    }

    /// Pushes for so long.
    pub fn push_for(&mut self, time: Duration) -> Pushed {
        let (start, before) = (Instant::now(), self.turns.get());
        self.run(usize::MAX, time);
        Pushed { pushes: self.turns.get() - before, time: start.elapsed() }
    }

    /// How often this pusher has pushed. All pushes were answered.
    pub fn pushes_of(&self, pusher: usize) -> usize {
        let (turns, pushers) = (self.turns.get(), self.requests.len());
        turns / pushers + usize::from(pusher < turns % pushers)
    }

    fn run(&mut self, pushes: usize, time: Duration) {
        let last_turn = self.turns.get().saturating_add(pushes);
        let start = Instant::now();
        let (requests, turns) = (&self.requests, &self.turns);
        let connections = std::mem::take(&mut self.connections);
        self.connections = self.runtime.block_on(async {
            let tasks: Vec<_> = connections
                .into_iter()
                .map(|connection| {
                    let (requests, turns) = (Rc::clone(requests), Rc::clone(turns));
                    let goes_on = move |turn: usize| turn < last_turn && start.elapsed() < time;
                    actix_rt::spawn(push_in_turn(connection, requests, turns, goes_on))
                })
                .collect();
            let mut connections = Vec::new();
            for task in tasks {
                connections.push(task.await.expect("every push is answered"));
            }
            connections
        });
    }
}

async fn push_in_turn(
    mut connection: tokio::net::TcpStream,
    requests: Rc<[Vec<u8>]>,
    turns: Rc<Cell<usize>>,
    goes_on: impl Fn(usize) -> bool,
) -> tokio::net::TcpStream {
    let mut answer = Vec::with_capacity(1024);
    while goes_on(turns.get()) {
        let turn = turns.replace(turns.get() + 1);
        connection.write_all(&requests[turn % requests.len()]).await.expect("the server reads");
        answer.clear();
        while !answer.ends_with(END_OF_HEAD) {
            let bytes = connection.read_buf(&mut answer).await.expect("the server answers");
            check(&answer, bytes);
        }
    }
    connection
}

/// Pushes at a rate, whether or not earlier ones were answered in time, on so many connections with a thread each. Returns
/// the time of each from when it was due to its answer.
pub fn open_loop(
    address: SocketAddr,
    connections: usize,
    requests: &[Vec<u8>],
    per_second: f64,
    time: Duration,
) -> Vec<Duration> {
    let start = Instant::now();
    let pushes = (per_second * time.as_secs_f64()) as usize;
    let push_share = |first: usize| {
        let mut connection = connect(address);
        let push = |turn: usize| {
            let due = start + Duration::from_secs_f64(turn as f64 / per_second);
            push_when_due(&mut connection, &requests[turn % requests.len()], due)
        };
        (first..pushes).step_by(connections).map(push).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|first| scope.spawn(move || push_share(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("every push is answered")).collect()
    })
}

fn push_when_due(connection: &mut TcpStream, request: &[u8], due: Instant) -> Duration {
    wait_until(due);
    connection.write_all(request).expect("the server reads");
    let (mut answer, mut length) = ([0; 1024], 0);
    while !answer[..length].ends_with(END_OF_HEAD) {
        let bytes = connection.read(&mut answer[length..]).expect("the server answers");
        length += bytes;
        check(&answer[..length], bytes);
    }
    due.elapsed()
}

/// Waits, to about a tenth of a millisecond.
pub fn wait_until(due: Instant) {
    while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// A connection on which nothing waits for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).expect("the server listens");
    connection.set_nodelay(true).expect("a TCP connection");
    connection.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    connection
}

/// Of an answer so far, to which so many bytes came.
fn check(answer: &[u8], new_bytes: usize) {
    let begins_well = answer.starts_with(ACCEPTED) || ACCEPTED.starts_with(answer);
    assert!(begins_well && new_bytes > 0, "expected 202, got {:?}", String::from_utf8_lossy(answer));
}
