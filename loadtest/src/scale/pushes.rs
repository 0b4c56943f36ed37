//! What pushes of known series cost, by what is stored, by their size, and by shards.

use serde_json::{Value, json};

use super::Effort;
use super::findings::{Column, Drawing, Findings, column};
use super::gateway::Gateway;
use crate::compare::table::median;
use crate::error::Error;
use crate::load::LoadResult;

/// Series of a push, where it is not what is looked at.
const SERIES: usize = 50;
/// So few that their templates easily fit.
const SOME_PUSHERS: usize = 400;
/// So many that their templates do not all fit, and their series are in no cache.
const MANY_PUSHERS: usize = 20_000;
/// Series of all pushers together, where pushes are large.
const MOST_PUSHED: usize = 100_000;

/// Pushers of so many series each.
fn pushers(series: usize, most: usize) -> usize {
    (most / series).clamp(1, SOME_PUSHERS)
}

/// Pushes of 50 counters by the number of series stored, theirs included.
pub fn by_stored(effort: &Effort) -> Result<Findings, Error> {
    let mut rows = Vec::new();
    for stored in effort.points(&[1_000, 10_000, 100_000, 1_000_000, 10_000_000]) {
        for (most, name) in [(SOME_PUSHERS, "400 pushers"), (MANY_PUSHERS, "20,000 pushers")] {
            let pushers = most.min(stored / SERIES);
            if most == MANY_PUSHERS && pushers <= SOME_PUSHERS {
                continue;
            }
            let gateway = Gateway::with_stored(effort, stored - pushers * SERIES)?;
            let results = gateway.push(gateway.counters("known", SERIES), pushers as u64, effort.rounds)?;
            let mut row = vec![json!(name), json!(stored), json!(pushers)];
            row.extend(costs(&results, 1.0, 1e6));
            rows.push(row);
        }
    }
    let columns = [column("curve", "at most"), column("stored", "series stored"), column("pushers", "who push")];
    Ok(Findings {
        name: "stored",
        title: "Pushes of 50 known counters, by series stored",
        columns: [&columns[..], &PER_PUSH[..]].concat(),
        rows,
        drawing: Some(Drawing { curves: Some("curve"), x: "stored", is_logarithmic: true, panels: &["cpu", "rate"] }),
    })
}

/// Pushes of counters by their number in a push.
pub fn by_size(effort: &Effort) -> Result<Findings, Error> {
    let mut rows = Vec::new();
    for series in effort.points(&[1, 10, 50, 100, 1_000, 10_000]) {
        let gateway = Gateway::start(effort, "")?;
        let pushers = pushers(series, MOST_PUSHED);
        let results = gateway.push(gateway.counters("known", series), pushers as u64, effort.rounds)?;
        let mut row = vec![json!(series), json!(pushers)];
        row.extend(costs(&results, series as f64, 1e9));
        rows.push(row);
    }
    let columns = [
        column("series", "series a push"),
        column("pushers", "who push"),
        column("rate", "samples/s"),
        column("cpu", "CPU ns a sample"),
        column("cpu_lowest", "lowest"),
        column("cpu_highest", "highest"),
    ];
    Ok(Findings {
        name: "push",
        title: "Pushes of known counters, by series in a push",
        columns: columns.to_vec(),
        rows,
        drawing: Some(Drawing { curves: None, x: "series", is_logarithmic: true, panels: &["cpu", "rate"] }),
    })
}

/// Pushes of counters by the number of shards.
pub fn by_shards(effort: &Effort) -> Result<Findings, Error> {
    let mut rows = Vec::new();
    for (series, name) in [(SERIES, "50 series"), (1_000, "1,000 series")] {
        for shards in [1, 2, 4, 8] {
            let gateway = Gateway::start(effort, &format!("--shards {shards}"))?;
            let pushers = pushers(series, MOST_PUSHED) as u64;
            let results = gateway.push(gateway.counters("known", series), pushers, effort.rounds)?;
            let mut row = vec![json!(name), json!(shards)];
            row.extend(costs(&results, 1.0, 1e6));
            rows.push(row);
        }
    }
    let columns = [column("curve", "a push"), column("shards", "shards")];
    Ok(Findings {
        name: "shards",
        title: "Pushes of known counters, by shards",
        columns: [&columns[..], &PER_PUSH[..]].concat(),
        rows,
        drawing: Some(Drawing { curves: Some("curve"), x: "shards", is_logarithmic: false, panels: &["cpu", "rate"] }),
    })
}

/// What [`costs`] tells of whole pushes.
pub const PER_PUSH: [Column; 4] = [
    column("rate", "pushes/s"),
    column("cpu", "CPU µs a push"),
    column("cpu_lowest", "lowest"),
    column("cpu_highest", "highest"),
];

/// The rate and the processor time of as many parts as a push has, with the lowest and highest of the rounds.
pub fn costs(results: &[LoadResult], parts: f64, unit: f64) -> [Value; 4] {
    let rate = median(results.iter().map(|result| result.rate() * parts));
    let cpu = || results.iter().filter_map(LoadResult::server_seconds_per_push).map(|seconds| seconds * unit / parts);
    [json!(rate), json!(median(cpu())), json!(cpu().reduce(f64::min)), json!(cpu().reduce(f64::max))]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::Outcomes;

    #[test]
    fn large_pushes_come_from_few() {
        let cases = [(1, 400), (50, 400), (1_000, 100), (10_000, 10), (200_000, 1)];
        cases.iter().for_each(|(series, expected)| assert_eq!(pushers(*series, MOST_PUSHED), *expected, "{series}"));
    }

    #[test]
    fn costs_are_of_parts() {
        let result = |millis| LoadResult {
            duration: Duration::from_secs(2),
            seconds: Vec::new(),
            measured: Outcomes::new().unwrap(),
            in_time: 100,
            whole: Outcomes::new().unwrap(),
            unsent: 0,
            server_time: Some(Duration::from_millis(millis)),
        };
        let told = costs(&[result(10), result(40), result(20)], 10.0, 1e6).map(|value| value.as_f64().unwrap().round());
        assert_eq!(told, [500.0, 20.0, 10.0, 40.0]);
    }
}
