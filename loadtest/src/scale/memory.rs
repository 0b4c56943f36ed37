//! Bytes of memory for a stored series of each kind: how much the process has grown after all were pushed and the page was read.

use serde_json::json;

use super::Effort;
use super::findings::{Findings, column};
use super::gateway::{AGGREGATE, Gateway};
use super::reader::scrape;
use crate::body::Format;
use crate::content::{Content, Place, Shape};
use crate::error::Error;
use crate::requests::RequestForm;

/// A kind of series.
struct Kept {
    name: &'static str,
    shape: Shape,
    format: Format,
    method: &'static str,
    path: &'static str,
    /// The labels that the path adds to a series.
    path_labels: &'static [&'static str],
    /// Series that are stored.
    series: usize,
}

/// Series of one push, and so of one source or group.
const SERIES_PER_PUSH: usize = 1_000;

const COUNTERS: Kept = Kept {
    name: "counter",
    shape: Shape::Counters,
    format: Format::Text,
    method: "POST",
    path: AGGREGATE,
    path_labels: &[],
    series: 1_000_000,
};

const KINDS: [Kept; 6] = [
    COUNTERS,
    Kept { name: "gauge", shape: Shape::Gauges, ..COUNTERS },
    Kept { name: "histogram, 12 buckets", shape: Shape::Histogram, series: 200_000, ..COUNTERS },
    Kept {
        name: "native histogram, 20 buckets",
        shape: Shape::NativeHistogram,
        format: Format::Protobuf,
        series: 200_000,
        ..COUNTERS
    },
    Kept { name: "counter of a source", path: "/source/metrics/job/load/instance/{pusher}", ..COUNTERS },
    Kept {
        name: "counter of a group",
        method: "PUT",
        path: "/replace/metrics/job/load/instance/{pusher}",
        path_labels: &["job=\"load\"", "instance=\"100\""],
        ..COUNTERS
    },
];

/// All kinds, each in a Catchment of its own.
pub fn by_kind(effort: &Effort) -> Result<Findings, Error> {
    let mut rows = Vec::new();
    for kept in &KINDS {
        let gateway = Gateway::start(effort, "")?;
        let form = RequestForm {
            method: kept.method,
            path: kept.path.to_owned(),
            format: kept.format,
            content: Content { shape: kept.shape, ..gateway.counters("known", SERIES_PER_PUSH).content },
            ..gateway.counters("known", SERIES_PER_PUSH)
        };
        let empty = gateway.memory()?;
        gateway.push_once(&form, (kept.series / SERIES_PER_PUSH) as u64)?;
        let filled = gateway.memory()?;
        scrape(&gateway.target, "identity").map_err(|error| Error::Page("/metrics".into(), error.to_string()))?;
        let read = gateway.memory()?;
        let key = key_bytes(&form.content, kept.path_labels);
        let bytes = |memory: f64| (memory - empty) / kept.series as f64;
        rows.push(vec![
            json!(kept.name),
            json!(kept.series),
            json!(key),
            json!(bytes(filled)),
            json!(bytes(read)),
            json!(bytes(read) - key),
        ]);
    }
    let columns = [
        column("kind", "a series"),
        column("series", "stored"),
        column("key_bytes", "key bytes"),
        column("bytes_before_scrape", "bytes after the pushes"),
        column("bytes", "bytes after a scrape"),
        column("beyond_key", "beyond the key"),
    ];
    Ok(Findings {
        name: "memory",
        title: "Memory of a stored series, by its kind",
        columns: columns.to_vec(),
        rows,
        drawing: None,
    })
}

/// Mean length of `name{labels}` as the page has it, for pushers of three digits.
fn key_bytes(content: &Content, path_labels: &[&str]) -> f64 {
    let length = |index| {
        let labels = content.labels(Place { pusher: 100, index, step: 0 });
        let own = labels.iter().map(|(name, value)| name.len() + value.len() + "=\"\",".len());
        let added = path_labels.iter().map(|label| label.len() + ",".len());
        // Between two labels there is one comma; each was counted with one.
        content.kind(index).family().len() + "{}".len() + own.chain(added).sum::<usize>() - ",".len()
    };
    (0..content.series).map(length).sum::<usize>() as f64 / content.series as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::render;

    #[test]
    fn a_key_is_all_but_the_value() {
        let content = Content { shape: Shape::Counters, series: 1, run: "r".into(), is_own: true, churn: 0.0 };
        let body = String::from_utf8(render(&content, Format::Text, 100, 0)).unwrap();
        let sample = body.lines().nth(1).and_then(|line| line.rsplit_once(' ')).unwrap().0;
        assert_eq!(key_bytes(&content, &[]), sample.len() as f64);
        assert_eq!(key_bytes(&content, &["a=\"b\""]), sample.len() as f64 + 6.0);
    }
}
