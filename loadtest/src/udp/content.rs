//! What the datagrams say.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::BATCH;

/// What is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Observation {
    /// One more.
    Counter,
    /// A value that is set.
    Gauge,
    /// A value that is counted in its bucket.
    Histogram,
    /// A value that is counted and summed.
    Summary,
}

impl Observation {
    /// As a flag's value.
    pub fn word(self) -> &'static str {
        match self {
            Observation::Counter => "counter",
            Observation::Gauge => "gauge",
            Observation::Histogram => "histogram",
            Observation::Summary => "summary",
        }
    }
}

/// The datagrams of one sender.
#[derive(Clone, Debug)]
pub struct Content {
    /// The metric's name.
    pub metric: String,
    /// Labels of all its series.
    pub labels: Vec<(String, String)>,
    /// Value of the label `worker`.
    pub worker: usize,
    /// Series that take turns; if there are several, by the label `series`, from 0.
    pub series: usize,
    /// What is observed of them.
    pub observation: Observation,
}

impl Content {
    /// A round of datagrams, that holds each series equally often, and enough of them for a system call.
    pub fn round(&self) -> Vec<Vec<u8>> {
        let datagrams = self.series * BATCH.div_ceil(self.series);
        (0..datagrams).map(|number| self.datagram(number).to_string().into_bytes()).collect()
    }

    fn datagram(&self, number: usize) -> Value {
        let mut labels: Map<String, Value> =
            self.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        labels.insert("worker".into(), self.worker.to_string().into());
        if self.series > 1 {
            labels.insert("series".into(), (number % self.series).to_string().into());
        }
        // From 0.05 to 6.35.
        let value = (number % 64) as f64 / 10.0 + 0.05;
        let payload = match self.observation {
            Observation::Counter => json!({"labels": labels}),
            Observation::Gauge => json!({"labels": labels, "operation": "set", "value": value}),
            Observation::Histogram | Observation::Summary => json!({"labels": labels, "observation": value}),
        };
        json!({"metric_name": self.metric, "payload": payload})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn content(observation: Observation, series: usize) -> Content {
        Content { metric: "jobs".into(), labels: vec![("zone".into(), "a\"b".into())], worker: 1, series, observation }
    }

    #[test]
    fn datagrams_are_of_their_form() {
        let labels = r#""labels":{"worker":"1","zone":"a\"b"}"#;
        let cases = [
            (Observation::Counter, format!(r#"{{"metric_name":"jobs","payload":{{{labels}}}}}"#)),
            (
                Observation::Gauge,
                format!(r#"{{"metric_name":"jobs","payload":{{{labels},"operation":"set","value":0.05}}}}"#),
            ),
            (Observation::Histogram, format!(r#"{{"metric_name":"jobs","payload":{{{labels},"observation":0.05}}}}"#)),
        ];
        for (observation, expected) in cases {
            assert_eq!(String::from_utf8_lossy(&content(observation, 1).round()[0]), expected);
        }
    }

    #[test]
    fn a_round_has_each_series_equally_often() {
        for series in [1, 2, 3, 64, 65, 1000] {
            let round = content(Observation::Counter, series).round();
            assert!(round.len() >= BATCH);
            let mut told = BTreeMap::new();
            round.iter().for_each(|datagram| *told.entry(datagram).or_insert(0) += 1);
            assert_eq!(told.len(), series);
            assert!(told.values().all(|count| *count == round.len() / series), "{series}");
        }
    }
}
