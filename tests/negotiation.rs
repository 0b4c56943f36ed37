//! Which format a scraper gets for what it asks, and bodies compressed in both directions.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::io::{Read, Write};

use catchment_test_schema::{family, write_delimited};
use common::Server;
use common::exchange::Format;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_1: &str = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores";
const TEXT_1_UTF8: &str = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores";
const OPENMETRICS_UTF8: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
const OPENMETRICS_OLD: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
const PROTOBUF_UTF8: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8";

/// What real servers send (`+NH`: with native histograms), and what they must get.
const OF_PROMETHEUS: [(&str, &str, &str); 6] = [
    (
        "2.42",
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
         text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
    ),
    (
        "2.42+NH",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
         application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
         text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        PROTOBUF,
    ),
    (
        "2.53",
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
         text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
    ),
    (
        "2.53+NH",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,\
         application/openmetrics-text;version=1.0.0;q=0.4,application/openmetrics-text;version=0.0.1;q=0.3,\
         text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        PROTOBUF,
    ),
    (
        "3.5",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
         text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS_UTF8,
    ),
    (
        "3.5+NH",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
         text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        PROTOBUF_UTF8,
    ),
];

/// A page with a name that is not a legacy one, so that the escaping shows.
fn server_with_page() -> Server {
    let server = Server::start(&[]);
    server.push_ok("/metrics", "# TYPE c_total counter\nc_total 1\n# TYPE \"my.g\" gauge\n{\"my.g\"} 2\n");
    server
}

/// The page must be of the type it is said to be.
#[track_caller]
fn check_body(content_type: &str, body: &[u8], what: &str) {
    let name: &[u8] = if content_type.contains("allow-utf-8") { b"my.g" } else { b"my_g" };
    assert!(body.windows(name.len()).any(|window| window == name), "{what}");
    let is_openmetrics = content_type.starts_with("application/openmetrics-text");
    assert_eq!(body.ends_with(b"# EOF\n"), is_openmetrics, "{what}");
    let is_protobuf = content_type.starts_with("application/vnd.google.protobuf");
    assert_eq!(body.starts_with(b"# TYPE c"), !is_protobuf, "{what}");
    assert_eq!(catchment_test_schema::read_delimited(body).is_ok(), is_protobuf, "{what}");
}

#[track_caller]
fn check(server: &Server, accept: &str, content_type: &str, what: &str) {
    let reply = server.scrape_with(&[("Accept", accept)]);
    assert_eq!((reply.status, reply.header("Content-Type")), (200, content_type), "{what}");
    check_body(content_type, &reply.body, what);
}

#[test]
fn every_prometheus_gets_the_best_it_asks_for() {
    let server = server_with_page();
    for (version, accept, content_type) in OF_PROMETHEUS {
        check(&server, accept, content_type, version);
    }
}

#[test]
fn any_other_wish_is_granted_or_answered_with_text() {
    let cases = [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("application/*", TEXT),
        ("application/json", TEXT),
        ("image/png, text/html;q=0.9", TEXT),
        ("nonsense", TEXT),
        (";;;,,,", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain;version=1.0.0", TEXT_1),
        ("text/plain;version=2.0.0", TEXT),
        ("text/plain; version=1.0.0; escaping=allow-utf-8", TEXT_1_UTF8),
        ("text/plain;version=1.0.0;escaping=nothing-known", TEXT_1),
        ("text/plain;escaping=allow-utf-8", "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"),
        ("application/openmetrics-text", OPENMETRICS_OLD),
        ("application/openmetrics-text;version=0.0.1", OPENMETRICS_OLD),
        ("application/openmetrics-text;version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.1", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0,text/plain", OPENMETRICS),
        ("text/plain,application/openmetrics-text;version=1.0.0", TEXT),
        ("text/plain;q=0.5,application/openmetrics-text;version=1.0.0;q=0.6", OPENMETRICS),
        ("text/plain;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5", TEXT),
        ("*/*,application/openmetrics-text;version=1.0.0;q=0.5", OPENMETRICS),
        (PROTOBUF, PROTOBUF),
        ("application/vnd.google.protobuf;encoding=delimited;proto=io.prometheus.client.MetricFamily", PROTOBUF),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", TEXT),
        ("application/vnd.google.protobuf", TEXT),
        ("application/vnd.google.protobuf;proto=other;encoding=delimited,text/plain;version=1.0.0;q=0.1", TEXT_1),
    ];
    let server = server_with_page();
    for (accept, content_type) in cases {
        check(&server, accept, content_type, accept);
    }
    let reply = server.scrape_with(&[]);
    assert_eq!((reply.status, reply.header("Content-Type")), (200, TEXT));
    assert!(reply.header("Vary").starts_with("Accept, Accept-Encoding"));
}

fn unpacked(encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match encoding {
        "gzip" => flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain),
        "zstd" => zstd::stream::copy_decode(body, &mut plain).map(|()| plain.len()),
        _ => (&mut &*body).read_to_end(&mut plain),
    }
    .expect("a whole page");
    plain
}

#[test]
fn pages_are_compressed_as_the_scraper_wishes() {
    let cases = [
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("zstd", "zstd"),
        ("br", ""),
        ("br, deflate", ""),
        ("br, gzip;q=0.1", "gzip"),
        ("gzip, zstd", "zstd"),
        ("zstd;q=0.5, gzip;q=0.6", "gzip"),
        ("gzip;q=0.5, zstd;q=0.6", "zstd"),
        ("gzip;q=0", ""),
        ("gzip;q=0, zstd;q=0", ""),
        ("zstd;q=0, gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("not gzip", ""),
    ];
    let server = server_with_page();
    let large: String = (0..20_000).map(|number| format!("large{{number=\"{number}\"}} {number}\n")).collect();
    server.push_ok("/metrics", large);
    for format in Format::ALL {
        let plain = server.scrape(format);
        for (accept, encoding) in cases {
            let headers = [("Accept", format.content_type()), ("Accept-Encoding", accept)];
            let reply = server.scrape_with(&headers);
            assert_eq!((reply.status, reply.header("Content-Encoding")), (200, encoding), "{accept:?}, {format:?}");
            assert_eq!(reply.header("Content-Type"), format.content_type());
            assert!(reply.header("Vary").starts_with("Accept, Accept-Encoding"));
            assert!(unpacked(encoding, &reply.body) == plain, "{accept:?}, {format:?}");
            assert!(encoding.is_empty() || reply.body.len() < plain.len() / 3, "{accept:?}, {format:?}");
        }
    }
}

/// An empty page is a whole one, too.
#[test]
fn empty_pages_can_be_unpacked() {
    let server = Server::start(&[]);
    for encoding in ["gzip", "zstd"] {
        for format in Format::ALL {
            let plain = server.scrape(format);
            let reply = server.scrape_with(&[("Accept", format.content_type()), ("Accept-Encoding", encoding)]);
            assert_eq!(unpacked(encoding, &reply.body), plain, "{encoding}, {format:?}");
        }
    }
}

fn packed(encoding: &str, body: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    match encoding.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        "raw deflate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        "snappy" => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(body).map(|()| encoder.into_inner().expect("memory"))
        }
        "zstd" => zstd::encode_all(body, 3),
        _ => Ok(body.to_vec()),
    }
    .expect("memory")
}

#[test]
fn pushes_are_unpacked_whatever_their_format() {
    let lines: String = (0..5000).map(|number| format!("a{{number=\"{number}\"}} {number}\n")).collect();
    let page = format!("# TYPE a gauge\n{lines}");
    let first = Server::start(&[]);
    first.push_ok("/metrics", &page);
    let (protobuf, text) = (first.scrape(Format::Protobuf), first.scrape(Format::Text));
    let bodies = [
        (Format::Text, page.clone().into_bytes()),
        (Format::OpenMetrics, format!("{page}# EOF\n").into_bytes()),
        (Format::Protobuf, protobuf),
    ];
    for encoding in ["identity", "gzip", "GZip", "x-gzip", "deflate", "raw deflate", "snappy", "zstd"] {
        let name = if encoding == "raw deflate" { "deflate" } else { encoding };
        for (format, body) in &bodies {
            let server = Server::start(&[]);
            let headers = [("Content-Type", format.content_type()), ("Content-Encoding", name)];
            let reply = server.push_with("/metrics", &headers, &packed(encoding, body));
            assert_eq!((reply.status, reply.text().as_str()), (202, ""), "{format:?} in {encoding}");
            assert!(server.scrape(Format::Text) == text, "{format:?} in {encoding}");
        }
    }
}

/// Several members of gzip, several frames of zstd: what `cat` makes of two files.
#[test]
fn bodies_put_together_are_read_to_their_end() {
    for encoding in ["gzip", "zstd", "snappy"] {
        let server = Server::start(&[]);
        let body = [packed(encoding, b"a 1\n"), packed(encoding, b"b 2\n")].concat();
        assert_eq!(server.push_with("/metrics", &[("Content-Encoding", encoding)], &body).status, 202, "{encoding}");
        assert_eq!(server.page(), "# TYPE a untyped\na 1\n# TYPE b untyped\nb 2\n", "{encoding}");
    }
}

#[test]
fn the_type_of_a_push_is_understood_however_it_is_written() {
    let protobuf = write_delimited([&family("name: 'a' type: GAUGE metric { gauge { value: 1 } }")]);
    let openmetrics = b"# TYPE a gauge\na 1\n# EOF\n".to_vec();
    let text = b"# a comment\n# TYPE a gauge\na 1\n".to_vec();
    let cases = [
        ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", &protobuf),
        ("application/vnd.google.protobuf;encoding=delimited;proto=io.prometheus.client.MetricFamily", &protobuf),
        (
            "Application/VND.Google.Protobuf ; Encoding=Delimited ; charset=utf-8 ; PROTO=io.prometheus.client.MetricFamily",
            &protobuf,
        ),
        (
            "application/vnd.google.protobuf; proto=\"io.prometheus.client.MetricFamily\"; encoding=\"delimited\"",
            &protobuf,
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=values",
            &protobuf,
        ),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", &openmetrics),
        ("application/openmetrics-text; version=0.0.1", &openmetrics),
        ("Application/OpenMetrics-Text", &openmetrics),
        ("application/openmetrics-text; version=1.0.0; escaping=underscores", &openmetrics),
        ("text/plain", &text),
        ("text/plain; version=1.0.0; escaping=allow-utf-8", &text),
        ("application/x-www-form-urlencoded", &text),
        ("application/x-protobuf", &text),
        ("nonsense", &text),
    ];
    for (content_type, body) in cases {
        let server = Server::start(&[]);
        let reply = server.push_with("/metrics", &[("Content-Type", content_type)], body);
        assert_eq!((reply.status, reply.text().as_str()), (202, ""), "{content_type}");
        assert_eq!(server.page(), "# TYPE a gauge\na 1\n", "{content_type}");
    }
}
