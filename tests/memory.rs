//! What clients cost in memory. These tests look at the memory of their whole process, so they are alone in it and run
//! one after the other.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Server, eventually, wire};

/// Held by the test that runs.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn memory(server: &Server) -> f64 {
    server.own_metric("process_resident_memory_bytes")
}

#[test]
fn hanging_readers_hold_chunks_not_pages() {
    const READERS: usize = 12;
    const PAGE: usize = 16 << 20;
    let _turn = turn();
    let server = Server::start_on(wire::listener_with_small_buffers(), &[]);
    fill(&server, PAGE);
    assert!(server.page().len() > PAGE);
    let before = memory(&server);
    let readers: Vec<_> = (0..READERS).map(|_| wire::slow_reader(server.address, "/metrics")).collect();
    let running = || server.own_metric("catchment_concurrent_scrapes");
    eventually("all scrapes run", || running() == READERS as f64);
    // A scrape that did not wait for its reader would be at its end long before so many pushes are.
    for _ in 0..300 {
        server.push_ok("/metrics", "c 1\n");
    }
    assert_eq!(running(), READERS as f64);
    let growth = memory(&server) - before;
    assert!(growth < PAGE as f64, "{READERS} hanging readers took {growth} bytes, a page is {PAGE}");
    drop(readers);
}

/// Pushes until the page is beyond so many bytes.
fn fill(server: &Server, page_bytes: usize) {
    const LINES: usize = 4096;
    let filling = "x".repeat(200);
    for push in 0..page_bytes / LINES / filling.len() + 1 {
        let lines =
            (0..LINES).map(|line| format!("large{{filling=\"{filling}\",line=\"{line}\",push=\"{push}\"}} 1\n"));
        server.push_ok("/metrics", lines.collect::<String>());
    }
}

/// Of a refused push nothing is stored, so what its decoding took must not stay either.
#[test]
fn refused_pushes_of_many_samples_leave_little_behind() {
    const MOST_GROWTH: f64 = (128 << 20) as f64;
    let _turn = turn();
    let server = Server::start(&[]);
    let body = "a 1\nb 1\n".repeat(2 << 20);
    let before = memory(&server);
    for _ in 0..6 {
        assert_eq!(server.push("/metrics", &body).0, 400);
    }
    let growth = memory(&server) - before;
    assert!(growth < MOST_GROWTH, "{growth} bytes stay after refused bodies of {}", body.len());
}
