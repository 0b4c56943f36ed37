//! The program's datagrams: what senders say they sent, a receiver has counted or the kernel has thrown away.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first fault")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_catchment-load");

/// A receiver that ends by itself, or with its value.
struct Counter {
    child: Child,
    said: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Counter {
    fn start(arguments: &[&str]) -> Counter {
        let mut command = Command::new(PROGRAM);
        command.args(["udp-count", "--idle", "300ms", "--json"]).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        Counter { child, said, address: line.trim().parse().unwrap() }
    }

    fn counted(mut self) -> Value {
        let mut told = String::new();
        self.said.read_to_string(&mut told).unwrap();
        serde_json::from_str(&told).unwrap()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(address: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(["udp", "--address", &address.to_string()]).args(arguments).output().unwrap()
}

fn sent(address: SocketAddr, arguments: &[&str]) -> Value {
    let output = send(address, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_is_sent_is_counted_or_lost() {
    for (listen, buffer) in [("127.0.0.1:0", "1"), ("127.0.0.1:0", "4000000"), ("[::1]:0", "1")] {
        // Some machines have no IPv6.
        if UdpSocket::bind(listen).is_err() {
            continue;
        }
        let counter = Counter::start(&["--listen", listen, "--buffer", buffer, "--core", "0"]);
        let sent = sent(counter.address, &["--processes", "3", "--datagrams", "10001", "--series", "5"]);
        assert_eq!((&sent["sent"], &sent["processes"]), (&10_001.into(), &3.into()));
        let counted = counter.counted();
        let count = |name: &str| counted[name].as_u64().unwrap();
        assert_eq!(count("received") + count("kernel_drops"), 10_001, "{counted}");
        assert!(count("bytes") > 50 * count("received") && counted["cpu_seconds"].as_f64() > Some(0.0), "{counted}");
    }
}

#[test]
fn a_rate_is_kept() {
    let counter = Counter::start(&[]);
    let sent = sent(counter.address, &["--processes", "2", "--datagrams", "400", "--rate", "1000/s"]);
    // The last one of each process is due after 199 five hundredths of a second.
    assert!(sent["seconds"].as_f64() > Some(0.398), "{sent}");
    let counted = counter.counted();
    assert_eq!((&counted["received"], &counted["kernel_drops"]), (&400.into(), &0.into()));
}

#[test]
fn each_process_observes_series_of_its_own() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let form =
        ["--metric", "jobs", "--label", "zone=a=b", "--worker", "7", "--series", "3", "--observation", "histogram"];
    sent(socket.local_addr().unwrap(), &[&["--processes", "2", "--datagrams", "12"], &form[..]].concat());
    let mut told = BTreeMap::new();
    for _ in 0..12 {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).unwrap();
        let datagram: Value = serde_json::from_slice(&bytes[..length]).unwrap();
        assert!(datagram["metric_name"] == "jobs" && datagram["payload"]["observation"].is_f64(), "{datagram}");
        *told.entry(datagram["payload"]["labels"].to_string()).or_insert(0) += 1;
    }
    let labels = |worker, series| format!(r#"{{"series":"{series}","worker":"{worker}","zone":"a=b"}}"#);
    let expected = [7, 8].into_iter().flat_map(|worker| (0..3).map(move |series| (labels(worker, series), 2)));
    assert_eq!(told, expected.collect());
}

#[test]
fn nobody_and_nothing_are_errors() {
    // A socket that listens to another one alone keeps its port free of listeners.
    let (deaf, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    deaf.connect(other.local_addr().unwrap()).unwrap();
    let nobody = deaf.local_addr().unwrap();
    let cases = [
        (vec!["--datagrams", "1000"], format!("cannot send to {nobody}: Connection refused (os error 111)")),
        (vec!["--processes", "0"], "expected at least one of the processes, got none".to_owned()),
        (vec!["--series", "0"], "expected at least one of the series, got none".to_owned()),
    ];
    for (arguments, expected) in cases {
        let output = send(nobody, &arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said), (Some(2), format!("catchment-load: {expected}\n")));
    }
}
