//! The outcome of a run as a table, as JSON and as CSV.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::load::LoadResult;
use crate::record::Outcomes;
use crate::verify::Verdict;

/// A run as it was asked for, and what came of it.
pub struct Report<'a> {
    /// The target's URL.
    pub target: &'a str,
    /// The label that its series have.
    pub run: &'a str,
    /// Pushes a second that were asked for; zero for a closed loop.
    pub rate: f64,
    /// Connections.
    pub connections: usize,
    /// Series of a push.
    pub series: usize,
    /// Lines of a push in text.
    pub samples: usize,
    /// Bytes of a request.
    pub request_bytes: usize,
    /// What came of it.
    pub result: &'a LoadResult,
    /// Whether the page agrees, if it was asked.
    pub verdict: Option<&'a Verdict>,
}

/// The quantiles that are told, and their names.
pub const QUANTILES: [(f64, &str); 5] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];

impl Report<'_> {
    /// For people.
    pub fn table(&self) -> String {
        let LoadResult { measured, unsent, .. } = self.result;
        let rate = self.result.rate();
        let asked =
            if self.rate > 0.0 { format!("open loop, {} pushes/s asked for", self.rate) } else { "closed loop".into() };
        let mut rows = vec![
            ("target", self.target.to_owned()),
            ("load", format!("{asked}, {} connections, {:?}", self.connections, self.result.duration)),
            ("a push", format!("{} series, {} samples, {} bytes", self.series, self.samples, self.request_bytes)),
            ("acknowledged", format!("{rate:.0} pushes/s, {:.0} samples/s", rate * self.samples as f64)),
            ("latency", latencies(measured)),
            ("answers", counts(measured)),
        ];
        if let Some(refusal) = &measured.refusal {
            rows.push(("first refusal", refusal.clone()));
        }
        if *unsent > 0 {
            rows.push(("not sent", format!("{unsent} pushes that were due: the target did not keep up")));
        }
        if let Some(seconds) = self.result.server_seconds_per_push() {
            rows.push(("server", format!("{:.1} µs of processor time a push", seconds * 1e6)));
        }
        if let Some(verdict) = self.verdict {
            rows.push(("verified", verdict_line(verdict)));
            rows.extend(verdict.differences.iter().map(|difference| ("difference", difference.clone())));
        }
        rows.iter().fold(String::new(), |mut table, (name, value)| {
            // Writing to a string does not fail.
            let _ = writeln!(table, "{name:<14}{value}");
            table
        })
    }

    /// For programs. Latencies are in microseconds.
    pub fn json(&self) -> Value {
        let LoadResult { measured, whole, unsent, duration, in_time, .. } = self.result;
        json!({
            "target": self.target,
            "run": self.run,
            "rate_asked_for": self.rate,
            "connections": self.connections,
            "duration_seconds": duration.as_secs_f64(),
            "series_per_push": self.series,
            "samples_per_push": self.samples,
            "request_bytes": self.request_bytes,
            "pushes_per_second": self.result.rate(),
            "samples_per_second": self.result.rate() * self.samples as f64,
            "acknowledged_in_time": in_time,
            "sent": measured.sent,
            "acknowledged": measured.acknowledged(),
            "failed": measured.failed(),
            "not_sent": unsent,
            "statuses": measured.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect::<Value>(),
            "errors": measured.faults.iter().map(|(fault, count)| (fault.word(), *count)).collect::<Value>(),
            "first_refusal": measured.refusal,
            "latency_microseconds": latency_json(measured),
            "acknowledged_with_warmup": whole.acknowledged(),
            "server_cpu_seconds_per_push": self.result.server_seconds_per_push(),
            "verified": self.verdict.map(|verdict| json!({
                "holds": verdict.holds(),
                "acknowledged": verdict.acknowledged,
                "unknown": verdict.unknown,
                "shown": verdict.shown,
                "differences": verdict.differences,
            })),
        })
    }

    /// A line for each second. Latencies are in microseconds.
    pub fn csv(&self) -> String {
        let head = "second,intended,sent,acknowledged,errors,p50_microseconds,p99_microseconds,max_microseconds\n";
        self.result.seconds.iter().fold(head.to_owned(), |mut csv, second| {
            let [middle, late, latest] = second.latencies;
            let counts = format!("{},{},{},{}", second.due, second.sent, second.acknowledged, second.failed);
            // Writing to a string does not fail.
            let _ = writeln!(csv, "{},{counts},{middle},{late},{latest}", second.end);
            csv
        })
    }
}

/// Latencies by the names of their quantiles.
pub fn latency_json(outcomes: &Outcomes) -> Value {
    QUANTILES.iter().map(|(quantile, name)| (*name, outcomes.latencies.value_at_quantile(*quantile))).collect()
}

fn latencies(outcomes: &Outcomes) -> String {
    if outcomes.latencies.is_empty() {
        return "none".into();
    }
    let told = QUANTILES
        .map(|(quantile, name)| format!("{name} {}", milliseconds(outcomes.latencies.value_at_quantile(quantile))));
    told.join("  ")
}

/// A time in milliseconds, with as many digits as mean something.
pub fn milliseconds(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{:.2} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

fn counts(outcomes: &Outcomes) -> String {
    let statuses = outcomes.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    let faults = outcomes.faults.iter().map(|(fault, count)| format!("{}: {count}", fault.word()));
    let told: Vec<String> = statuses.chain(faults).collect();
    if told.is_empty() { "none".into() } else { told.join("  ") }
}

fn verdict_line(verdict: &Verdict) -> String {
    let Verdict { acknowledged, unknown, shown, .. } = verdict;
    match shown {
        Some(shown) => format!("the page shows {shown} pushes; {acknowledged} acknowledged, {unknown} unknown"),
        None if verdict.holds() => "nothing that adds up was pushed".into(),
        None => format!("the page differs from {acknowledged} acknowledged pushes, {unknown} unknown"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Second;

    fn result() -> LoadResult {
        let mut measured = Outcomes::new().unwrap();
        measured.statuses = [(202, 100), (503, 2)].into();
        measured.faults = [(crate::connection::Fault::Reset, 1)].into();
        measured.latencies.record_n(500, 100).unwrap();
        let second =
            Second { end: 1.0, length: 1.0, due: 104, sent: 103, acknowledged: 100, failed: 3, latencies: [500; 3] };
        LoadResult {
            duration: Duration::from_secs(1),
            seconds: vec![second],
            whole: measured.clone(),
            measured,
            in_time: 100,
            unsent: 1,
            server_time: Some(Duration::from_millis(10)),
        }
    }

    fn report(result: &LoadResult) -> Report<'_> {
        let (target, run) = ("http://gateway", "r");
        Report {
            target,
            run,
            rate: 104.0,
            connections: 2,
            series: 50,
            samples: 50,
            request_bytes: 6000,
            result,
            verdict: None,
        }
    }

    #[test]
    fn a_table_tells_what_failed() {
        let result = result();
        let table = report(&result).table();
        let expected = [
            "load          open loop, 104 pushes/s asked for, 2 connections, 1s",
            "acknowledged  100 pushes/s, 5000 samples/s",
            "latency       p50 0.50 ms  p90 0.50 ms  p99 0.50 ms  p99.9 0.50 ms  max 0.50 ms",
            "answers       202: 100  503: 2  reset: 1",
            "not sent      1 pushes that were due: the target did not keep up",
            "server        100.0 µs of processor time a push",
        ];
        expected.iter().for_each(|line| assert!(table.contains(line), "{line:?} in\n{table}"));
    }

    #[test]
    fn seconds_are_lines() {
        let result = result();
        assert_eq!(report(&result).csv().lines().nth(1), Some("1,104,103,100,3,500,500,500"));
        assert_eq!(report(&result).json()["statuses"]["503"], 2);
    }

    #[test]
    fn times_have_the_digits_that_they_need() {
        for (micros, told) in [(70, "0.07 ms"), (9_990, "9.99 ms"), (12_300, "12 ms"), (2_340_000, "2.3 s")] {
            assert_eq!(milliseconds(micros), told);
        }
    }
}
