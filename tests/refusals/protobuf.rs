//! Protobuf: messages that make no sense, and bytes that are no messages.

use catchment_test_schema::{MetricFamily, family, print, write_delimited};

use crate::common::Server;
use crate::common::exchange::Format;
use crate::{Case, check, full_families, server_with_base};

/// Families in protobuf's text form, behind a good one.
#[track_caller]
fn check_protobuf(cases: &[(&str, &str)]) {
    let fresh = family("name: 'fresh' type: GAUGE metric { gauge { value: 1 } }");
    let body = |text: &str| {
        let families: Vec<MetricFamily> = text.split("---").map(family).collect();
        write_delimited([&fresh].into_iter().chain(&families))
    };
    let cases: Vec<Case> = cases.iter().map(|(text, line)| (*text, body(text), 400, *line)).collect();
    check(&[("Content-Type", Format::Protobuf.content_type())], &cases);
}

/// The metric of `fresh` is metric 1.
#[test]
fn protobuf_of_no_sense_is_refused() {
    check_protobuf(&[
        ("type: GAUGE metric { gauge { value: 1 } }", "byte 24: expected a family with a name, got none"),
        ("name: '' type: GAUGE metric { gauge { value: 1 } }", "byte 24: expected a family with a name, got none"),
        (
            "name: 'a' type: GAUGE metric { counter { value: 1 } }",
            "metric 2: expected a gauge, got a value of another kind",
        ),
        ("name: 'a' type: GAUGE metric { }", "metric 2: expected a gauge, got no value"),
        (
            "name: 'a' type: SUMMARY --- name: 'a' type: GAUGE metric { gauge { value: 1 } }",
            "metric 2: expected one TYPE for a, got gauge after summary",
        ),
        ("name: 'a' metric { gauge { value: 1 } }", "metric 2: expected a counter, got a value of another kind"),
        (
            "name: 'a' type: GAUGE metric { gauge { value: 1 } label { name: '' value: '1' } }",
            "byte 35: expected a label name that is not empty, got \"\"",
        ),
        (
            "name: 'a' type: GAUGE metric { gauge { value: 1 } label { value: '1' } }",
            "byte 33: expected a label name that is not empty, got \"\"",
        ),
        (
            "name: 'a' type: GAUGE metric { gauge { value: 1 } label { name: '__l' value: '1' } }",
            "byte 35: expected a label name that does not begin with \"__\", got \"__l\"",
        ),
        (
            "name: 'a' type: GAUGE metric { gauge { value: 1 } label { name: 'l' value: '1' }
             label { name: 'l' value: '2' } }",
            "metric 2: expected each label once, got l twice",
        ),
        (
            "name: 'a' type: GAUGE metric { gauge { value: 1 } } metric { gauge { value: 2 } }",
            "metric 3: expected each series once in a push, got a again",
        ),
        (
            "name: 'a' type: GAUGE metric { gauge { value: 1 } } ---
             name: 'a' type: GAUGE metric { gauge { value: 1 } }",
            "metric 3: expected each series once in a push, got a again",
        ),
        (
            "name: 'a' type: GAUGE metric { gauge { value: 1 } } ---
             name: 'a' type: COUNTER metric { label { name: 'l' value: '1' } counter { value: 1 } }",
            "metric 3: expected one TYPE for a, got counter after gauge",
        ),
        (
            "name: 'level' type: COUNTER metric { counter { value: 1 } }",
            "metric 2: expected TYPE gauge for level, got counter",
        ),
        (
            "name: 'lat_count' type: COUNTER metric { counter { value: 1 } }",
            "metric 2: expected counter lat_count to have sample names of its own, got lat_count, which belongs to lat",
        ),
        (
            "name: 'base_total' type: COUNTER metric { label { name: 'a' value: '1' } counter { value: -1 } }",
            "metric 2: expected a counter increment of at least 0, got -1",
        ),
        (
            "name: 'a' type: COUNTER metric { counter { value: nan } }",
            "metric 2: expected a counter increment of at least 0, got NaN",
        ),
        (
            "name: 'a' type: SUMMARY metric { summary { } label { name: 'quantile' value: '1' } }",
            "metric 2: expected no label quantile here, got quantile=\"1\"",
        ),
        (
            "name: 'a' type: COUNTER metric { counter { exemplar { value: 1 label { name: '' value: '1' } } } }",
            "byte 39: expected a label name that is not empty, got \"\"",
        ),
        (
            "name: 'a' type: COUNTER metric { counter { exemplar { value: 1
             label { name: 'l' value: '1' } label { name: 'l' value: '2' } } } }",
            "metric 2: expected each label once, got l twice",
        ),
    ]);
}

#[test]
fn protobuf_histograms_that_contradict_themselves_are_refused() {
    let cases = [
        (
            "sample_count: 1 bucket { cumulative_count: 1 upper_bound: nan }",
            "metric 2: expected a number as upper bound, got NaN",
        ),
        (
            "sample_count: 1 bucket { cumulative_count: 1 upper_bound: 1 } bucket { cumulative_count: 1 upper_bound: 1 }",
            "metric 2: expected each series once in a push, got h_bucket{le=\"1\"} again",
        ),
        ("sample_count_float: -1", "metric 2: expected a count of at least 0, got -1"),
        ("sample_count_float: nan", "metric 2: expected a count of at least 0, got NaN"),
        (
            "sample_count: 1 bucket { cumulative_count_float: -1 upper_bound: 1 }",
            "metric 2: expected a count of at least 0, got -1",
        ),
        ("sample_count: 9007199254740993", "metric 2: expected a count of at most 2^53, got 9007199254740993"),
        (
            "sample_count: 1 bucket { cumulative_count: 18446744073709551615 upper_bound: 1 }",
            "metric 2: expected a count of at most 2^53, got 18446744073709551615",
        ),
        // Native ones.
        (
            "sample_count: 1 schema: -5 positive_span { offset: 0 length: 1 } positive_delta: 1",
            "metric 2: expected a schema from -4 to 52, got -5",
        ),
        (
            "sample_count: 1 schema: 53 positive_span { offset: 0 length: 1 } positive_delta: 1",
            "metric 2: expected a schema from -4 to 52, got 53",
        ),
        (
            "sample_count: 1 schema: -53 positive_span { offset: 0 length: 1 } positive_delta: 1",
            "metric 2: expected a schema from -4 to 52, got -53",
        ),
        (
            "sample_count: 2 schema: 0 positive_span { offset: 0 length: 1 } positive_span { offset: -1 length: 1 }
             positive_delta: 1 positive_delta: 0",
            "metric 2: expected a span with an offset of at least 0, got -1",
        ),
        (
            "sample_count: 1 schema: 0 positive_span { offset: 0 length: 2 } positive_delta: 1",
            "metric 2: expected as many native counts as the spans have buckets, got another number",
        ),
        (
            "sample_count: 2 schema: 0 positive_span { offset: 0 length: 1 } positive_delta: 1 positive_delta: 0",
            "metric 2: expected as many native counts as the spans have buckets, got another number",
        ),
        (
            "sample_count: 2 schema: 0 negative_span { offset: 0 length: 1 } negative_delta: 1 negative_delta: 0",
            "metric 2: expected as many native counts as the spans have buckets, got another number",
        ),
        (
            "sample_count: 1 schema: 0 positive_span { offset: 0 length: 4294967295 } positive_delta: 1",
            "metric 2: expected as many native counts as the spans have buckets, got another number",
        ),
        (
            "sample_count: 2 schema: 0 positive_span { offset: 2147483647 length: 1 }
             positive_span { offset: 2147483647 length: 1 } positive_delta: 1 positive_delta: 0",
            "metric 2: expected a native bucket's index of 32 bits, got 4294967295",
        ),
        (
            "sample_count_float: 0 schema: 0 positive_span { offset: 1 length: 1 } positive_count: 1.5",
            "metric 2: expected a count above 0 of native buckets that are not empty, got 0",
        ),
        (
            "sample_count: 1 schema: -4 positive_span { offset: 66 length: 1 } positive_delta: 1",
            "metric 2: expected native buckets from -68 to 65 in schema -4, got 66",
        ),
        (
            "sample_count: 1 schema: 8 negative_span { offset: -274945 length: 1 } negative_delta: 1",
            "metric 2: expected native buckets from -274944 to 262145 in schema 8, got -274945",
        ),
        (
            "sample_count: 1 schema: 0 positive_delta: 1",
            "metric 2: expected as many native counts as the spans have buckets, got another number",
        ),
        (
            "sample_count: 1 schema: 0 positive_span { offset: 0 length: 2 } positive_delta: 2 positive_delta: -3",
            "metric 2: expected a native count of at least 0, got -1",
        ),
        (
            "sample_count_float: 1 schema: 0 positive_span { offset: 0 length: 1 } positive_count: -1",
            "metric 2: expected a count of at least 0, got -1",
        ),
        (
            "sample_count_float: 1 schema: 0 positive_span { offset: 0 length: 1 } positive_count: nan",
            "metric 2: expected a count of at least 0, got NaN",
        ),
        (
            "sample_count: 3 sample_sum: 1 schema: 0 positive_span { offset: 0 length: 1 } positive_delta: 2",
            "metric 2: expected a count of 2, the sum of the native buckets, got 3",
        ),
        (
            "sample_count: 1 sample_sum: 1 schema: 0 positive_span { offset: 0 length: 1 } positive_delta: 2",
            "metric 2: expected a count of 2, the sum of the native buckets, got 1",
        ),
        (
            "sample_count: 1 sample_sum: nan schema: 0 positive_span { offset: 0 length: 1 } positive_delta: 2",
            "metric 2: expected a count of 2, the sum of the native buckets, got 1",
        ),
        (
            "sample_count: 0 schema: 0 zero_threshold: -1 positive_span { offset: 0 length: 0 }",
            "metric 2: expected a zero threshold of at least 0, got -1",
        ),
        (
            "sample_count: 0 schema: 0 zero_threshold: nan positive_span { offset: 0 length: 0 }",
            "metric 2: expected a zero threshold of at least 0, got NaN",
        ),
        (
            "sample_count: 0 schema: 0 zero_threshold: inf positive_span { offset: 0 length: 0 }",
            "metric 2: expected a zero threshold of at least 0, got +Inf",
        ),
        (
            "sample_count_float: 1 schema: 0 zero_threshold: 1 zero_count_float: -1",
            "metric 2: expected a count of at least 0, got -1",
        ),
        (
            "sample_count: 9007199254740994 schema: 0 positive_span { offset: 0 length: 2 }
             positive_delta: 9007199254740993 positive_delta: -9007199254740992",
            "metric 2: expected a count of at most 2^53, got 9007199254740994",
        ),
    ];
    let families: Vec<String> = cases
        .iter()
        .map(|(text, _)| format!("name: 'h' type: HISTOGRAM metric {{ histogram {{ {text} }} }}"))
        .collect();
    let cases: Vec<(&str, &str)> =
        families.iter().map(String::as_str).zip(cases.iter().map(|(_, line)| *line)).collect();
    check_protobuf(&cases);
    check_protobuf(&[(
        "name: 'h' type: HISTOGRAM metric { label { name: 'le' value: '1' } histogram { sample_count: 1 } }",
        "metric 2: expected no label le here, got le=\"1\"",
    )]);
}

/// Behind the good family, which is 23 bytes.
#[test]
fn protobuf_that_lies_about_its_bytes_is_refused() {
    const HUGE: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
    let cases: [(&str, &[&[u8]], &str); 17] = [
        ("a message longer than the body", &[b"\x05\x0a\x01a"], "byte 23: expected a length of at most 3, got 5"),
        (
            "a message of nearly 2^63 bytes",
            &[HUGE, b"\x0a\x01a"],
            "byte 23: expected a length of at most 3, got 9223372036854775807",
        ),
        (
            "a length of 11 bytes",
            &[b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"],
            "byte 23: expected a number of at most 64 bits, got more bits",
        ),
        (
            "a length that does not end",
            &[b"\x80"],
            "byte 23: expected a number of at most 64 bits, got the end of the message",
        ),
        ("a name longer than its message", &[b"\x03\x0a\x05a"], "byte 25: expected a length of at most 1, got 5"),
        (
            "a name of nearly 2^63 bytes",
            &[b"\x0b\x0a", HUGE, b"a"],
            "byte 25: expected a length of at most 1, got 9223372036854775807",
        ),
        (
            "a metric longer than its message",
            &[b"\x07\x0a\x01a\x18\x01\x22\x7f"],
            "byte 30: expected a length of at most 0, got 127",
        ),
        (
            "a label longer than its metric",
            &[b"\x09\x0a\x01a\x18\x01\x22\x02\x0a\x09"],
            "byte 32: expected a length of at most 0, got 9",
        ),
        (
            "a float of 7 bytes",
            &[b"\x11\x0a\x01a\x18\x01\x22\x0a\x12\x08\x09\x00\x00\x00\x00\x00\x00\x00"],
            "byte 34: expected eight bytes of a number, got the end of the message",
        ),
        (
            "a key without its value",
            &[b"\x04\x0a\x01a\x18"],
            "byte 28: expected a number of at most 64 bits, got the end of the message",
        ),
        (
            "a name that is a number",
            &[b"\x02\x08\x01"],
            "byte 25: expected a field of MetricFamily, got field 1 with wire type 0",
        ),
        (
            "a metric that is a number",
            &[b"\x05\x0a\x01a\x20\x01"],
            "byte 28: expected a field of MetricFamily, got field 4 with wire type 0",
        ),
        (
            "a type that is a string",
            &[b"\x06\x0a\x01a\x1a\x01a"],
            "byte 28: expected a field of MetricFamily, got field 3 with wire type 2",
        ),
        (
            "a type that is none",
            &[b"\x09\x0a\x01a\x18\x11\x22\x02\x12\x00"],
            "byte 28: expected a metric type from 0 to 5, got 17",
        ),
        ("a field of number 0", &[b"\x05\x0a\x01a\x00\x01"], "byte 27: expected a protobuf field, got the tag 0"),
        (
            "a group",
            &[b"\x05\x0a\x01a\x0b\x0c"],
            "byte 28: expected a field of MetricFamily, got field 1 with wire type 3",
        ),
        (
            "a name that is not UTF-8",
            &[b"\x09\x0a\x01\xff\x18\x01\x22\x02\x12\x00"],
            "byte 26: expected UTF-8 in a metric name, got byte 0xff",
        ),
    ];
    let fresh = write_delimited([&family("name: 'fresh' type: GAUGE metric { gauge { value: 1 } }")]);
    assert_eq!(fresh.len(), 23);
    let body = |parts: &[&[u8]]| [&[fresh.as_slice()], parts].concat().concat();
    let cases: Vec<Case> = cases.iter().map(|(what, parts, line)| (*what, body(parts), 400, *line)).collect();
    check(&[("Content-Type", Format::Protobuf.content_type())], &cases);
}

/// Label values and helps are text too.
#[test]
fn protobuf_text_that_is_not_utf8_is_refused() {
    let whole = write_delimited([&family(
        "name: 'aaaa' help: 'bbbb' type: COUNTER metric { label { name: 'cccc' value: 'dddd' }
         counter { value: 1 exemplar { label { name: 'eeee' value: 'ffff' } value: 1 } } }",
    )]);
    let mut cases: Vec<Case> = Vec::new();
    for (part, line) in [
        ("aaaa", "byte 5: expected UTF-8 in a metric name, got byte 0xff"),
        ("bbbb", "byte 11: expected UTF-8 in a help text, got byte 0xff"),
        ("cccc", "byte 23: expected UTF-8 in a label name, got byte 0xff"),
        ("dddd", "byte 29: expected UTF-8 in a label value, got byte 0xff"),
        ("eeee", "byte 50: expected UTF-8 in a label name, got byte 0xff"),
        ("ffff", "byte 56: expected UTF-8 in a label value, got byte 0xff"),
    ] {
        let mut body = whole.clone();
        let at = body.windows(4).position(|window| window == part.as_bytes()).expect("it is there");
        body[at + 2] = 0xff;
        cases.push((part, body, 400, line));
    }
    check(&[("Content-Type", Format::Protobuf.content_type())], &cases);
}

#[test]
fn protobuf_cut_anywhere_but_between_messages_is_refused() {
    let families = full_families();
    let (first, whole) = (write_delimited(&families[..1]).len(), write_delimited(&families));
    let (server, page) = server_with_base(&[]);
    for cut in 0..whole.len() {
        if cut == 0 || cut == first {
            continue;
        }
        let (status, line) = server.push_as(Format::Protobuf, &whole[..cut]);
        assert_eq!((status, line.lines().count()), (400, 1), "cut at {cut}: {line}");
        assert!(line.starts_with("byte "), "cut at {cut}: {line}");
        assert!(server.scrape(Format::Protobuf) == page, "cut at {cut}");
    }
    for (cut, families) in [(0, 4), (first, 5), (whole.len(), 6)] {
        server.take_as(Format::Protobuf, &whole[..cut]);
        assert_eq!(server.scrape_families().len(), families, "cut at {cut}");
    }
}

#[test]
fn fields_that_the_schema_does_not_know_are_skipped() {
    // Field 100 as number, eight bytes, string and four bytes, at the end of a family.
    let unknown: [&[u8]; 4] =
        [b"\xa0\x06\x01", b"\xa1\x06\x00\x00\x00\x00\x00\x00\x00\x00", b"\xa2\x06\x02ab", b"\xa5\x06\x00\x00\x00\x00"];
    let family = family("name: 'a' type: GAUGE metric { gauge { value: 1 } }");
    let bare = write_delimited([&family]);
    for extra in unknown {
        let mut body = vec![(bare.len() - 1 + extra.len()) as u8];
        body.extend_from_slice(&bare[1..]);
        body.extend_from_slice(extra);
        let server = Server::start(&[]);
        server.take_as(Format::Protobuf, &body);
        assert_eq!(server.scrape_families().iter().map(print).collect::<Vec<_>>(), [print(&family)], "{extra:?}");
    }
}
