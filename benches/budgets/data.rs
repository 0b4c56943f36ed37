//! The series and bodies that are pushed: names and labels as a fleet of HTTP services has them, about 115 bytes a line.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;

use catchment::exposition::format::PushFormat;
use catchment::exposition::proto;
use prost::Message;

/// Samples of one body.
pub const SERIES_PER_PUSH: usize = 1000;

/// Samples of a source's body.
pub const SERIES_PER_SOURCE: usize = 100;

const FAMILIES: usize = 20;

/// Bodies that together hold each series once.
pub struct Bodies {
    bodies: Vec<String>,
}

impl Bodies {
    /// The series in random order, so that neighbours in a body are not neighbours in memory; within a body by family, as
    /// every client writes them.
    pub fn shuffled(series: usize) -> Self {
        Self::in_pushes_of(SERIES_PER_PUSH, series)
    }

    /// The same with so many series in a body.
    pub fn in_pushes_of(series_per_push: usize, series: usize) -> Self {
        let mut order: Vec<usize> = (0..series).collect();
        shuffle(&mut order);
        let bodies = order.chunks_mut(series_per_push).map(|chunk| {
            chunk.sort_by_key(|series| series % FAMILIES);
            chunk.iter().fold(String::new(), |mut body, series| {
                write_sample(&mut body, *series);
                body
            })
        });
        Self { bodies: bodies.collect() }
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.bodies.iter().map(String::as_str)
    }
}

/// The series one after the other, a body at a time, without holding more than one.
pub fn each_body(series: usize, mut take: impl FnMut(&str)) {
    let mut body = String::new();
    for at in 0..series {
        write_sample(&mut body, at);
        if (at + 1).is_multiple_of(SERIES_PER_PUSH) || at + 1 == series {
            take(&body);
            body.clear();
        }
    }
}

/// A body of these series.
pub fn samples(series: Range<usize>) -> String {
    let mut order: Vec<usize> = series.collect();
    order.sort_by_key(|series| series % FAMILIES);
    order.into_iter().fold(String::new(), |mut body, series| {
        write_sample(&mut body, series);
        body
    })
}

/// Mean length of `name{labels}`.
pub fn mean_key_bytes(series: usize) -> f64 {
    let mut bytes = 0;
    each_body(series, |body| bytes += body.lines().filter_map(|line| line.rfind(' ')).sum::<usize>());
    bytes as f64 / series as f64
}

/// The sum of a body's values.
pub fn sum(body: &str) -> f64 {
    body.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// A body of counters in another format, with the types that a client of it declares.
pub fn translated(format: PushFormat, body: &str) -> Vec<u8> {
    let mut families: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in body.lines() {
        let name = line.split('{').next().unwrap_or_default();
        match families.last_mut() {
            Some((last, lines)) if *last == name => lines.push(line),
            _ => families.push((name, vec![line])),
        }
    }
    match format {
        PushFormat::Text => body.as_bytes().to_vec(),
        PushFormat::OpenMetrics => {
            let families = families.iter().map(|(name, lines)| {
                format!("# TYPE {} counter\n{}\n", name.trim_end_matches("_total"), lines.join("\n"))
            });
            (families.collect::<String>() + "# EOF\n").into_bytes()
        }
        PushFormat::Observations(_) => observations(body).into_bytes(),
        PushFormat::Protobuf => families.iter().flat_map(|(name, lines)| family(name, lines)).collect(),
    }
}

/// An array of observations, one for each line.
pub fn observations(body: &str) -> String {
    let observations: Vec<String> = body.lines().map(observation).collect();
    format!("[{}]", observations.join(","))
}

/// One observation of a sample line.
pub fn observation(line: &str) -> String {
    let (name, rest) = line.split_once('{').expect("a sample line");
    let (labels, value) = rest.split_once("} ").expect("a sample line");
    let labels: Vec<String> = labels.split(',').map(|label| format!("\"{}", label.replacen('=', "\":", 1))).collect();
    format!("{{\"name\":\"{name}\",\"labels\":{{{}}},\"value\":{value}}}", labels.join(","))
}

/// An observation that a histogram takes in, with the labels of a sample line.
pub fn histogram_observation(line: &str, value: usize) -> String {
    let labels = &line[line.find('{').expect("labels")..line.rfind(' ').expect("a value")];
    observation(&format!("http_request_duration_seconds{labels} {value}"))
}

/// A datagram that counts one more of a series, such as Hermes' documents show. They are equally long.
pub fn datagram(series: usize) -> String {
    let labels = format!("{{\"label_1\":\"testing label {series:04}\"}}");
    format!("{{\"metric_name\":\"sample_counter\",\"payload\":{{\"labels\":{labels}}}}}")
}

/// A delimited family.
fn family(name: &str, lines: &[&str]) -> Vec<u8> {
    let family = proto::MetricFamily {
        name: Some(name.to_owned()),
        r#type: Some(proto::MetricType::Counter as i32),
        metric: lines.iter().map(|line| metric(line)).collect(),
        ..proto::MetricFamily::default()
    };
    family.encode_length_delimited_to_vec()
}

fn metric(line: &str) -> proto::Metric {
    let (labels, value) = line.split_once('{').and_then(|(_, rest)| rest.split_once("} ")).expect("a sample line");
    let label = |label: &str| {
        let (name, value) = label.split_once('=').expect("a label");
        proto::LabelPair { name: Some(name.to_owned()), value: Some(value.trim_matches('"').to_owned()) }
    };
    let value = value.parse().ok();
    proto::Metric {
        label: labels.split(',').map(label).collect(),
        counter: Some(proto::Counter { value, ..proto::Counter::default() }),
        ..proto::Metric::default()
    }
}

/// A body as a client sends it with `Content-Encoding: gzip`.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn write_sample(out: &mut String, series: usize) {
    let family = series % FAMILIES;
    let (code, host) = (200 + series % 5, (series / 250 % 250, series % 250));
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "http_requests_{family:02}_total{{code=\"{code}\",handler=\"/api/v1/items/{series:07}\",instance=\"10.0.{}.{}:9100\",job=\"api\",method=\"post\"}} {}",
        host.0,
        host.1,
        series % 1000
    );
}

/// Fisher and Yates with a fixed xorshift generator: every run sees the same order.
fn shuffle(order: &mut [usize]) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
}
