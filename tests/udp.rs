//! Observations by datagram, as the clients of Hermes send them.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use common::{Server, eventually};

/// The configuration and both packets of Hermes' document, letter by letter.
const CONFIGURATION: &str = r#"{
    "service_name": "testing-service",
    "gauges": [
        {
            "metric_name": "sample_gauge",
            "metric_description": "gauges are awesome",
            "labels": ["label_1", "label_2"]
        }
    ],
    "counters": [
        {
            "metric_name": "sample_counter",
            "metric_description": "counters are awesome too",
            "labels": ["label_1"]
        }
    ]
}
"#;
const COUNTER: &str = r#"{
    "metric_name": "sample_counter",
    "payload": {
        "labels": {
            "label_1": "testing label 1"
        }
    }
}
"#;
const GAUGE: &str = r#"{
    "metric_name": "gauge",
    "payload": {
        "labels": {
            "label_1": "testing label 1",
            "label_2": "testing label 2"
        },
        "value": 65.4
    }
}
"#;

struct Sender {
    socket: UdpSocket,
}

impl Sender {
    fn to(server: &Server) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(server.datagrams.as_deref().expect("a socket for datagrams")).expect("an address");
        Self { socket }
    }

    fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket.send(datagram.as_ref()).expect("sent");
    }
}

/// A file with this text, for as long as it is kept.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

fn received(server: &Server, datagrams: usize) -> bool {
    server.own_metric("catchment_udp_datagrams_total") >= datagrams as f64
}

fn dropped(server: &Server, reason: &str) -> f64 {
    server.own_metric(&format!("catchment_udp_dropped_total{{reason=\"{reason}\"}}"))
}

#[test]
fn hermes_document_is_kept() {
    let declarations = file(CONFIGURATION);
    let path = declarations.path().to_str().expect("UTF-8");
    let server = Server::start_with_datagrams(&["--preset", "hermes", "--declarations", path]);
    let declared = "\
# HELP sample_counter counters are awesome too
# TYPE sample_counter counter
# HELP sample_gauge gauges are awesome
# TYPE sample_gauge gauge
";
    assert_eq!(server.page(), declared, "before the first observation");
    let sender = Sender::to(&server);
    sender.send(COUNTER);
    sender.send(COUNTER);
    sender.send(GAUGE);
    sender.send(GAUGE.replace("\"gauge\"", "\"sample_gauge\""));
    eventually("all is taken in", || received(&server, 4));
    eventually("all is taken in", || server.page().contains("sample_gauge{"));
    let shown = "\
# HELP sample_counter counters are awesome too
# TYPE sample_counter counter
sample_counter{label_1=\"testing label 1\"} 2
# HELP sample_gauge gauges are awesome
# TYPE sample_gauge gauge
sample_gauge{label_1=\"testing label 1\",label_2=\"testing label 2\"} 65.4
";
    assert_eq!(server.page(), shown);
    // The document's gauge is not among its own declarations.
    assert_eq!(dropped(&server, "undeclared"), 1.0);
}

#[test]
fn declared_families_are_nobody_elses() {
    let declarations =
        file(r#"{"counters": [{"metric_name": "c"}], "summaries": [{"metric_name": "s", "quantiles": [0.5]}]}"#);
    let path = declarations.path().to_str().expect("UTF-8");
    let server = Server::start_with_datagrams(&["--declarations", path, "--web.enable-admin-api"]);
    for (door, status) in [("aggregate", 400), ("source", 400), ("replace", 400)] {
        let (got, line) = server.push(&format!("/{door}/metrics/job/a"), "# TYPE c gauge\nc 1\n");
        assert_eq!(got, status, "{line}");
        assert!(line.contains("expected TYPE counter for c, got gauge"), "{line}");
        let (got, line) = server.push(&format!("/{door}/metrics/job/a"), "# TYPE s_count gauge\ns_count 1\n");
        assert_eq!(got, status, "{line}");
    }
    server.push_ok("/metrics", "# TYPE c counter\nc 1\n");
    assert_eq!(server.put("/api/v1/admin/wipe", "").0, 202);
    assert_eq!(server.page(), "# TYPE c counter\n# TYPE s summary\n");
    let openmetrics = server.get_as("/metrics", "application/openmetrics-text");
    assert_eq!(openmetrics, "# TYPE c counter\n# TYPE s summary\n# EOF\n");
    let sender = Sender::to(&server);
    (1..=9).for_each(|value| sender.send(format!("{{\"metric_name\":\"s\",\"payload\":{{\"observation\":{value}}}}}")));
    eventually("all is taken in", || server.page().contains("s_count 9\n"));
    let page = server.page();
    let median = page.lines().find_map(|line| line.strip_prefix("s{quantile=\"0.5\"} ")?.parse::<f64>().ok());
    assert!(median.is_some_and(|median| (median / 5.0 - 1.0).abs() <= 0.011), "{page}");
}

#[test]
fn without_declarations_families_are_made_as_they_come() {
    let server = Server::start_with_datagrams(&[]);
    server.push_ok("/metrics", "# TYPE known summary\nknown_sum 1\nknown_count 1\n");
    let sender = Sender::to(&server);
    sender.send("{\"metric_name\":\"c\"}\n{\"metric_name\":\"c\",\"payload\":{\"labels\":{\"a\":\"b\"}}}\n{\"metric_name\":\"c\"}");
    sender.send(
        r#"{"metric_name":"g","payload":{"value":5}}{"metric_name":"g","payload":{"operation":"decrement","value":2}}"#,
    );
    sender.send(r#"{"metric_name":"h","payload":{"observation":0.3}}"#);
    sender.send(r#"{"metric_name":"known","payload":{"observation":2}}"#);
    eventually("all is taken in", || server.page().contains("known_sum 3"));
    let samples = server.samples();
    for (series, expected) in [
        ("c", 2.0),
        ("c{a=\"b\"}", 1.0),
        ("g", 3.0),
        ("h_bucket{le=\"0.25\"}", 0.0),
        ("h_bucket{le=\"0.5\"}", 1.0),
        ("h_count", 1.0),
        ("known_count", 2.0),
    ] {
        assert_eq!(samples[series], expected, "{series}");
    }
}

#[test]
fn what_is_wrong_is_dropped_and_counted_and_harms_nobody() {
    let server = Server::start_with_datagrams(&["--max-series", "2"]);
    let sender = Sender::to(&server);
    sender.send(r#"{"metric_name":"c"}"#);
    eventually("all is taken in", || server.page().contains("c 1\n"));
    let deep = "[".repeat(60_000);
    let bad: [(&[u8], &str); 9] = [
        (b"", "malformed"),
        (b"hello", "malformed"),
        (b"{\"metric_name\":\"\xff\"}", "malformed"),
        (b"{\"metric_name\":\"c\",\"payload\":{\"labels\":{\"__a\":\"b\"}}}", "malformed"),
        (deep.as_bytes(), "malformed"),
        (b"{\"metric_name\":\"c\"}{\"metric_name\":\"c\",\"payload\":{\"value\":-1}}", "invalid_sample"),
        (b"{\"metric_name\":\"c\",\"type\":\"gauge\",\"payload\":{\"value\":1}}", "type_conflict"),
        (b"{\"metric_name\":\"c_bucket\"}{\"metric_name\":\"c\"}{\"metric_name\":\"c\",\"payload\":{\"labels\":{\"a\":\"b\"}}}", "store_limit"),
        (b"{\"metric_name\":\"push_time_seconds\",\"payload\":{\"value\":1}}", "name_clash"),
    ];
    // All at once, with good ones between.
    let mut expected = std::collections::BTreeMap::<&str, f64>::new();
    for (datagram, reason) in bad {
        sender.send(datagram);
        sender.send(r#"{"metric_name":"c"}"#);
        *expected.entry(reason).or_default() += 1.0;
    }
    eventually("all is taken in", || received(&server, 1 + 2 * bad.len()));
    eventually("all is taken in", || server.page().contains("c 10\n"));
    for (reason, count) in expected {
        eventually("all is taken in", || dropped(&server, reason) >= count);
        assert_eq!(dropped(&server, reason), count, "{reason}");
    }
    assert_eq!(server.page(), "# TYPE c counter\nc 10\n");
}

#[test]
fn what_is_no_observation_of_what_came_with_it_is_counted_too() {
    const PAIRS: usize = 100;
    let server = Server::start_with_datagrams(&[]);
    let sender = Sender::to(&server);
    for number in 0..PAIRS {
        sender.send(format!("{{\"metric_name\":\"x{number}\",\"payload\":{{\"value\":1}}}}"));
        sender.send(format!("{{\"metric_name\":\"x{number}\",\"payload\":{{\"observation\":1}}}}"));
    }
    eventually("all is taken in", || received(&server, 2 * PAIRS) && server.samples().len() == PAIRS);
    // Together they are two metrics of one name; after the first, the second has no value for a gauge.
    eventually("each second one is dropped", || dropped(&server, "malformed") == PAIRS as f64);
}

#[test]
fn what_is_new_beside_a_gauge_is_merged_by_its_own_rule() {
    let server = Server::start_with_datagrams(&[]);
    let sender = Sender::to(&server);
    for (operation, shown) in [("decrement", "-1"), ("set", "1")] {
        let name = |kind: &str| format!("{kind}_beside_{operation}");
        let counts = format!("{{\"metric_name\":\"{}\"}}", name("c")).repeat(3);
        let payload = format!("{{\"operation\":\"{operation}\",\"value\":1}}");
        sender.send(format!("{{\"metric_name\":\"{}\",\"payload\":{payload}}}{counts}", name("g")));
        eventually("all is taken in", || server.page().contains(&format!("{} {shown}\n", name("g"))));
        assert!(server.page().contains(&format!("{} 3\n", name("c"))), "{}", server.page());
    }
}

#[test]
fn limits_of_a_push_are_those_of_a_datagram() {
    const DATAGRAMS: usize = 1000;
    let server = Server::start_with_datagrams(&["--max-samples", "2"]);
    let sender = Sender::to(&server);
    (0..DATAGRAMS).for_each(|_| sender.send(r#"{"metric_name":"c"}{"metric_name":"c"}"#));
    sender.send(r#"{"metric_name":"c"}{"metric_name":"c"}{"metric_name":"c"}"#);
    eventually("all is received", || received(&server, DATAGRAMS + 1));
    eventually("all is taken in", || server.page().contains(&format!("c {}\n", 2 * DATAGRAMS)));
    eventually("the last one is dropped", || dropped(&server, "malformed") == 1.0);
}

#[test]
fn nothing_is_lost_unseen() {
    const SENDERS: usize = 4;
    const DATAGRAMS: usize = 20_000;
    let server = Server::start_with_datagrams(&["--udp-buffer", "64KiB"]);
    std::thread::scope(|scope| {
        for number in 0..SENDERS {
            let sender = Sender::to(&server);
            scope.spawn(move || {
                let datagram =
                    format!("{{\"metric_name\":\"c\",\"payload\":{{\"labels\":{{\"sender\":\"{number}\"}}}}}}");
                (0..DATAGRAMS).for_each(|_| sender.send(&datagram));
            });
        }
    });
    let sent = (SENDERS * DATAGRAMS) as f64;
    let taken =
        || server.samples().iter().filter(|(series, _)| series.starts_with("c{")).map(|(_, value)| value).sum::<f64>();
    let lost = || server.own_metric("catchment_udp_kernel_drops_total") + dropped(&server, "shard_full");
    eventually("all is taken in", || taken() + lost() >= sent);
    assert_eq!(taken() + lost(), sent);
    assert_eq!(
        server.own_metric("catchment_udp_datagrams_total") + server.own_metric("catchment_udp_kernel_drops_total"),
        sent
    );
}

#[test]
fn what_came_before_the_end_is_taken_in() {
    let server = Server::start_with_datagrams(&["--shutdown-delay", "1s"]);
    let sender = Sender::to(&server);
    (0..1000).for_each(|_| sender.send(r#"{"metric_name":"c"}"#));
    eventually("all is taken in", || server.page().contains("c 1000\n"));
}

#[test]
fn unix_sockets_take_datagrams_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("observations");
    let server = Server::start_with_datagrams_on(&path, &[]);
    let sender = UnixDatagram::unbound().expect("a socket");
    for _ in 0..100 {
        sender.send_to(br#"{"metric_name":"c"}"#, &path).expect("sent");
    }
    eventually("all is taken in", || server.page().contains("c 100\n"));
    drop(server);
    assert!(!path.exists(), "the file has gone with the server");
}

#[test]
fn the_gateways_own_families_are_not_to_be_declared() {
    let declarations = file(r#"{"gauges": [{"metric_name": "push_time_seconds"}]}"#);
    let path = declarations.path().to_str().expect("UTF-8");
    let stopped = Server::start(&["--declarations", path]).stop().expect_err("a clash");
    assert!(stopped.contains("got push_time_seconds, which has one of push_time_seconds"), "{stopped}");
}
