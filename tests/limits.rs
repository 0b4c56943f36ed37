//! Nobody takes more than their share: oversized, slow, hostile and abandoned requests, and the limits of what is stored.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::wire::{self, Answer};
use common::{Server, eventually, page};

/// A body of exactly so many bytes that brings one untyped sample `x 1`.
fn body_of(bytes: usize) -> Vec<u8> {
    const SAMPLE: &[u8] = b"x 1\n";
    const COMMENT: &[u8] = b"# a comment to fill it up\n";
    let mut body = SAMPLE.to_vec();
    while body.len() + COMMENT.len() <= bytes {
        body.extend_from_slice(COMMENT);
    }
    body.resize(bytes, b'\n');
    body
}

fn inflight(server: &Server) -> f64 {
    server.own_metric("catchment_inflight_bytes")
}

#[track_caller]
fn check_nothing_is_left(server: &Server, page: &str) {
    eventually("no body is in flight", || inflight(server) == 0.0);
    assert_eq!(server.page(), page);
}

#[test]
fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let server = Server::start(&["--max-body", "2000"]);
    let chunked = |bytes| wire::chunked_push_request("/metrics", &body_of(bytes), 700);
    let plain = |bytes| wire::push_request("/metrics", &body_of(bytes));
    for request in [plain(2000), chunked(2000)] {
        assert_eq!(Answer::read(&server.raw(&request)).status, 202);
    }
    let page = server.page();
    for (index, request) in [plain(2001), chunked(2001), plain(1 << 20), chunked(1 << 20)].iter().enumerate() {
        let answer = Answer::read(&server.raw(request));
        assert_eq!((answer.status, answer.header("Connection")), (413, Some("close")));
        assert_eq!(answer.body, "expected a body of at most 2000 bytes, got more\n");
        assert_eq!(server.refused("body_too_large"), index as f64 + 1.0);
    }
    check_nothing_is_left(&server, &page);
}

#[test]
fn a_body_that_declares_too_much_is_refused_before_it_comes() {
    let server = Server::start(&["--max-body", "2000", "--body-timeout", "1h"]);
    for length in ["2001", "99999999999", "18446744073709551615"] {
        let head = wire::push_head("/metrics", &[&format!("Content-Length: {length}")]);
        assert_eq!(Answer::read(&server.raw(head.as_bytes())).status, 413, "{length}");
    }
    check_nothing_is_left(&server, "");
}

#[test]
fn a_slow_body_is_given_up() {
    let server = Server::start(&["--body-timeout", "300ms"]);
    let mut stream = wire::connect(server.address);
    let head = wire::push_head("/metrics", &["Content-Length: 1000"]);
    stream.write_all(head.as_bytes()).expect("a short head");
    // Each byte comes soon enough after the last; all together take too long.
    let mut trickle = stream.try_clone().expect("a second handle");
    let writer = std::thread::spawn(move || {
        while trickle.write_all(b"\n").is_ok() {
            common::pause(Duration::from_millis(20));
        }
    });
    let start = Instant::now();
    let answer = Answer::read(&wire::read_to_close(&mut stream));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!((answer.status, answer.header("Connection")), (408, Some("close")));
    let line = &answer.body;
    assert!(line.starts_with("expected the whole body within ") && !line.contains(" 0 s"), "{line}");
    assert_eq!(server.refused("body_too_slow"), 1.0);
    drop(stream);
    writer.join().expect("it ends with the connection");
    check_nothing_is_left(&server, "");
}

/// The server must close within a second or two, whatever it says.
#[track_caller]
fn check_closes(stream: &mut TcpStream, what: &str) {
    let start = Instant::now();
    wire::read_to_close(stream);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{what}: closed after {took:?}");
}

const UNFINISHED_HEAD: &[u8] = b"POST /metrics HTTP/1.1\r\nHost: test\r\nX-Slow: y";

#[test]
fn a_connection_whose_head_does_not_come_is_closed() {
    let server = Server::start(&["--header-timeout", "300ms", "--keep-alive", "1h"]);
    for start in [b"".as_slice(), b"P", UNFINISHED_HEAD] {
        let mut stream = wire::connect(server.address);
        stream.write_all(start).expect("a few bytes");
        check_closes(&mut stream, &format!("{start:?}"));
    }
}

#[test]
fn a_connection_without_requests_is_closed_in_time() {
    let server = Server::start(&["--keep-alive", "300ms"]);
    let mut stream = wire::connect(server.address);
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n").expect("a short request");
    check_closes(&mut stream, "an idle connection");
}

#[test]
fn parts_of_a_line_have_their_limits() {
    let server =
        Server::start(&["--max-line", "100", "--max-labels", "2", "--max-name-length", "8", "--max-value-length", "9"]);
    let comment = |bytes: usize| format!("#{}", "c".repeat(bytes - 1));
    let cases = [
        (comment(100), None),
        (comment(100) + "\n", None),
        (comment(100) + "\r\n", None),
        (comment(101), Some("a line of at most 100 bytes, got 101")),
        (comment(101) + "\n", Some("a line of at most 100 bytes, got 101")),
        ("abcdefgh 1\n".to_owned(), None),
        ("abcdefghi 1\n".to_owned(), Some("a metric name of at most 8 bytes, got 9")),
        ("# TYPE abcdefghi gauge\n".to_owned(), Some("a metric name of at most 8 bytes, got 9")),
        ("{\"abcdefghi\"} 1\n".to_owned(), Some("a metric name of at most 8 bytes, got 9")),
        ("x{abcdefgh=\"123456789\"} 1\n".to_owned(), None),
        ("x{abcdefghi=\"1\"} 1\n".to_owned(), Some("a label name of at most 8 bytes, got 9")),
        ("x{a=\"1234567890\"} 1\n".to_owned(), Some("a label value of at most 9 bytes, got 10")),
        ("x{a=\"1\",b=\"1\"} 1\n".to_owned(), None),
        ("x{a=\"1\",b=\"1\",c=\"1\"} 1\n".to_owned(), Some("at most 2 labels, got more")),
    ];
    for (body, expected) in cases {
        let expected = match expected {
            None => (202, String::new()),
            Some(expected) => (400, format!("line 1: expected {expected}\n")),
        };
        assert_eq!(server.push("/metrics", &body), expected, "{body:?}");
    }
}

#[test]
fn labels_of_the_path_count_too() {
    let server = Server::start(&["--max-labels", "2", "--max-value-length", "9"]);
    server.push_ok("/metrics/job/a", "x{a=\"1\"} 1\nx{job=\"b\",b=\"1\"} 1\n");
    let page = server.page();
    let cases = [
        ("/metrics/job/a", "x{a=\"1\",b=\"1\"} 1\n", "line 1: expected at most 2 labels, got 3\n"),
        ("/metrics/a/1/b/1/c/1", "x 1\n", "expected at most 2 labels, got 3 in the path\n"),
        ("/metrics/job/1234567890", "x 1\n", "expected at most 9 bytes in the path's label \"job\", got 10\n"),
    ];
    for (path, body, line) in cases {
        assert_eq!(server.push(path, body), (400, line.to_owned()), "{path}");
    }
    assert_eq!(server.page(), page);
}

/// A long path is copied to each series: a small body must not become a huge push.
#[test]
fn a_long_path_does_not_multiply_a_push() {
    let server = Server::start(&["--max-body", "1MiB", "--max-decompressed", "1MiB"]);
    let path = |labels: usize| {
        let value = "v".repeat(3500);
        (0..labels).map(|label| format!("/l{label}/{value}")).fold("/metrics".to_owned(), |path, label| path + &label)
    };
    let lines: String = (0..20_000).map(|series| format!("a{{i=\"{series}\"}} 1\n")).collect();
    let cases = [
        (
            3,
            "x 1\n",
            "line 1: expected the labels of a series of at most 8192 bytes with the labels of the path, got more\n",
        ),
        (
            2,
            &lines,
            "line 598: expected the labels of a push of at most 4194304 bytes with the labels of the path, got more\n",
        ),
    ];
    for (labels, body, line) in cases {
        assert_eq!(server.push(&path(labels), body), (400, line.to_owned()));
    }
    server.push_ok(&path(2), "x 1\n");
    assert_eq!(server.page().lines().count(), 2);
}

#[test]
fn gigantic_parts_are_refused_quickly() {
    const HUGE: usize = 12 << 20;
    let labels: String = (0..1_000_000).map(|label| format!("l{label}=\"v\",")).collect();
    let filled = |before: &str, after: &str| format!("{before}{}{after}", "a".repeat(HUGE));
    let bodies = [
        filled("", " 1\n"),
        filled("x{a=\"", "\"} 1\n"),
        filled("x{", "=\"1\"} 1\n"),
        filled("x ", "\n"),
        filled("x 1 ", "\n"),
        filled("# ", "\n"),
        filled("# HELP x ", "\n"),
        filled("# TYPE x ", "\n"),
        format!("x{{{labels}}} 1\n"),
        " ".repeat(HUGE),
        "{".repeat(HUGE),
        "x{a=\"".to_owned() + &"\\\\".repeat(HUGE / 2),
    ];
    let server = Server::start(&[]);
    for body in bodies {
        let start = Instant::now();
        let (status, line) = server.push("/metrics", &body);
        let beginning: String = body.chars().take(20).collect();
        assert_eq!((status, line.lines().count()), (400, 1), "{beginning}");
        assert!(line.len() < 300, "{beginning}: the answer repeats {} bytes", line.len());
        assert!(start.elapsed() < Duration::from_secs(2), "{beginning}: took {:?}", start.elapsed());
    }
    check_nothing_is_left(&server, "");
}

#[test]
fn what_is_not_http_is_refused_and_the_connection_closed() {
    let huge_header = format!("GET /metrics HTTP/1.1\r\nHost: test\r\nX-Huge: {}\r\n\r\n", "h".repeat(8 << 20));
    let many_headers: String = (0..200_000).map(|header| format!("X-{header}: 1\r\n")).collect();
    let many_headers = format!("GET /metrics HTTP/1.1\r\nHost: test\r\n{many_headers}\r\n");
    let long_path = format!("POST /metrics/job/{} HTTP/1.1\r\nHost: test\r\n\r\n", "p".repeat(8 << 20));
    let requests: [&[u8]; 11] = [
        huge_header.as_bytes(),
        many_headers.as_bytes(),
        long_path.as_bytes(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"\xff\xfe\xfd nonsense \r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\nx 1\n",
        b"POST /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nx 1\n\n",
        b"POST /metrics HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\nx 1\n",
    ];
    let server = Server::start(&[]);
    for request in requests {
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        let answer = server.raw(request);
        // A reset connection may have swallowed the answer; a good one must not have been given.
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(status == "none" || status.starts_with('4'), "{shown}: {status}");
    }
    check_nothing_is_left(&server, "");
    assert_eq!(server.get("/-/ready").0, 200);
}

#[test]
fn a_truncated_push_leaves_nothing() {
    let server = Server::start(&[]);
    let chunked = wire::chunked_push_request("/metrics", b"x 1\ny 1\n", 4);
    let declared = wire::push_head("/metrics", &["Content-Length: 8"]) + "x 1\n";
    for request in [declared.as_bytes(), &chunked[..chunked.len() - 5], &chunked[..chunked.len() - 9]] {
        let mut stream = wire::connect(server.address);
        stream.write_all(request).expect("a short request");
        stream.shutdown(Shutdown::Write).expect("an open connection");
        let answer = wire::read_to_close(&mut stream);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    assert_eq!(server.accepted(), 0.0);
    check_nothing_is_left(&server, "");
}

#[test]
fn connections_closed_midway_leave_nothing() {
    const CONNECTIONS: usize = 200;
    let server = Server::start(&[]);
    let head = wire::push_head("/metrics", &["Content-Length: 100000"]);
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| wire::connect(server.address)).collect();
    for stream in &mut streams {
        stream.write_all(head.as_bytes()).expect("a short head");
        stream.write_all(&body_of(1000)).expect("a part of the body");
    }
    eventually("all are being read", || inflight(&server) == (CONNECTIONS * 1000) as f64);
    drop(streams);
    check_nothing_is_left(&server, "");
    assert_eq!(server.accepted(), 0.0);
}

#[test]
fn bodies_beyond_what_may_be_in_flight_are_told_to_come_back() {
    let server = Server::start(&["--max-body", "64KiB", "--max-inflight", "64KiB"]);
    let mut holder = wire::connect(server.address);
    let head = wire::push_head("/metrics", &["Content-Length: 65536"]);
    holder.write_all(head.as_bytes()).expect("a short head");
    holder.write_all(&body_of(60_000)).expect("most of the body");
    eventually("it is being read", || inflight(&server) == 60_000.0);
    for request in [
        wire::push_request("/metrics", &body_of(10_000)),
        wire::chunked_push_request("/metrics", &body_of(10_000), 3000),
    ] {
        let answer = Answer::read(&server.raw(&request));
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")));
        assert_eq!(answer.body, "too many bodies are being read, try again later\n");
    }
    assert_eq!(server.refused("inflight_full"), 2.0);
    server.push_ok("/metrics", "small 1\n");
    assert_eq!(server.page(), "# TYPE small untyped\nsmall 1\n");
    drop(holder);
    eventually("there is room again", || server.push("/metrics", body_of(65_536)).0 == 202);
    check_nothing_is_left(&server, "# TYPE small untyped\nsmall 1\n# TYPE x untyped\nx 1\n");
}

/// A refusal for load says "try again": it must not meet a push that finds the server idle and is within the limits.
/// The limits are a sixteenth of the defaults: decoded, such samples take more room than they take as text.
#[test]
fn a_push_within_the_body_limit_is_not_sent_away_by_an_idle_server() {
    let server = Server::start(&["--shards", "1", "--max-body", "1MiB", "--max-queued", "4MiB"]);
    let samples = (0..45_000).map(|number| format!("h_count{{a=\"{number}\"}} 1\n"));
    let body = "# TYPE h histogram\n".to_owned() + &samples.collect::<String>();
    assert!(body.len() < 1 << 20);
    server.push_ok("/metrics", &body);
    assert_eq!(server.own_metric("catchment_shard_queue_bytes{shard=\"0\"}"), 0.0);
}

/// Lines that give each of these series of `name` the value 1.
fn series(name: &str, numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("{name}{{number=\"{number}\"}} 1\n")).collect()
}

#[track_caller]
fn check_is_over_the_limit(server: &Server, body: &str, expected: &str) {
    let (page, refused) = (server.page(), server.refused("store_limit"));
    assert_eq!(server.push("/metrics", body), (429, format!("expected at most {expected} more\n")));
    assert_eq!(server.page(), page, "nothing of the refused push was applied");
    assert_eq!(server.refused("store_limit"), refused + 1.0);
}

#[test]
fn series_are_limited_exactly_and_known_ones_go_on() {
    for shards in ["1", "2", "5"] {
        let server = Server::start(&["--max-series", "10", "--shards", shards]);
        check_is_over_the_limit(&server, &series("x", 0..11), "10 series, got 11");
        assert_eq!(server.own_metric("catchment_families"), 0.0);
        server.push_ok("/metrics", series("x", 0..7));
        server
            .push_ok("/metrics", series("x", 0..9) + "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n");
        assert_eq!(server.own_metric("catchment_series"), 10.0);
        check_is_over_the_limit(&server, &series("x", 0..10), "10 series, got 1");
        check_is_over_the_limit(&server, &(series("x", 5..9) + &series("new", 0..3)), "10 series, got 3");
        assert_eq!(server.own_metric("catchment_families"), 2.0);
        server.push_ok("/metrics", series("x", 0..9) + "h_bucket{le=\"5\"} 1\nh_count 1\n");
        let samples = page::samples(&server.page());
        assert_eq!((samples["x{number=\"0\"}"], samples["x{number=\"8\"}"]), (3.0, 2.0));
        assert_eq!((samples["h_bucket{le=\"5\"}"], samples["h_count"]), (2.0, 2.0));
        assert_eq!(server.own_metric("catchment_series"), 10.0);
    }
}

#[test]
fn series_of_a_family_are_limited_exactly_and_other_families_are_not_touched() {
    let server = Server::start(&["--max-series-per-family", "3"]);
    check_is_over_the_limit(&server, &(series("y", 0..1) + &series("x", 0..4)), "3 series of x, got 4");
    server.push_ok("/metrics", series("x", 0..2) + &series("y", 0..1));
    server.push_ok("/metrics", series("x", 0..3));
    check_is_over_the_limit(&server, &series("x", 2..4), "3 series of x, got 1");
    check_is_over_the_limit(
        &server,
        &(series("y", 1..2) + &series("x", 0..3) + &series("x", 5..7)),
        "3 series of x, got 2",
    );
    server.push_ok("/metrics", series("x", 0..3) + &series("y", 1..3) + &series("z", 0..3));
    assert_eq!(page::samples(&server.page())["x{number=\"0\"}"], 3.0);
}

#[test]
fn families_are_limited_exactly_and_known_ones_go_on() {
    let server = Server::start(&["--max-families", "2"]);
    check_is_over_the_limit(&server, "a 1\nb 1\nc 1\n", "2 families, got 3");
    server.push_ok("/metrics", "a 1\n");
    server.push_ok("/metrics", "a 1\nb 1\n");
    check_is_over_the_limit(&server, "a 1\nc 1\n", "2 families, got 1");
    server.push_ok("/metrics", "# TYPE c gauge\n# HELP d Not seen.\n# TYPE a counter\na 1\nb{new=\"series\"} 1\n");
    let page = "# TYPE a counter\na 3\n# TYPE b untyped\nb 1\nb{new=\"series\"} 1\n";
    assert_eq!(server.page(), page);
    assert_eq!(server.own_metric("catchment_families"), 2.0);
}

/// All that is pushed fits the limit exactly, so nobody may be refused, whoever comes at the same time.
#[test]
fn pushes_that_fit_are_taken_in_though_many_come_at_once() {
    const THREADS: usize = 4;
    const NEW: usize = 50;
    const KNOWN: usize = 10;
    let limit = (KNOWN + THREADS * NEW).to_string();
    let server = Server::start(&["--max-series", &limit]);
    let known = series("known", 0..KNOWN);
    server.push_ok("/metrics", &known);
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (server, known, refused) = (&server, &known, &refused);
            scope.spawn(move || {
                for number in 0..NEW {
                    let (status, _) =
                        server.push(&format!("/metrics/thread/{thread}"), series("new", number..number + 1));
                    refused.fetch_add(usize::from(status != 202), Ordering::Relaxed);
                    let (status, _) = server.push("/metrics", known);
                    refused.fetch_add(usize::from(status != 202), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(refused.into_inner(), 0);
    assert_eq!(server.own_metric("catchment_series").to_string(), limit);
    check_is_over_the_limit(&server, "one_more 1\n", &format!("{limit} series, got 1"));
}

/// However the bodies look, each is answered, and the page can be read.
#[test]
fn the_page_can_be_read_whatever_is_pushed() {
    const PIECES: [&str; 40] = [
        "a",
        "b_count",
        "h",
        "h_bucket",
        "h_sum",
        "h_count",
        "s",
        "s_sum",
        "_bucket",
        "{",
        "}",
        "{le=\"1\"}",
        "{le=\"+Inf\"}",
        "{quantile=\"0.5\"}",
        "\"",
        "\"a.b\"",
        "{\"a.b\"",
        "=\"1\"",
        "=\"\\\\\"",
        "=\"\\n\"",
        ",",
        ",a=\"2\"",
        "{a=\"\"}",
        "=",
        " ",
        " 1",
        " 2.5",
        " NaN",
        " -1",
        " +Inf",
        " 1e300",
        " 1 1",
        "\n",
        "\n",
        "\n# TYPE h histogram\n",
        "\n# TYPE s summary\n",
        "\n# TYPE a counter\n",
        "\n# HELP a \\\\\n",
        "\r\n",
        "é",
    ];
    let server = Server::start(&[]);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % below
    };
    let mut accepted = 0;
    for _ in 0..3000 {
        let body: String = (0..1 + next(9)).map(|_| PIECES[next(PIECES.len())]).collect();
        let path = ["/metrics", "/metrics/a/1", "/metrics/le/1"][next(3)];
        let (status, line) = server.push(path, &body);
        assert!(matches!((status, line.lines().count()), (202, 0) | (400, 1)), "{body:?}: {status} {line}");
        if status == 202 && body.contains(' ') {
            accepted += 1;
            page::families(&server.page());
        }
    }
    assert!(accepted > 50, "only {accepted} pushes made sense");
}
