//! What a push says of its body and does not keep: format, encoding, size.

use std::io::Write;

use catchment_test_schema::write_delimited;

use crate::common::exchange::Format;
use crate::{Case, check, full_families, server_with_base};

#[test]
fn bodies_of_another_format_than_they_say_are_refused() {
    let protobuf = write_delimited(&full_families());
    let text = b"# TYPE a gauge\na 1\n".to_vec();
    let cases: [(Format, Case); 5] = [
        (
            Format::Protobuf,
            (
                "text as protobuf",
                text.clone(),
                400,
                "byte 0: expected delimited protobuf messages, got the text \"# TYPE a gauge\"",
            ),
        ),
        (
            Format::Protobuf,
            (
                "one line as protobuf",
                b"x 1\n".to_vec(),
                400,
                "byte 0: expected delimited protobuf messages, got the text \"x 1\"",
            ),
        ),
        (Format::Text, ("protobuf as text", protobuf.clone(), 400, "line 4: expected UTF-8, got byte 0xf0")),
        (Format::OpenMetrics, ("protobuf as OpenMetrics", protobuf, 400, "line 4: expected UTF-8, got byte 0xf0")),
        (
            Format::OpenMetrics,
            ("text as OpenMetrics", text, 400, "line 3: expected \"# EOF\" as the last line, got end of body"),
        ),
    ];
    for (format, case) in cases {
        check(&[("Content-Type", format.content_type())], &[case]);
    }
}

#[test]
fn protobuf_that_is_not_delimited_metric_families_is_refused_by_its_type() {
    let cases = [
        (
            "application/vnd.google.protobuf",
            "expected protobuf with proto=io.prometheus.client.MetricFamily and encoding=delimited, got application/vnd.google.protobuf",
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily",
            "expected protobuf with proto=io.prometheus.client.MetricFamily and encoding=delimited, got application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily",
        ),
        (
            "application/vnd.google.protobuf; encoding=delimited",
            "expected protobuf with proto=io.prometheus.client.MetricFamily and encoding=delimited, got application/vnd.google.protobuf; encoding=delimited",
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text",
            "expected protobuf with proto=io.prometheus.client.MetricFamily and encoding=delimited, got application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text",
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=compact-text",
            "expected protobuf with proto=io.prometheus.client.MetricFamily and encoding=delimited, got application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=compact-text",
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.write.v2.Request; encoding=delimited",
            "expected protobuf with proto=io.prometheus.client.MetricFamily and encoding=delimited, got application/vnd.google.protobuf; proto=io.prometheus.write.v2.Request; encoding=delimited",
        ),
    ];
    for (content_type, line) in cases {
        check(&[("Content-Type", content_type)], &[(content_type, write_delimited(&full_families()), 415, line)]);
    }
}

/// The body as each known encoding has it.
fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory")
        }
        "snappy" => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(body).expect("memory");
            encoder.into_inner().expect("memory")
        }
        _ => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("memory");
            encoder.include_checksum(true).expect("a known parameter");
            encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory")
        }
    }
}

const ENCODINGS: [&str; 4] = ["gzip", "deflate", "snappy", "zstd"];

#[test]
fn encodings_that_are_unknown_or_chained_are_refused() {
    let cases = [
        ("br", "expected Content-Encoding to be one of identity, gzip, deflate, snappy and zstd, got br"),
        ("compress", "expected Content-Encoding to be one of identity, gzip, deflate, snappy and zstd, got compress"),
        (
            "gzip, gzip",
            "expected Content-Encoding to be one of identity, gzip, deflate, snappy and zstd, got gzip, gzip",
        ),
        (
            "identity, gzip",
            "expected Content-Encoding to be one of identity, gzip, deflate, snappy and zstd, got identity, gzip",
        ),
        ("gzip,zstd", "expected Content-Encoding to be one of identity, gzip, deflate, snappy and zstd, got gzip,zstd"),
        ("gzip;q=1", "expected Content-Encoding to be one of identity, gzip, deflate, snappy and zstd, got gzip;q=1"),
    ];
    for (encoding, line) in cases {
        check(&[("Content-Encoding", encoding)], &[(encoding, encoded("gzip", b"a 1\n"), 415, line)]);
    }
}

#[test]
fn bodies_that_are_not_what_their_encoding_says_are_refused() {
    let long = "a_series_that_is_long 1\n".repeat(1000);
    for encoding in ENCODINGS {
        let whole = encoded(encoding, long.as_bytes());
        let mut broken = whole.clone();
        let middle = broken.len() / 2;
        broken[middle] ^= 0x55;
        let bodies = [("plain", b"a 1\n".to_vec()), ("cut", whole[..whole.len() - 3].to_vec()), ("broken", broken)];
        let (server, page) = server_with_base(&[]);
        for (what, body) in bodies {
            let reply = server.push_with("/metrics", &[("Content-Encoding", encoding)], &body);
            assert_eq!(reply.status, 400, "{encoding}: {what}");
            assert_eq!(reply.text().lines().count(), 1, "{encoding}: {what}");
            assert!(server.scrape(Format::Protobuf) == page, "{encoding}: {what}");
        }
        assert_eq!(server.refused("body_broken"), 3.0, "{encoding}");
    }
}

#[test]
fn bodies_that_unpack_to_more_than_the_limit_are_refused() {
    const LIMIT: usize = 1 << 20;
    let bomb = format!("# {}\na 1\n", "x".repeat(64 << 20));
    let fits = format!("{}a 1\n", "# a comment\n".repeat(LIMIT / 16));
    for encoding in ENCODINGS {
        let (server, page) = server_with_base(&["--max-decompressed", "1MiB"]);
        let headers = [("Content-Encoding", encoding)];
        let body = encoded(encoding, bomb.as_bytes());
        assert!(body.len() < 8 << 20, "{encoding}: small as it comes");
        let reply = server.push_with("/metrics", &headers, &body);
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (413, "expected a body of at most 1048576 bytes when decompressed, got more\n"),
            "{encoding}"
        );
        assert!(server.scrape(Format::Protobuf) == page, "{encoding}");
        assert_eq!(
            server.push_with("/metrics", &headers, &encoded(encoding, fits.as_bytes())).status,
            202,
            "{encoding}"
        );
    }
}
