//! What scrapes cost, and what pushes wait for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Effort;
use super::findings::{Drawing, Findings, column};
use super::gateway::Gateway;
use super::reader::{Scrape, scrape};
use crate::compare::table::median;
use crate::error::Error;
use crate::process::cpu_time;
use crate::requests::Requests;
use crate::target::Target;

/// The codings that pages are asked for in.
const CODINGS: [&str; 2] = ["identity", "gzip"];

/// One scraper, by the number of series stored.
pub fn by_stored(effort: &Effort) -> Result<Findings, Error> {
    let mut rows = Vec::new();
    for stored in effort.points(&[10_000, 100_000, 1_000_000, 10_000_000]) {
        let gateway = Gateway::with_stored(effort, stored)?;
        for coding in CODINGS {
            // The first scrape after pushes of new series puts them in order.
            scraped(&gateway.target, coding)?;
            let before = cpu_time(gateway.pid());
            let scrapes = scrape_for(&gateway.target, coding, effort.rounds)?;
            let spent = cpu_time(gateway.pid()).zip(before).map(|(after, before)| (after - before).as_secs_f64());
            let cpu = spent.map(|seconds| seconds / scrapes.len() as f64);
            rows.push(vec![
                json!(coding),
                json!(stored),
                json!(median(scrapes.iter().map(|scrape| scrape.whole.as_secs_f64()))),
                json!(median(scrapes.iter().map(|scrape| scrape.first_byte.as_secs_f64() * 1e3))),
                json!(median(scrapes.iter().map(|scrape| scrape.bytes as f64 / 1e6))),
                json!(cpu),
                json!(cpu.map(|seconds| stored as f64 / seconds)),
                json!(scrapes.len()),
            ]);
        }
    }
    let columns = [
        column("curve", "coding"),
        column("stored", "series stored"),
        column("seconds", "seconds"),
        column("first_byte", "first byte, ms"),
        column("megabytes", "MB"),
        column("cpu", "CPU seconds"),
        column("series_per_cpu_second", "series a CPU second"),
        column("scrapes", "scrapes"),
    ];
    Ok(Findings {
        name: "page",
        title: "A scrape of the whole page, by series stored",
        columns: columns.to_vec(),
        rows,
        drawing: Some(Drawing {
            curves: Some("curve"),
            x: "stored",
            is_logarithmic: true,
            panels: &["seconds", "first_byte"],
        }),
    })
}

fn scraped(target: &Target, coding: &str) -> Result<Scrape, Error> {
    scrape(target, coding).map_err(|error| Error::Page("/metrics".into(), error.to_string()))
}

/// Scrapes one after the other, for three seconds and at least so many.
fn scrape_for(target: &Target, coding: &str, least: usize) -> Result<Vec<Scrape>, Error> {
    const TIME: Duration = Duration::from_secs(3);
    let (begin, mut scrapes) = (Instant::now(), Vec::new());
    while scrapes.len() < least || begin.elapsed() < TIME {
        scrapes.push(scraped(target, coding)?);
    }
    Ok(scrapes)
}

/// Pushes at a moderate rate to a million series, while so many scrapers read them in a loop.
pub fn by_scrapers(effort: &Effort) -> Result<Findings, Error> {
    let mut rows = Vec::new();
    for coding in CODINGS {
        for scrapers in [0, 1, 2, 4] {
            rows.push(beside_scrapers(effort, coding, scrapers)?);
        }
    }
    Ok(Findings {
        name: "scrapers",
        title: "1,000 pushes/s of 50 counters to 1 M series, by scrapers in a loop",
        columns: vec![
            column("curve", "coding"),
            column("scrapers", "scrapers"),
            column("p50", "push p50, ms"),
            column("p99", "push p99, ms"),
            column("p99_lowest", "lowest"),
            column("p99_highest", "highest"),
            column("not_sent", "not sent"),
            column("seconds", "seconds a scrape"),
            column("scrapes", "scrapes"),
            column("cores", "server's cores"),
        ],
        rows,
        drawing: Some(Drawing {
            curves: Some("curve"),
            x: "scrapers",
            is_logarithmic: false,
            panels: &["p50", "p99", "seconds"],
        }),
    })
}

/// A row: medians of the rounds.
fn beside_scrapers(effort: &Effort, coding: &str, scrapers: usize) -> Result<Vec<Value>, Error> {
    const STORED: usize = 1_000_000;
    const PUSHERS: u64 = 400;
    const PUSH_RATE: f64 = 1_000.0;
    const ROUND: Duration = Duration::from_secs(5);
    let gateway = Gateway::with_stored(effort, STORED)?;
    let form = gateway.counters("known", 50);
    gateway.push_once(&form, PUSHERS)?;
    scraped(&gateway.target, coding)?;
    let requests = Requests::prepare(form, PUSHERS, 1)?;
    let (mut results, mut scrapes) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let pushed = || gateway.push_for(requests.clone(), PUSH_RATE, ROUND);
        let (result, read) = beside(scrapers, || scraped(&gateway.target, coding), pushed)?;
        results.push(result?);
        scrapes.extend(read);
    }
    let latencies =
        |quantile| results.iter().map(move |result| result.measured.latencies.value_at_quantile(quantile) as f64 / 1e3);
    let cores = results.iter().filter_map(|result| Some(result.server_time?.as_secs_f64() / ROUND.as_secs_f64()));
    Ok(vec![
        json!(coding),
        json!(scrapers),
        json!(median(latencies(0.5))),
        json!(median(latencies(0.99))),
        json!(latencies(0.99).reduce(f64::min)),
        json!(latencies(0.99).reduce(f64::max)),
        json!(results.iter().map(|result| result.unsent).sum::<u64>()),
        json!(median(scrapes.iter().map(|scrape| scrape.whole.as_secs_f64()))),
        json!(scrapes.len()),
        json!(median(cores)),
    ])
}

/// Does something while so many threads do another thing again and again, at least once. Each ends what it has begun.
fn beside<D, R: Send>(
    threads: usize,
    repeated: impl Fn() -> Result<R, Error> + Sync,
    done: impl FnOnce() -> D,
) -> Result<(D, Vec<R>), Error> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let repeat = || {
            let mut results = Vec::new();
            loop {
                results.push(repeated()?);
                if is_over.load(Ordering::Relaxed) {
                    return Ok(results);
                }
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(repeat)).collect();
        let outcome = done();
        is_over.store(true, Ordering::Relaxed);
        let mut results = Vec::new();
        for thread in running {
            results.extend(thread.join().unwrap_or(Err(Error::Stopped))?);
        }
        Ok((outcome, results))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn others_go_on_until_it_is_done() {
        let rounds = AtomicUsize::new(0);
        let repeated = || Ok(rounds.fetch_add(1, Ordering::Relaxed));
        let wait = || {
            while rounds.load(Ordering::Relaxed) < 10 {
                thread::yield_now();
            }
            "done"
        };
        let (outcome, results) = beside(2, repeated, wait).unwrap();
        assert_eq!((outcome, results.len()), ("done", rounds.load(Ordering::Relaxed)));
        let failed = beside(1, || Err::<(), _>(Error::Stopped), || ());
        assert!(matches!(failed, Err(Error::Stopped)));
    }
}
