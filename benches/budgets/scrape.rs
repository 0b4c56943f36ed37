//! The budgets of scrapes of a server that stores a million series: how soon a page begins, and what a slow reader costs
//! those that push.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::children::{Served, Server};
use super::client::{ClosedLoop, connect, open_loop, push_request, wait_until};
use super::data;
use super::http::Pushers;
use super::report::{Budget, Line, Measure, Report};

const SERIES: usize = 1_000_000;
const CONNECTIONS: usize = 4;
/// Pushes of 50 a second while latencies are measured.
const PUSHES_PER_SECOND: f64 = 2_000.0;
/// A round has so many phases with a reader and as many without.
const PHASES: usize = 4;
const PHASE: Duration = Duration::from_millis(400);
/// A slow reader takes this at once, and then waits.
const SLOW_BYTES: usize = 64 << 10;
const SLOW_PAUSE: Duration = Duration::from_millis(10);

const FIRST_BYTE_OF_NEW: &str = "first byte, 1 M new series";
const FIRST_BYTE: &str = "first byte, 1 M series";
const PUSHES_BESIDE_READER: &str = "push p99 beside a slow reader";

/// All of them, on one server.
pub fn measure(report: &mut Report) {
    let names = [FIRST_BYTE_OF_NEW, FIRST_BYTE, PUSHES_BESIDE_READER];
    if report.options.is_quick || !names.iter().any(|name| report.wants(name)) {
        return;
    }
    let server = Server::start(Served::Catchment);
    fill(&server);
    let new = first_byte(server.address);
    report.add(line_of_first_byte(FIRST_BYTE_OF_NEW.into(), vec![new]));
    report.measure(FIRST_BYTE, |name, rounds| {
        line_of_first_byte(name, (0..rounds).map(|_| first_byte(server.address)).collect())
    });
    report.measure(PUSHES_BESIDE_READER, |name, rounds| pushes_beside_reader(name, rounds, &server));
}

fn fill(server: &Server) {
    let mut requests = Vec::new();
    data::each_body(SERIES, |body| requests.push(push_request("/metrics/", body)));
    ClosedLoop::connect(server.address, CONNECTIONS, requests.into()).push_of_each();
}

/// A scrape whose first byte was read.
fn begin_scrape(address: SocketAddr) -> TcpStream {
    let mut connection = connect(address);
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n").expect("it reads");
    let (mut answer, mut length) = ([0; 1024], 0);
    let has_body = |answer: &[u8]| answer.windows(5).any(|window| window.starts_with(b"\r\n\r\n"));
    while !has_body(&answer[..length]) {
        let bytes = connection.read(&mut answer[length..]).expect("a page");
        assert!(bytes > 0 && answer.starts_with(b"HTTP/1.1 200 "), "expected a page, got {length} bytes");
        length += bytes;
    }
    connection
}

/// Milliseconds to the first byte of a page, which is then read to its end.
fn first_byte(address: SocketAddr) -> f64 {
    let start = Instant::now();
    let mut connection = begin_scrape(address);
    let milliseconds = 1e3 * start.elapsed().as_secs_f64();
    let (mut chunk, mut length) = (vec![0; 1 << 16], 0);
    loop {
        match connection.read(&mut chunk).expect("the rest of the page") {
            0 => break,
            bytes => length += bytes,
        }
    }
    assert!(length as f64 > SERIES as f64 * data::mean_key_bytes(1000), "the page holds every series");
    milliseconds
}

fn line_of_first_byte(name: String, milliseconds: Vec<f64>) -> Line {
    const MOST_MILLISECONDS: f64 = 50.0;
    let rounds = milliseconds.into_iter().map(|milliseconds| (milliseconds, MOST_MILLISECONDS)).collect();
    Line::new(name, Measure { unit: "ms", reference: "the budget" }, rounds, Budget::AtMost(1.0))
}

/// Phases with and without a reader in turn.
fn pushes_beside_reader(name: String, rounds: usize, server: &Server) -> Line {
    let requests = Pushers::with_own_series(50).requests;
    let push = || open_loop(server.address, CONNECTIONS, &requests, PUSHES_PER_SECOND, PHASE);
    let rounds = (0..rounds).map(|_| {
        let (mut beside, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..PHASES {
            alone.extend(push());
            beside.extend(beside_slow_reader(server.address, push));
        }
        (p99_in_microseconds(beside), p99_in_microseconds(alone))
    });
    let measure = Measure { unit: "µs", reference: "without a reader" };
    Line::new(name, measure, rounds.collect(), Budget::AtMost(2.0))
}

fn p99_in_microseconds(mut latencies: Vec<Duration>) -> f64 {
    latencies.sort();
    1e6 * latencies[latencies.len() * 99 / 100].as_secs_f64()
}

/// Does something while a page is read, slowly and from its beginning.
fn beside_slow_reader<T>(address: SocketAddr, work: impl FnOnce() -> T) -> T {
    let mut connection = begin_scrape(address);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut chunk = vec![0; SLOW_BYTES];
            while !is_over.load(Ordering::Relaxed) {
                let bytes = connection.read(&mut chunk).expect("more of the page");
                assert!(bytes > 0, "the page is longer than the phase");
                wait_until(Instant::now() + SLOW_PAUSE);
            }
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        done
    })
}
