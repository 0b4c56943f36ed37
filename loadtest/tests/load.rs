//! The program against servers of its own: a run against the plain body reader, and what the exit code says.

#![allow(clippy::unwrap_used, reason = "a test stops at the first fault")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_catchment-load");

/// A server that ends with its value.
struct Plain {
    child: Child,
    address: SocketAddr,
}

impl Plain {
    fn start() -> Plain {
        let mut command = Command::new(PROGRAM);
        let mut child = command
            .args(["plain", "--listen", "127.0.0.1:0", "--workers", "1"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Plain { child, address: line.trim().parse().unwrap() }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(address: SocketAddr, arguments: &[&str]) -> Output {
    let target = format!("http://{address}");
    Command::new(PROGRAM).args(["run", "--target", &target, "--warmup", "100ms"]).args(arguments).output().unwrap()
}

#[test]
fn a_run_keeps_its_rate_and_writes_its_files() {
    let plain = Plain::start();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (json, csv, svg) = (file("run.json"), file("run.csv"), file("run.svg"));
    let files = ["--json", &json, "--csv", &csv, "--svg", &svg];
    let load = ["--rate", "200/s", "--duration", "500ms", "--connections", "4", "--shape", "mixed"];
    let output = run(plain.address, &[&load[..], &files[..]].concat());
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "progress is for terminals: {output:?}");
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let told: serde_json::Value = serde_json::from_str(&read(&json)).unwrap();
    // A machine that stops for a moment at the end leaves some unsent; none is lost.
    let count = |name: &str| told[name].as_u64().unwrap();
    assert_eq!((count("acknowledged_with_warmup") + count("not_sent"), count("failed")), (120, 0), "{told}");
    assert_eq!(read(&csv).lines().nth(1).and_then(|line| line.split(',').nth(1)), Some("100"));
    assert!(read(&svg).ends_with("</svg>\n"));
}

#[test]
fn a_closed_loop_pushes_until_its_end() {
    let plain = Plain::start();
    let output = run(plain.address, &["--duration", "200ms", "--format", "protobuf", "--gzip", "--pushers", "3"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("closed loop") && said.contains("202: "), "{said}");
}

/// Serves one page to everybody, and takes pushes without doing anything with them, one at a time. The first waits for so long.
fn forgetful_gateway(stall: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut pushes = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 64 * 1024];
            let read = stream.read(&mut request).unwrap();
            let is_push = !request[..read].starts_with(b"GET");
            pushes += usize::from(is_push);
            if is_push && pushes == 1 {
                let begin = Instant::now();
                while begin.elapsed() < stall {
                    thread::park_timeout(stall);
                }
            }
            let page = "load_requests_total{run=\"other\"} 1\n";
            let status = if is_push { "202 Accepted" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", page.len());
            stream.write_all((head + page).as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn pushes_that_wait_for_others_count_with_their_wait() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("run.json").display().to_string();
    let load =
        ["--rate", "100", "--duration", "600ms", "--connections", "1", "--series-per-push", "1", "--json", &json];
    let output = run(forgetful_gateway(Duration::from_millis(350)), &load);
    assert!(output.status.success(), "{output:?}");
    let told: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    // One push waits for the gateway, 34 wait for that one. Timed from when they were sent, one in 70 would be late.
    let late = told["latency_microseconds"]["p90"].as_u64().unwrap();
    assert!(late > 150_000, "{told}");
}

#[test]
fn lost_pushes_are_found() {
    let load = ["--rate", "20", "--duration", "200ms", "--series-per-push", "1", "--verify"];
    let output = run(forgetful_gateway(Duration::ZERO), &load);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("difference    load_requests_total: expected ") && said.contains(" pushes of 1, got 0"),
        "{said}"
    );
}

#[test]
fn nothing_is_measured_without_a_gateway() {
    let output = Command::new(PROGRAM).args(["scale", "--catchment", "nowhere/catchment"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "catchment-load: expected a program at nowhere/catchment, got none\n";
    assert_eq!((output.status.code(), &*said), (Some(2), expected));
}

#[test]
fn flags_that_make_no_load_are_refused() {
    let cases = [
        (vec!["--connections", "0"], "expected at least one of the connections, got none"),
        (vec!["--series-per-push", "0"], "expected at least one of the series in a push, got none"),
        (vec!["--header", "none"], "expected a header as <name>: <value>, got \"none\""),
    ];
    for (arguments, expected) in cases {
        let output = run(([127, 0, 0, 1], 9).into(), &arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said), (Some(2), format!("catchment-load: {expected}\n")));
    }
}
