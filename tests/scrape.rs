//! The page: the same for any number of shards, whole for every reader, and no burden to pushes however it is read.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::wire::{self, Answer};
use common::{Server, eventually, page, while_working};

/// Values that a page must order, escape and tell apart.
const ODD_VALUES: [&str; 8] = ["", "a", "a,b", "a\\\"", "a\\\\", "\\n", "é", "~"];

/// A push that brings every kind of family, with series that meet those of other pushes in part.
fn mixed_push(number: usize) -> String {
    let mut body = String::from("# HELP a_total All.\n# TYPE a_total counter\n");
    for series in 0..300 {
        let (zone, odd) = ((series + number) % 17, ODD_VALUES[series % ODD_VALUES.len()]);
        let _ = writeln!(body, "a_total{{series=\"{series}\",odd=\"{odd}\",zone=\"{zone}\"}} {number}");
    }
    body.push_str("# TYPE b gauge\n# TYPE h histogram\n# TYPE s summary\n");
    for series in 0..100 {
        let bound = 0.5 + ((series * number) % 5) as f64;
        let _ = writeln!(body, "h_bucket{{le=\"{bound}\",series=\"{series}\"}} 1");
        let _ = writeln!(body, "h_bucket{{series=\"{series}\",le=\"+Inf\"}} 2\nh_sum{{series=\"{series}\"}} {bound}");
        let _ = writeln!(body, "h_count{{series=\"{series}\"}} 2\nb{{push=\"{number}\",series=\"{series}\"}} {series}");
        let _ = writeln!(body, "s_sum{{series=\"{series}\"}} {number}\nuntyped{{series=\"{series}\"}} 1");
    }
    body
}

/// The labels as they stand between the braces, without `le`.
fn label_text(series: &str) -> &str {
    let labels = series.split_once('{').map_or("", |(_, labels)| labels);
    let labels = labels.strip_suffix('}').unwrap_or(labels);
    match labels.rfind("le=\"") {
        Some(at) if series.contains("_bucket{") => labels[..at].trim_end_matches(','),
        _ => labels,
    }
}

#[test]
fn the_page_is_the_same_for_any_number_of_shards() {
    let pages = ["1", "2", "5"].map(|shards| {
        let server = Server::start(&["--shards", shards]);
        for number in 0..12 {
            server.push_ok(&format!("/metrics/job/{}", number % 3), mixed_push(number));
        }
        server.page()
    });
    let families = page::families(&pages[0]);
    let series: usize = families.iter().map(|family| family.samples.len()).sum();
    assert!(series > 5000, "a page of several chunks from each shard");
    assert!(pages.iter().all(|page| *page == pages[0]));
    for family in &families {
        let keys: Vec<&str> = family.samples.iter().map(|(series, _)| label_text(series)).collect();
        assert!(keys.is_sorted(), "{} is not in bytewise order", family.name);
    }
    let heads: Vec<_> = families.iter().map(|family| (family.name, family.kind, family.help)).collect();
    let expected = [
        ("a_total", "counter", Some("All.")),
        ("b", "gauge", None),
        ("h", "histogram", None),
        ("s", "summary", None),
        ("untyped", "untyped", None),
    ];
    assert_eq!(heads, expected);
}

#[test]
fn families_are_selected_by_name() {
    let server = Server::start(&[]);
    server.push_ok("/metrics", "a 1\nb 2\n# TYPE h histogram\nh_sum 1\n{\"my.x\"} 3\n");
    let (a, b) = ("# TYPE a untyped\na 1\n", "# TYPE b untyped\nb 2\n");
    let (h, x) = ("# TYPE h histogram\nh_sum 1\n", "# TYPE my_x untyped\nmy_x 3\n");
    let cases = [
        ("", format!("{a}{b}{h}{x}")),
        ("?", format!("{a}{b}{h}{x}")),
        ("?other=1", format!("{a}{b}{h}{x}")),
        ("?name[]=b", b.to_owned()),
        ("?name[]=b&name[]=a&name[]=b", format!("{a}{b}")),
        ("?name%5B%5D=h", h.to_owned()),
        ("?name[]=h_sum", String::new()),
        ("?name[]=my.x", x.to_owned()),
        ("?name[]=my_x&x=y", x.to_owned()),
        ("?name[]=nothing", String::new()),
        ("?name[]=%FF", String::new()),
    ];
    for (query, expected) in cases {
        // A client library would refuse or rewrite some of these addresses.
        let answer = server.raw(&wire::get_request(&format!("/metrics{query}")));
        assert_eq!(dechunked(&Answer::read(&answer).body), expected, "{query}");
    }
}

/// The content of a chunked body that has come to its end.
#[track_caller]
fn dechunked(mut body: &str) -> String {
    let mut content = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect("a size in hexadecimal");
        content.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").expect("a chunk's end");
        if size == 0 {
            return content;
        }
    }
}

#[test]
fn the_page_says_what_it_is() {
    let server = Server::start(&[]);
    let answer = Answer::read(&server.raw(&wire::get_request("/metrics")));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(dechunked(&answer.body), "", "an empty server has an empty page");
}

/// A server whose page is far larger than what a connection to it buffers.
fn server_with_large_page(flags: &[&str]) -> Server {
    let server = Server::start_on(wire::listener_with_small_buffers(), flags);
    for push in 0..10 {
        server.push_ok("/metrics", many_series(push * 2000..(push + 1) * 2000));
    }
    server
}

fn many_series(numbers: std::ops::Range<usize>) -> String {
    const FILLING: &str = "a value that is as long as the values of labels often are, or longer";
    let line = |number| format!("large{{filling=\"{FILLING}\",number=\"{number}\"}} 1\n");
    numbers.map(line).collect()
}

fn running_scrapes(server: &Server) -> f64 {
    server.own_metric("catchment_concurrent_scrapes")
}

/// Readers that have asked for the page and hang.
fn hanging_readers(server: &Server, count: usize) -> Vec<TcpStream> {
    let readers = (0..count).map(|_| wire::slow_reader(server.address, "/metrics")).collect();
    eventually("all scrapes run", || running_scrapes(server) == count as f64);
    readers
}

#[test]
fn a_reader_that_stops_reading_stalls_neither_pushes_nor_other_readers() {
    const PUSHES: usize = 300;
    let server = server_with_large_page(&[]);
    let readers = hanging_readers(&server, 4);
    let start = Instant::now();
    for _ in 0..PUSHES {
        server.push_ok("/metrics", "# TYPE c counter\nc 1\n");
    }
    let page = server.page();
    let took = start.elapsed();
    assert_eq!(running_scrapes(&server), 4.0, "they have hung all the time");
    assert!(took < Duration::from_secs(3), "{PUSHES} pushes and a scrape took {took:?}");
    assert_eq!(page::samples(&page)["c"], PUSHES as f64);
    drop(readers);
}

#[test]
fn a_slow_reader_gets_a_whole_page_in_the_end() {
    let server = server_with_large_page(&[]);
    let mut reader = hanging_readers(&server, 1).remove(0);
    server.push_ok("/metrics", many_series(50_000..52_000));
    let answer = wire::read_to_close(&mut reader);
    let page = dechunked(&Answer::read(&answer).body);
    let samples = page::samples(&page);
    assert!(samples.len() >= 20_000, "what was stored before the scrape is on its page");
    eventually("the scrape ends", || running_scrapes(&server) == 0.0);
    assert!(server.own_metric("catchment_scrapes_total{outcome=\"complete\"}") >= 1.0);
}

#[test]
fn a_reader_that_vanishes_ends_its_scrape() {
    let server = server_with_large_page(&[]);
    let mut readers = hanging_readers(&server, 3);
    readers.pop();
    eventually("one scrape ends", || running_scrapes(&server) == 2.0);
    let mut start = [0; 1000];
    readers[0].read_exact(&mut start).expect("the page begins");
    drop(readers);
    eventually("all scrapes end", || running_scrapes(&server) == 0.0);
    assert_eq!(server.own_metric("catchment_scrapes_total{outcome=\"broken\"}"), 3.0);
}

#[test]
fn a_reader_that_hangs_too_long_is_cut_off_and_sees_it() {
    let server = server_with_large_page(&["--scrape-stall-timeout", "300ms"]);
    let mut reader = hanging_readers(&server, 1).remove(0);
    eventually("the scrape is given up", || running_scrapes(&server) == 0.0);
    let answer = wire::read_to_close(&mut reader);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(!answer.ends_with("\r\n0\r\n\r\n"), "a short page must not look like a whole one");
}

#[test]
fn scrapes_beyond_the_limit_are_told_to_come_back() {
    let server = server_with_large_page(&["--max-scrapes", "2"]);
    let mut readers = hanging_readers(&server, 2);
    let answer = Answer::read(&server.raw(&wire::get_request("/metrics")));
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")));
    assert_eq!(answer.body, "too many scrapes are being streamed, try again later\n");
    server.push_ok("/metrics", "# TYPE c counter\nc 1\n");
    assert_eq!(server.get("/-/ready").0, 200, "the server is as well as before");
    readers.pop();
    eventually("there is room again", || server.get("/metrics").0 == 200);
}

#[test]
fn no_scrape_sees_half_of_a_histogram() {
    let server = Server::start(&["--shards", "3"]);
    let mut body = String::from("# TYPE h histogram\n");
    for series in 0..400 {
        for (bound, count) in [("0.5", 1), ("1", 2), ("+Inf", 4)] {
            let _ = writeln!(body, "h_bucket{{series=\"{series}\",le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(body, "h_sum{{series=\"{series}\"}} 3\nh_count{{series=\"{series}\"}} 4");
    }
    server.push_ok("/metrics", &body);
    let scrapes = || {
        for _ in 0..20 {
            check_histograms(&page::samples(&server.page()));
        }
    };
    while_working(1, |_, _| server.push_ok("/metrics", &body), scrapes);
}

/// Every series must be a whole number of the pushed increments.
fn check_histograms(samples: &page::Samples) {
    let mut parts: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (series, value) in samples {
        parts.entry(label_text(series).to_owned()).or_default().push(*value);
    }
    assert_eq!(parts.len(), 400);
    for (series, parts) in parts {
        // By name: the buckets +Inf, 0.5 and 1, then count and sum.
        let pushes = parts[1];
        let whole = [4.0, 1.0, 2.0, 4.0, 3.0].map(|part| part * pushes);
        assert_eq!(parts, whole, "{series}");
    }
}

#[test]
fn a_scrape_shows_all_that_was_acknowledged_before_it() {
    let server = Server::start(&["--shards", "3"]);
    let acknowledged = AtomicUsize::new(0);
    // Numbers that jump about, so that new series come before, between and behind those already streamed.
    let number = |push: usize| push.wrapping_mul(7919) % 100_000;
    let create = |_, push| {
        let lines = many_series(number(push)..number(push) + 1);
        let body: String = (0..20).map(|copy| lines.replace("large{", &format!("large{{copy=\"{copy}\","))).collect();
        server.push_ok("/metrics", format!("{body}family_{} 1\n", push % 200));
        acknowledged.store(push + 1, Ordering::Release);
    };
    let scrapes = || {
        for _ in 0..25 {
            let before = acknowledged.load(Ordering::Acquire);
            let page = server.page();
            let large = page::samples(&page).keys().filter(|series| series.starts_with("large{")).count();
            let after = acknowledged.load(Ordering::Acquire) + 1;
            assert!((before * 20..=after * 20).contains(&large), "{large} series of {before} to {after} pushes");
        }
    };
    while_working(1, create, scrapes);
}
