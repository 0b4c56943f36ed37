//! What may be observed by datagram, as a file declares it: Hermes' configuration, which here may have buckets and quantiles
//! besides.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::aggregate::MOST_BUCKETS;
use crate::model::family::MetricKind;

/// The declared families.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    /// Whose they are; told to people only.
    pub service_name: String,
    /// List by list.
    families: Vec<Declared>,
    by_name: HashMap<Box<str>, usize, ahash::RandomState>,
}

/// A declared family.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Not empty.
    pub name: Box<str>,
    /// A counter, a gauge, a histogram or a summary.
    pub kind: MetricKind,
    /// May be empty.
    pub help: Box<str>,
    /// The names of the labels of each observation, ascending.
    pub labels: Box<[Box<str>]>,
    /// Of a histogram: ascending, the last one infinite.
    pub bounds: Option<Arc<[f64]>>,
    /// Of a summary: ascending.
    pub quantiles: Option<Arc<[f64]>>,
}

/// Why declarations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeclarationsError {
    /// There is no such file, or it is not ours to read.
    #[error("declarations file {path}: {source}")]
    Unreadable {
        /// As given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not JSON.
    #[error("declarations file {path}: {source}")]
    NotJson {
        /// As given.
        path: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Something in it is not as it must be.
    #[error("declarations file {path}, {place}: expected {expected}, got {got}")]
    Invalid {
        /// As given.
        path: String,
        /// Such as `counters[0].labels`.
        place: String,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        got: String,
    },
}

/// The lists of the file, and what they are of.
const KINDS: [(&str, MetricKind); 4] = [
    ("gauges", MetricKind::Gauge),
    ("counters", MetricKind::Counter),
    ("histograms", MetricKind::Histogram),
    ("summaries", MetricKind::Summary),
];

impl Declarations {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is not JSON, or declares what cannot be.
    pub fn read(path: &Path) -> Result<Self, DeclarationsError> {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&shown, &text),
            Err(source) => Err(DeclarationsError::Unreadable { path: shown, source }),
        }
    }

    /// Reads the text of a file of this path.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(path: &str, text: &str) -> Result<Self, DeclarationsError> {
        let document: Value = serde_json::from_str(text)
            .map_err(|source| DeclarationsError::NotJson { path: path.to_owned(), source })?;
        let mut declarations = Self::default();
        let read = declarations.read_document(&document);
        read.map(|()| declarations).map_err(|Fault { place, expected, got }| DeclarationsError::Invalid {
            path: path.to_owned(),
            place,
            expected,
            got,
        })
    }

    fn read_document(&mut self, document: &Value) -> Result<(), Fault> {
        let lists = document.as_object().ok_or_else(|| fault("the file", "an object", document))?;
        for (key, value) in lists {
            if key == "service_name" {
                self.service_name = value.as_str().ok_or_else(|| fault(key, "a string", value))?.to_owned();
                continue;
            }
            let Some((_, kind)) = KINDS.iter().find(|(list, _)| list == key) else {
                return Err(fault(key, "one of service_name, gauges, counters, histograms, summaries", value));
            };
            for (index, declared) in items(key, value, "an array of metrics")?.iter().enumerate() {
                self.add(Declared::read(&format!("{key}[{index}]"), *kind, declared)?, declared, key)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, declared: Declared, value: &Value, place: &str) -> Result<(), Fault> {
        if self.by_name.insert(declared.name.clone(), self.families.len()).is_some() {
            return Err(fault(place, "each metric once", value));
        }
        self.families.push(declared);
        Ok(())
    }

    /// List by list.
    pub fn iter(&self) -> impl Iterator<Item = &Declared> {
        self.families.iter()
    }

    /// The family of this name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Declared> {
        self.families.get(*self.by_name.get(name)?)
    }
}

struct Fault {
    place: String,
    expected: &'static str,
    got: String,
}

fn fault(place: impl Into<String>, expected: &'static str, got: &Value) -> Fault {
    const MOST_CHARACTERS: usize = 80;
    Fault { place: place.into(), expected, got: got.to_string().chars().take(MOST_CHARACTERS).collect() }
}

/// The elements of an array; of none, if there is `null` instead.
fn items<'v>(place: &str, value: &'v Value, expected: &'static str) -> Result<&'v [Value], Fault> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(&[]),
        other => Err(fault(place, expected, other)),
    }
}

impl Declared {
    fn read(place: &str, kind: MetricKind, value: &Value) -> Result<Self, Fault> {
        let members = value.as_object().ok_or_else(|| fault(place, "an object", value))?;
        let mut declared =
            Self { name: "".into(), kind, help: "".into(), labels: Box::default(), bounds: None, quantiles: None };
        for (key, value) in members {
            let place = format!("{place}.{key}");
            let text = || value.as_str().map(Box::from).ok_or_else(|| fault(&*place, "a string", value));
            match key.as_str() {
                "metric_name" => declared.name = text()?,
                "metric_description" => declared.help = text()?,
                "labels" => declared.labels = labels(&place, kind, value)?,
                "buckets" if kind == MetricKind::Histogram => declared.bounds = bounds(&place, value)?,
                "quantiles" if kind == MetricKind::Summary => declared.quantiles = Some(quantiles(&place, value)?),
                _ => return Err(fault(place, "another key", value)),
            }
        }
        if declared.name.is_empty() {
            return Err(fault(place, "a metric_name that is not empty", value));
        }
        Ok(declared)
    }
}

fn labels(place: &str, kind: MetricKind, value: &Value) -> Result<Box<[Box<str>]>, Fault> {
    const EXPECTED: &str = "label names, each once";
    let mut names = Vec::new();
    for item in items(place, value, EXPECTED)? {
        let name = item
            .as_str()
            .filter(|name| !name.is_empty() && !name.starts_with("__") && kind.position_label() != Some(name));
        names.push(name.map(Box::from).ok_or_else(|| fault(place, EXPECTED, item))?);
    }
    names.sort_unstable();
    match names.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(fault(place, EXPECTED, value)),
        false => Ok(names.into()),
    }
}

/// None said are none declared.
fn bounds(place: &str, value: &Value) -> Result<Option<Arc<[f64]>>, Fault> {
    const EXPECTED: &str = "at most 1000 ascending numbers, the last of which may be \"+Inf\"";
    let infinite = |value: &Value| matches!(value.as_str(), Some("+Inf" | "Inf")).then_some(f64::INFINITY);
    let bound = |value: &Value| value.as_f64().or_else(|| infinite(value));
    let bounds: Option<Vec<f64>> = items(place, value, EXPECTED)?.iter().map(bound).collect();
    let mut bounds = bounds.ok_or_else(|| fault(place, EXPECTED, value))?;
    if bounds.is_empty() {
        return Ok(None);
    }
    if bounds.last() != Some(&f64::INFINITY) {
        bounds.push(f64::INFINITY);
    }
    bounds.iter_mut().for_each(|bound| *bound += 0.0);
    let is_good = bounds.is_sorted_by(|one, other| one < other) && bounds.len() <= MOST_BUCKETS;
    if is_good { Ok(Some(bounds.into())) } else { Err(fault(place, EXPECTED, value)) }
}

fn quantiles(place: &str, value: &Value) -> Result<Arc<[f64]>, Fault> {
    const EXPECTED: &str = "ascending numbers from 0 to 1";
    let quantiles: Option<Vec<f64>> = items(place, value, EXPECTED)?.iter().map(Value::as_f64).collect();
    let quantiles = quantiles.filter(|quantiles| {
        !quantiles.is_empty()
            && quantiles.is_sorted_by(|one, other| one < other)
            && quantiles.iter().all(|quantile| (0.0..=1.0).contains(quantile))
    });
    quantiles.map(Arc::from).ok_or_else(|| fault(place, EXPECTED, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Hermes' document has it.
    const EXAMPLE: &str = r#"{
    "service_name": "testing-service",
    "gauges": [
        {
            "metric_name": "sample_gauge",
            "metric_description": "gauges are awesome",
            "labels": ["label_1", "label_2"]
        }
    ],
    "counters": [
        {
            "metric_name": "sample_counter",
            "metric_description": "counters are awesome too",
            "labels": ["label_1"]
        }
    ]
}"#;

    #[test]
    fn hermes_example_is_read() {
        let declarations = Declarations::parse("config.json", EXAMPLE).expect("good");
        assert_eq!(declarations.service_name, "testing-service");
        let shown: Vec<_> = declarations.iter().map(|of| (&*of.name, of.kind, &*of.help, of.labels.len())).collect();
        let expected = [
            ("sample_counter", MetricKind::Counter, "counters are awesome too", 1),
            ("sample_gauge", MetricKind::Gauge, "gauges are awesome", 2),
        ];
        assert!(expected.iter().all(|declared| shown.contains(declared)), "{shown:?}");
        assert_eq!(declarations.get("sample_gauge").map(|of| of.labels.len()), Some(2));
        assert!(declarations.get("gauge").is_none());
    }

    #[test]
    fn buckets_and_quantiles_may_be_declared() {
        let text = r#"{
            "histograms": [{"metric_name": "h", "buckets": [-0.0, 1]}, {"metric_name": "i", "buckets": [1, "+Inf"], "labels": null}, {"metric_name": "n", "buckets": []}],
            "summaries": [{"metric_name": "s", "labels": ["b", "a"], "quantiles": [0.5, 1]}]
        }"#;
        let declarations = Declarations::parse("config.json", text).expect("good");
        let of = |name| declarations.get(name).expect("declared");
        assert_eq!(of("h").bounds.as_deref(), Some(&[0.0, 1.0, f64::INFINITY][..]));
        assert_eq!(of("i").bounds.as_deref(), Some(&[1.0, f64::INFINITY][..]));
        assert_eq!(of("n").bounds, None);
        assert_eq!(of("s").quantiles.as_deref(), Some(&[0.5, 1.0][..]));
        assert_eq!(*of("s").labels, ["a".into(), "b".into()]);
    }

    #[test]
    fn what_cannot_be_declared_is_told_with_its_place() {
        let cases = [
            ("", "declarations file f: EOF while parsing a value at line 1 column 0"),
            ("[]", "declarations file f, the file: expected an object, got []"),
            (
                r#"{"service": "a"}"#,
                "f, service: expected one of service_name, gauges, counters, histograms, summaries, got",
            ),
            (r#"{"service_name": 1}"#, "f, service_name: expected a string, got 1"),
            (r#"{"gauges": {}}"#, "f, gauges: expected an array of metrics, got {}"),
            (r#"{"gauges": [1]}"#, "f, gauges[0]: expected an object, got 1"),
            (r#"{"gauges": [{}]}"#, "f, gauges[0]: expected a metric_name that is not empty, got {}"),
            (r#"{"gauges": [{"metric_name": 1}]}"#, "f, gauges[0].metric_name: expected a string, got 1"),
            (
                r#"{"gauges": [{"metric_name": "a", "buckets": []}]}"#,
                "f, gauges[0].buckets: expected another key, got []",
            ),
            (
                r#"{"gauges": [{"metric_name": "a", "labels": ["b", "b"]}]}"#,
                "gauges[0].labels: expected label names, each once",
            ),
            (
                r#"{"gauges": [{"metric_name": "a", "labels": ["__b"]}]}"#,
                "gauges[0].labels: expected label names, each once",
            ),
            (
                r#"{"histograms": [{"metric_name": "a", "labels": ["le"]}]}"#,
                "labels: expected label names, each once, got \"le\"",
            ),
            (r#"{"gauges": [{"metric_name": "a"}], "counters": [{"metric_name": "a"}]}"#, "expected each metric once"),
            (
                r#"{"histograms": [{"metric_name": "a", "buckets": [2, 1]}]}"#,
                "buckets: expected at most 1000 ascending numbers",
            ),
            (
                r#"{"summaries": [{"metric_name": "a", "quantiles": [2]}]}"#,
                "quantiles: expected ascending numbers from 0 to 1",
            ),
        ];
        for (text, expected) in cases {
            let said = Declarations::parse("f", text).expect_err(text).to_string();
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
