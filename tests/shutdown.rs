//! The end of a server: first it says so, then it finishes what it has begun, then it is gone.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::wire::{self, Answer};
use common::{Server, eventually};

/// Time for balancers to notice; long enough to look at the server meanwhile.
const DELAY: &[&str] = &["--shutdown-delay", "700ms"];

fn is_refusing_connections(server: &Server) -> bool {
    TcpStream::connect(server.address).is_err()
}

#[test]
fn a_server_that_is_to_end_is_not_ready_but_works_on_for_a_while() {
    let mut server = Server::start(DELAY);
    assert_eq!(server.get("/-/ready"), (200, "OK\n".to_owned()));
    server.begin_stop();
    eventually("it is not ready", || server.get("/-/ready").0 == 503);
    assert_eq!(server.get("/-/ready").1, "not ready: draining\n");
    assert_eq!(server.get("/-/healthy").0, 200);
    server.push_ok("/metrics", "x 1\n");
    assert_eq!(server.page(), "# TYPE x untyped\nx 1\n");
    let address = server.address;
    assert_eq!(server.stop(), Ok(()));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_push_that_has_begun_is_taken_in() {
    let mut server = Server::start(&[]);
    let mut stream = wire::connect(server.address);
    let request = wire::push_request("/metrics", b"x 1\n");
    let (now, later) = request.split_at(request.len() - 2);
    stream.write_all(now).expect("most of a short push");
    eventually("it is being read", || server.own_metric("catchment_inflight_bytes") > 0.0);
    server.begin_stop();
    eventually("no new connections are taken", || is_refusing_connections(&server));
    stream.write_all(later).expect("the rest");
    assert_eq!(Answer::read(&wire::read_to_close(&mut stream)).status, 202);
    assert_eq!(server.stop(), Ok(()));
}

#[test]
fn a_scrape_that_has_begun_is_finished() {
    let mut server = Server::start_on(wire::listener_with_small_buffers(), &[]);
    let filling = "f".repeat(200);
    let lines = (0..15_000).map(|line| format!("large{{filling=\"{filling}\",line=\"{line}\"}} 1\n"));
    server.push_ok("/metrics", lines.collect::<String>());
    let mut reader = wire::slow_reader(server.address, "/metrics");
    eventually("it is being streamed", || server.own_metric("catchment_concurrent_scrapes") == 1.0);
    server.begin_stop();
    eventually("no new connections are taken", || is_refusing_connections(&server));
    let page = wire::read_to_close(&mut reader);
    assert!(page.ends_with("\r\n0\r\n\r\n"), "the page is whole");
    assert_eq!(page.matches("filling=").count(), 15_000);
    assert_eq!(server.stop(), Ok(()));
}

#[test]
fn connections_without_a_request_do_not_hold_up_the_end() {
    let server = Server::start(&["--shutdown-timeout", "8s"]);
    let mut idle = wire::connect(server.address);
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n").expect("a short request");
    let _silent = wire::connect(server.address);
    eventually("the server runs", || server.get("/-/ready").0 == 200);
    let start = Instant::now();
    assert_eq!(server.stop(), Ok(()));
    assert!(start.elapsed() < Duration::from_secs(4), "it took {:?}", start.elapsed());
    assert!(wire::read_to_close(&mut idle).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn clients_that_never_finish_are_cut_in_the_end() {
    let server = Server::start_on(wire::listener_with_small_buffers(), &["--shutdown-timeout", "1s"]);
    let mut writer = wire::connect(server.address);
    let head = wire::push_head("/metrics", &["Content-Length: 1000"]);
    writer.write_all((head + "x 1\n").as_bytes()).expect("a part of a push");
    let lines = (0..15_000).map(|line| format!("large{{filling=\"{}\",line=\"{line}\"}} 1\n", "f".repeat(200)));
    server.push_ok("/metrics", lines.collect::<String>());
    let mut reader = wire::slow_reader(server.address, "/metrics");
    eventually("the scrape runs", || server.own_metric("catchment_concurrent_scrapes") == 1.0);
    let start = Instant::now();
    assert_eq!(server.stop(), Ok(()));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    assert!(!wire::read_to_close(&mut reader).ends_with("\r\n0\r\n\r\n"), "a cut page must not look like a whole one");
    assert!(!wire::read_to_close(&mut writer).starts_with("HTTP/1.1 2"));
}

#[test]
fn an_idle_server_ends_at_once() {
    let server = Server::start(&[]);
    server.push_ok("/metrics", "x 1\n");
    let start = Instant::now();
    assert_eq!(server.stop(), Ok(()));
    assert!(start.elapsed() < Duration::from_secs(3), "it took {:?}", start.elapsed());
}
