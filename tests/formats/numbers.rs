//! Every float that is unlike others, and every timestamp, through every format.

use catchment_test_schema::{EnumOrUnknown, MessageField, MetricFamily, MetricType, text_format, write_delimited};

use crate::common::Server;
use crate::common::exchange::Format;
use crate::common::exchange::Push::{OpenMetrics, Protobuf};

/// The float, and how text writes it.
const FLOATS: [(f64, &str); 14] = [
    (f64::NAN, "NaN"),
    (f64::INFINITY, "+Inf"),
    (f64::NEG_INFINITY, "-Inf"),
    (0.0, "0"),
    (-1.5, "-1.5"),
    (5e-324, "5e-324"),
    (-5e-324, "-5e-324"),
    (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
    (f64::MAX, "1.7976931348623157e308"),
    (f64::MIN, "-1.7976931348623157e308"),
    (0.1, "0.1"),
    (0.30000000000000004, "0.30000000000000004"),
    (9_007_199_254_740_991.0, "9007199254740991"),
    (9_007_199_254_740_994.0, "9007199254740994"),
];

/// A family of one series of this kind with this value, as protobuf, and its lines in text less the value.
fn family_of(kind: MetricType, value: f64) -> (MetricFamily, &'static str) {
    let mut family = MetricFamily::new();
    let metric = {
        family.metric.push(catchment_test_schema::Metric::new());
        &mut family.metric[0]
    };
    let (name, lines) = match kind {
        MetricType::COUNTER => {
            metric.counter.mut_or_insert_default().set_value(value);
            ("x_total", "# TYPE x_total counter\nx_total ")
        }
        MetricType::GAUGE => {
            metric.gauge.mut_or_insert_default().set_value(value);
            ("x", "# TYPE x gauge\nx ")
        }
        MetricType::UNTYPED => {
            metric.untyped.mut_or_insert_default().set_value(value);
            ("x", "# TYPE x untyped\nx ")
        }
        MetricType::SUMMARY => {
            metric.summary.mut_or_insert_default().set_sample_sum(value);
            ("x", "# TYPE x summary\nx_sum ")
        }
        _ => {
            let histogram = metric.histogram.mut_or_insert_default();
            histogram.set_sample_sum(value);
            histogram.set_sample_count(1);
            ("x", "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_count 1\nx_sum ")
        }
    };
    family.set_name(name.to_owned());
    family.type_ = Some(EnumOrUnknown::new(kind));
    (family, lines)
}

const KINDS: [MetricType; 5] =
    [MetricType::COUNTER, MetricType::GAUGE, MetricType::UNTYPED, MetricType::SUMMARY, MetricType::HISTOGRAM];

/// The value a family like those of [`family_of`] holds.
fn value_of(family: &MetricFamily) -> f64 {
    let metric = &family.metric[0];
    match family.type_() {
        MetricType::COUNTER => metric.counter.value(),
        MetricType::GAUGE => metric.gauge.value(),
        MetricType::UNTYPED => metric.untyped.value(),
        MetricType::SUMMARY => metric.summary.sample_sum(),
        _ => metric.histogram.sample_sum(),
    }
}

fn is_legal(kind: MetricType, value: f64) -> bool {
    kind != MetricType::COUNTER || value >= 0.0
}

/// The number of the line that begins like this.
#[track_caller]
fn number_on(page: &str, start: &str) -> f64 {
    let start = start.lines().last().expect("a sample's line");
    let number = page.lines().find_map(|line| line.strip_prefix(start));
    number.unwrap_or_else(|| panic!("no {start}in {page}")).parse().expect("a number")
}

#[track_caller]
fn assert_same_bits(one: f64, other: f64, what: &str) {
    assert!(one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan(), "{what}: {one:?} became {other:?}");
}

#[test]
fn every_float_is_kept_bit_for_bit() {
    for kind in KINDS {
        for (value, text) in FLOATS.into_iter().filter(|(value, _)| is_legal(kind, *value)) {
            let (family, lines) = family_of(kind, value);
            let openmetrics_lines = lines.replace("# TYPE x_total", "# TYPE x").replace("untyped", "unknown");
            let pushes = [
                (Format::Text, format!("{lines}{text}\n").into_bytes()),
                (Format::OpenMetrics, format!("{openmetrics_lines}{text}\n# EOF\n").into_bytes()),
                (Format::Protobuf, write_delimited([&family])),
            ];
            for (format, body) in pushes {
                let what = format!("{kind:?} {text} in {format:?}");
                // OpenMetrics has no sums that are negative or no number.
                let has_openmetrics = !matches!(kind, MetricType::HISTOGRAM | MetricType::SUMMARY) || value >= 0.0;
                if format == Format::OpenMetrics && !has_openmetrics {
                    continue;
                }
                let server = Server::start(&[]);
                server.take_as(format, &body);
                assert_same_bits(value, value_of(&server.scrape_families()[0]), &format!("{what}, protobuf out"));
                assert_same_bits(value, number_on(&server.page(), lines), &format!("{what}, text out"));
                if has_openmetrics {
                    let page = server.scrape_text(Format::OpenMetrics);
                    assert_same_bits(value, number_on(&page, lines), &format!("{what}, OpenMetrics out"));
                }
            }
        }
    }
}

/// Text shows it as 0; where a float is a float it stays one.
#[test]
fn negative_zero_is_kept_in_protobuf() {
    for kind in [MetricType::GAUGE, MetricType::UNTYPED] {
        let server = Server::start(&[]);
        let (family, lines) = family_of(kind, -0.0);
        server.take_as(Format::Protobuf, &write_delimited([&family]));
        assert_same_bits(-0.0, value_of(&server.scrape_families()[0]), "protobuf");
        assert_eq!(number_on(&server.page(), lines), 0.0);
    }
}

#[test]
fn counters_take_no_number_below_zero_in_any_format() {
    for (value, text) in FLOATS.into_iter().filter(|(value, _)| !is_legal(MetricType::COUNTER, *value)) {
        let (family, _) = family_of(MetricType::COUNTER, value);
        let pushes = [
            (Format::Text, format!("# TYPE x_total counter\nx_total {text}\n").into_bytes()),
            (Format::OpenMetrics, format!("# TYPE x counter\nx_total {text}\n# EOF\n").into_bytes()),
            (Format::Protobuf, write_delimited([&family])),
        ];
        for (format, body) in pushes {
            let server = Server::start(&[]);
            assert_eq!(server.push_as(format, &body).0, 400, "{text} in {format:?}");
            assert_eq!(server.page(), "");
        }
    }
}

/// Bounds are compared and shown by value.
#[test]
fn every_bound_is_kept() {
    let server = Server::start(&[]);
    let bounds = [f64::MIN, -1e-9, -5e-324, 0.0, 5e-324, 0.1, 1.0, 1e21, f64::MAX, f64::INFINITY];
    let (mut family, _) = family_of(MetricType::HISTOGRAM, 1.0);
    let histogram = family.metric[0].histogram.mut_or_insert_default();
    histogram.set_sample_count(10);
    for (number, bound) in bounds.into_iter().enumerate() {
        let mut bucket = catchment_test_schema::Bucket::new();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(number as u64 + 1);
        histogram.bucket.push(bucket);
    }
    server.take_as(Format::Protobuf, &write_delimited([&family]));
    for format in [Format::Text, Format::OpenMetrics] {
        let page = server.scrape_text(format);
        let shown = page.lines().filter_map(|line| line.split_once("le=\"")?.1.split_once('"'));
        let shown: Vec<f64> = shown.map(|(bound, _)| bound.parse().expect("a number")).collect();
        assert_eq!(shown, bounds, "{format:?}");
    }
    let scraped = server.scrape_families();
    let shown: Vec<f64> = scraped[0].metric[0].histogram.bucket.iter().map(|bucket| bucket.upper_bound()).collect();
    assert_eq!(shown, bounds);
}

/// Seconds with a fraction in OpenMetrics, seconds and nanoseconds in protobuf.
#[test]
fn created_timestamps_mean_the_same_in_both_formats() {
    let cases = [
        ("0", "seconds: 0"),
        ("1", "seconds: 1"),
        ("1520872607.123", "seconds: 1520872607 nanos: 123000000"),
        ("1520872607.123456789", "seconds: 1520872607 nanos: 123456789"),
        ("0.000000001", "nanos: 1"),
        ("4102444800", "seconds: 4102444800"),
    ];
    for (text, message) in cases {
        let parsed: catchment_test_schema::Timestamp = text_format::parse_from_str(message).expect("a timestamp");
        let (mut family, _) = family_of(MetricType::COUNTER, 1.0);
        family.metric[0].counter.mut_or_insert_default().created_timestamp = MessageField::some(parsed.clone());
        let pushes = [
            (Format::OpenMetrics, format!("# TYPE x counter\nx_total 1\nx_created {text}\n# EOF\n").into_bytes()),
            (Format::Protobuf, write_delimited([&family])),
        ];
        for (format, body) in pushes {
            let server = Server::start(&[]);
            server.take_as(format, &body);
            let scraped = server.scrape_families();
            let created = scraped[0].metric[0].counter.created_timestamp.clone().into_option().expect("a timestamp");
            assert_eq!((created.seconds, created.nanos), (parsed.seconds, parsed.nanos), "{text} in {format:?}");
            let page = server.scrape_text(Format::OpenMetrics);
            assert!(page.contains(&format!("x_created {text}\n")), "{text} in {format:?}: {page}");
        }
    }
}

/// The timestamp of a sample means nothing where samples are added.
#[test]
fn sample_timestamps_are_ignored_and_counted() {
    let server = Server::start(&[]);
    server.take(OpenMetrics("# TYPE x counter\nx_total 1 1520872607.123\n"));
    server.take(Protobuf(&["name: 'x_total' type: COUNTER metric { counter { value: 2 } timestamp_ms: 5 }"]));
    server.take(Protobuf(&["name: 'x_total' type: COUNTER metric { counter { value: 4 } }"]));
    assert_eq!(server.page(), "# TYPE x_total counter\nx_total 7\n");
    assert_eq!(server.own_metric("catchment_ignored_timestamps_total"), 2.0);
    assert_eq!(server.scrape_families()[0].metric[0].timestamp_ms, None);
}
