//! Other people's programs as clients: what the `prometheus` crate gathers and encodes, pushed.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use common::exchange::Format;
use common::{Server, page};
use prometheus::{
    CounterVec, Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, Opts, ProtobufEncoder, Registry,
    TextEncoder,
};

/// A registry with every kind the crate has, with labels and without.
fn registry() -> Registry {
    let registry = Registry::new();
    let requests = CounterVec::new(Opts::new("requests_total", "All \\ \"requests\"\nso far."), &["code", "path"]);
    let requests = requests.expect("valid names");
    requests.with_label_values(&["200", "/a\"b\\c\nd"]).inc_by(3.0);
    requests.with_label_values(&["500", "é"]).inc_by(0.25);
    let restarts = IntCounter::new("restarts_total", "Restarts.").expect("valid names");
    restarts.inc();
    let temperature = Gauge::new("temperature", "How warm it is.").expect("valid names");
    temperature.set(-12.5);
    let seconds = HistogramVec::new(
        HistogramOpts::new("latency_seconds", "Time taken.").buckets(vec![0.25, 1.0, 2.5]),
        &["handler"],
    );
    let seconds = seconds.expect("valid names");
    for observed in [0.25, 0.5, 2.0, 100.0] {
        seconds.with_label_values(&["slow"]).observe(observed);
    }
    seconds.with_label_values(&["fast"]).observe(0.125);
    let unseen = Histogram::with_opts(HistogramOpts::new("unseen_bytes", "Nothing yet.").buckets(vec![1.0]));
    let unseen = unseen.expect("valid names");
    registry.register(Box::new(requests)).expect("a new name");
    registry.register(Box::new(restarts)).expect("a new name");
    registry.register(Box::new(temperature)).expect("a new name");
    registry.register(Box::new(seconds)).expect("a new name");
    registry.register(Box::new(unseen)).expect("a new name");
    registry
}

#[test]
fn what_the_prometheus_crate_pushes_is_what_it_would_show() {
    let families = registry().gather();
    let mut protobuf = Vec::new();
    ProtobufEncoder::new().encode(&families, &mut protobuf).expect("families that can be encoded");
    let text = TextEncoder::new().encode_to_string(&families).expect("families that can be encoded");
    let content_type = ProtobufEncoder::new().format_type().to_owned();

    let server = Server::start(&[]);
    let push = || {
        let reply = server.push_with("/metrics", &[("Content-Type", &content_type)], &protobuf);
        assert_eq!((reply.status, reply.text().as_str()), (202, ""));
    };
    push();
    assert_eq!(server.page(), text);

    push();
    let once = page::samples(&text);
    let twice = page::samples(&server.page());
    assert_eq!(once.keys().collect::<Vec<_>>(), twice.keys().collect::<Vec<_>>());
    for (series, value) in &once {
        let expected = if series == "temperature" { *value } else { value * 2.0 };
        assert_eq!(twice[series], expected, "{series}");
    }
}

/// The crate's own types read what it pushed back from the page.
#[test]
fn what_the_prometheus_crate_pushed_comes_back_by_protobuf() {
    let families = registry().gather();
    let mut pushed = Vec::new();
    ProtobufEncoder::new().encode(&families, &mut pushed).expect("families that can be encoded");
    let server = Server::start(&[]);
    server.take_as(Format::Protobuf, &pushed);
    let scraped = server.scrape_families();
    let names: Vec<&str> = scraped.iter().map(|family| family.name()).collect();
    let gathered: Vec<&str> = families.iter().map(|family| family.name()).collect();
    assert_eq!(names, gathered);
    for (scraped, pushed) in scraped.iter().zip(&families) {
        assert_eq!(scraped.help(), pushed.help());
        assert_eq!(scraped.metric.len(), pushed.get_metric().len(), "{}", scraped.name());
    }
}
