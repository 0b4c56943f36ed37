//! Bad input in every format: its status, its one line, and that nothing of it is left behind.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

#[path = "../common/mod.rs"]
mod common;

mod any_bytes;
mod headers;
mod openmetrics;
mod protobuf;

use catchment_test_schema::{MetricFamily, family};
use common::Server;
use common::exchange::Format;

/// What is stored when the refusals begin.
pub const BASE: &str = "# TYPE base_total counter\nbase_total{a=\"1\"} 5\n# TYPE lat histogram\nlat_bucket{le=\"1\"} 1\n\
    lat_bucket{le=\"+Inf\"} 2\nlat_sum 3\nlat_count 2\n# TYPE level gauge\nlevel 3\n# TYPE rpc summary\nrpc_sum 1\nrpc_count 2\n";

/// A server with something in it, and how it looks.
pub fn server_with_base(flags: &[&str]) -> (Server, Vec<u8>) {
    let server = Server::start(flags);
    server.push_ok("/metrics", BASE);
    let page = server.scrape(Format::Protobuf);
    (server, page)
}

/// One refused push: what it is, its body, its status and line.
pub type Case<'c> = (&'c str, Vec<u8>, u16, &'c str);

/// All cases must be answered as the table says, and leave nothing. All that differ are told at once.
#[track_caller]
pub fn check(headers: &[(&str, &str)], cases: &[Case]) {
    let (mut server, mut page) = server_with_base(&[]);
    let mut faults = String::new();
    for (what, body, status, line) in cases {
        let reply = server.push_with("/metrics", headers, body);
        let answer = (reply.status, reply.text());
        if answer != (*status, format!("{line}\n")) {
            faults += &format!("{what}\n  expected {:?}\n  got      {answer:?}\n", (status, line));
        }
        if server.scrape(Format::Protobuf) != page {
            faults += &format!("{what}\n  left something\n");
            (server, page) = server_with_base(&[]);
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// A family with everything, and one behind it.
pub fn full_families() -> [MetricFamily; 2] {
    let full = family(
        "name: 'h' help: 'H.' type: HISTOGRAM unit: 's' metric { label { name: 'l' value: 'v' }
         histogram { sample_count: 3 sample_sum: 4.5 zero_threshold: 0.5 zero_count: 1 schema: 1
         bucket { cumulative_count: 1 upper_bound: 1 exemplar { value: 1 timestamp { seconds: 1 nanos: 2 } } }
         negative_span { offset: 0 length: 1 } negative_delta: 1 positive_span { offset: 1 length: 1 }
         positive_delta: 1 created_timestamp { seconds: 3 }
         exemplars { label { name: 'l' value: 'v' } value: 1 timestamp { seconds: 1 } } } }",
    );
    [full, family("name: 'c_total' type: COUNTER metric { counter { value: 1 } timestamp_ms: 3 }")]
}
