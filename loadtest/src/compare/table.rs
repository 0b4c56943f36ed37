//! What a comparison measured: medians, spreads and ratios, as a table and as JSON.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stderr};

use serde_json::{Value, json};

use super::Scenario;
use super::systems::{Role, SYSTEMS, System};
use crate::error::Error;
use crate::load::LoadResult;
use crate::report::milliseconds;

/// A system under a scenario in one round.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The system's name.
    pub system: &'static str,
    /// What it is.
    pub role: Role,
    /// The scenario's name.
    pub scenario: &'static str,
    /// Which round, from 0.
    pub round: usize,
    /// Pushes acknowledged in a second.
    pub rate: f64,
    /// Pushes refused or lost.
    pub failed: u64,
    /// Latencies in microseconds: the median and the 99th of a hundred.
    pub latencies: [u64; 2],
    /// Processor time of the server for a push, in seconds.
    pub server_seconds: Option<f64>,
}

impl Measurement {
    /// Keeps of a run what is compared.
    pub fn new(system: &System, scenario: &Scenario, round: usize, result: &LoadResult) -> Measurement {
        Measurement {
            system: system.name,
            role: system.role,
            scenario: scenario.name,
            round,
            rate: result.rate(),
            failed: result.measured.failed(),
            latencies: [0.5, 0.99].map(|quantile| result.measured.latencies.value_at_quantile(quantile)),
            server_seconds: result.server_seconds_per_push(),
        }
    }
}

/// All rounds.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The loads.
    pub scenarios: Vec<Scenario>,
    /// Systems that were not found, or not wanted.
    pub missing: Vec<&'static str>,
    /// Why peers could not be measured: scenario, system, and what it said first.
    pub excuses: Vec<(&'static str, &'static str, String)>,
    /// What was measured.
    pub measurements: Vec<Measurement>,
}

/// A line of the table: medians over the rounds.
struct Line {
    system: &'static str,
    rate: f64,
    lowest: f64,
    highest: f64,
    samples: f64,
    to_plain: Option<f64>,
    to_best_peer: Option<f64>,
    server_micros: Option<f64>,
    latencies: [u64; 2],
    failed: u64,
}

impl Comparison {
    /// Keeps a measurement, and shows it on a terminal.
    pub fn add(&mut self, measurement: Measurement) {
        if stderr().is_terminal() {
            let Measurement { round, scenario, system, rate, .. } = &measurement;
            // Progress that cannot be shown is no fault.
            let _ = writeln!(stderr(), "round {:<3} {scenario:<26} {system:<20} {rate:>10.1} pushes/s", round + 1);
        }
        self.measurements.push(measurement);
    }

    /// Keeps why a peer could not be measured under a scenario, once.
    pub fn excuse(&mut self, scenario: &Scenario, system: &System, error: &Error) {
        if !self.excuses.iter().any(|excuse| (excuse.0, excuse.1) == (scenario.name, system.name)) {
            self.excuses.push((scenario.name, system.name, error.to_string()));
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = String::new();
        for scenario in &self.scenarios {
            let heads =
                ["pushes/s", "lowest", "highest", "samples/s", "to plain", "to peer", "CPU µs", "p50", "p99", "failed"];
            let heads: String = heads.iter().map(|head| format!("{head:>11}")).collect();
            // Writing to a string does not fail.
            let _ = writeln!(table, "{:<27}{heads}", scenario.name);
            self.lines(scenario).iter().for_each(|line| table.push_str(&line.text()));
            table.push('\n');
        }
        table.push_str("Medians over the rounds. To plain, to peer: the rate divided by the plain body reader's, and by the best peer's,\n");
        table.push_str("in the same round. CPU: processor time of the server for a push.\n");
        self.excuses.iter().for_each(|(scenario, system, error)| {
            let _ = writeln!(table, "{scenario}, {system}: {error}.");
        });
        if !self.missing.is_empty() {
            let _ = writeln!(table, "Not measured: {}.", self.missing.join(", "));
        }
        table
    }

    /// For programs: the table's lines, and every measurement.
    pub fn json(&self) -> Value {
        let lines = self
            .scenarios
            .iter()
            .flat_map(|scenario| self.lines(scenario).into_iter().map(|line| line.json(scenario)).collect::<Vec<_>>());
        let measurements = self.measurements.iter().map(|measured| {
            json!({
                "scenario": measured.scenario,
                "system": measured.system,
                "round": measured.round,
                "pushes_per_second": measured.rate,
                "failed": measured.failed,
                "p50_microseconds": measured.latencies[0],
                "p99_microseconds": measured.latencies[1],
                "server_cpu_seconds_per_push": measured.server_seconds,
            })
        });
        let excuses = self
            .excuses
            .iter()
            .map(|(scenario, system, error)| json!({ "scenario": scenario, "system": system, "reason": error }));
        json!({
            "medians": lines.collect::<Value>(),
            "measurements": measurements.collect::<Value>(),
            "not_measured": excuses.collect::<Value>(),
        })
    }

    fn lines(&self, scenario: &Scenario) -> Vec<Line> {
        let best_peer = SYSTEMS
            .iter()
            .filter(|system| system.role == Role::Peer)
            .map(|system| (system.name, self.rate(scenario, system.name)))
            .filter_map(|(name, rate)| Some((name, rate?)))
            .max_by(|one, other| one.1.total_cmp(&other.1));
        let plain = SYSTEMS[0].name;
        SYSTEMS
            .iter()
            .filter_map(|system| self.line(scenario, system.name, plain, best_peer.map(|best| best.0)))
            .collect()
    }

    fn line(&self, scenario: &Scenario, system: &'static str, plain: &str, best_peer: Option<&str>) -> Option<Line> {
        let rate = self.rate(scenario, system)?;
        let of = || self.of(scenario, system);
        let latency =
            |at: usize| median(of().map(|measured| measured.latencies[at] as f64)).map_or(0, |micros| micros as u64);
        Some(Line {
            system,
            rate,
            lowest: of().map(|measured| measured.rate).fold(f64::INFINITY, f64::min),
            highest: of().map(|measured| measured.rate).fold(0.0, f64::max),
            samples: rate * scenario.series as f64,
            to_plain: self.ratio(scenario, system, plain),
            to_best_peer: best_peer.and_then(|peer| self.ratio(scenario, system, peer)),
            server_micros: median(of().filter_map(|measured| measured.server_seconds)).map(|seconds| seconds * 1e6),
            latencies: [latency(0), latency(1)],
            failed: of().map(|measured| measured.failed).sum(),
        })
    }

    fn of(&self, scenario: &Scenario, system: &str) -> impl Iterator<Item = &Measurement> {
        self.measurements.iter().filter(move |measured| measured.scenario == scenario.name && measured.system == system)
    }

    fn rate(&self, scenario: &Scenario, system: &str) -> Option<f64> {
        median(self.of(scenario, system).map(|measured| measured.rate))
    }

    /// The median over the rounds of the ratio in one round.
    fn ratio(&self, scenario: &Scenario, system: &str, other: &str) -> Option<f64> {
        median(self.of(scenario, system).filter_map(|measured| {
            let other = self.of(scenario, other).find(|other| other.round == measured.round)?;
            (other.rate > 0.0).then(|| measured.rate / other.rate)
        }))
    }
}

impl Line {
    fn text(&self) -> String {
        let or_dash = |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
        let digits = if self.rate < 100.0 { 1 } else { 0 };
        let fields = [
            format!("{:.digits$}", self.rate),
            format!("{:.digits$}", self.lowest),
            format!("{:.digits$}", self.highest),
            format!("{:.0}", self.samples),
            or_dash(self.to_plain, 3),
            or_dash(self.to_best_peer, 2),
            or_dash(self.server_micros, 1),
            milliseconds(self.latencies[0]),
            milliseconds(self.latencies[1]),
            self.failed.to_string(),
        ];
        let fields: String = fields.iter().map(|field| format!("{field:>11}")).collect();
        format!("  {:<25}{fields}\n", self.system)
    }

    fn json(&self, scenario: &Scenario) -> Value {
        json!({
            "scenario": scenario.name,
            "series_per_push": scenario.series,
            "stored_series": scenario.stored,
            "system": self.system,
            "pushes_per_second": self.rate,
            "lowest": self.lowest,
            "highest": self.highest,
            "samples_per_second": self.samples,
            "ratio_to_plain": self.to_plain,
            "ratio_to_best_peer": self.to_best_peer,
            "server_cpu_microseconds_per_push": self.server_micros,
            "p50_microseconds": self.latencies[0],
            "p99_microseconds": self.latencies[1],
            "failed": self.failed,
        })
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let is_even = values.len().is_multiple_of(2);
    Some(if is_even { (values[values.len() / 2 - 1] + upper) / 2.0 } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in
            [(vec![], None), (vec![2.0], Some(2.0)), (vec![9.0, 1.0, 3.0], Some(3.0)), (vec![1.0, 4.0], Some(2.5))]
        {
            assert_eq!(median(values.iter().copied()), expected, "{values:?}");
        }
    }

    #[test]
    fn ratios_are_of_one_round() {
        let scenario = Scenario { name: "50 series", series: 50, stored: 0 };
        let measured = |system: &'static str, round, rate| Measurement {
            system,
            role: Role::Peer,
            scenario: scenario.name,
            round,
            rate,
            failed: 1,
            latencies: [100, 200],
            server_seconds: Some(1e-5),
        };
        // The machine slows down, for both alike.
        let rates =
            [("plain body reader", [100.0, 50.0, 10.0]), ("catchment", [80.0, 40.0, 8.0]), ("gravel", [8.0, 4.0, 0.8])];
        let measurements = rates.iter().flat_map(|(system, rates)| {
            rates.iter().enumerate().map(|(round, rate)| measured(system, round, *rate)).collect::<Vec<_>>()
        });
        let comparison = Comparison {
            scenarios: vec![scenario],
            missing: vec!["zapier"],
            excuses: vec![],
            measurements: measurements.collect(),
        };
        let lines = comparison.lines(&scenario);
        let of = |name| lines.iter().find(|line| line.system == name).unwrap();
        let catchment = of("catchment");
        assert_eq!((catchment.rate, catchment.samples, catchment.failed), (40.0, 2000.0, 3));
        assert!((catchment.to_plain.unwrap() - 0.8).abs() < 1e-9);
        assert!((catchment.to_best_peer.unwrap() - 10.0).abs() < 1e-9);
        assert_eq!(of("gravel").to_best_peer, Some(1.0));
        assert!(comparison.table().contains("Not measured: zapier."));
        assert_eq!(comparison.json()["medians"][1]["system"], "catchment");
    }
}
