//! Whether the page shows what was acknowledged: the sums over a run's counters, histograms and summaries must have grown by what
//! as many whole pushes bring as were acknowledged, and by no more than those whose answer was lost besides.
//!
//! That holds where pushes are increments: aggregating gateways, and the door `aggregate`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::connection::Connection;
use crate::content::PREFIX;
use crate::error::Error;
use crate::record::Outcomes;
use crate::target::Target;

/// Sums over a run's series, by the sample's name; of buckets by the name and the bound, as in `a_bucket le=0.5`.
pub type Sums = BTreeMap<String, f64>;

/// How long the whole page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(300);

/// Reads the page and adds up a run's series.
pub fn read_sums(target: &Target, path: &str, run: &str) -> Result<Sums, Error> {
    let failed = |reason: String| Error::Page(path.to_owned(), reason);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Start("a runtime".into(), error))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/plain;version=0.0.4\r\n\r\n", target.host);
    let mut connection = Connection::new(target.clone(), PAGE_TIMEOUT);
    let exchange = connection.exchange(request.as_bytes(), usize::MAX);
    let response = runtime.block_on(exchange).map_err(|fault| failed(fault.word().to_owned()))?;
    if response.status() != 200 {
        return Err(failed(format!("expected status 200, got {}", response.status())));
    }
    let page = std::str::from_utf8(response.body()).map_err(|error| failed(error.to_string()))?;
    sums(page, run).map_err(failed)
}

/// Adds up a run's series on a page in the text format.
pub fn sums(page: &str, run: &str) -> Result<Sums, String> {
    let mark = format!("run=\"{run}\"");
    let mut sums = Sums::new();
    for line in page.lines().filter(|line| line.starts_with(PREFIX) && line.contains(&mark)) {
        let sample = || line.split_once('{').zip(line.rsplit_once("} "));
        let ((name, labels), (_, value)) = sample().ok_or_else(|| format!("expected a sample, got {line:?}"))?;
        let value = value.split(' ').next().unwrap_or_default();
        let value: f64 = value.parse().map_err(|_| format!("expected a number, got {value:?} in {line:?}"))?;
        let key = match label(labels, "le") {
            Some(bound) => {
                let bound: f64 = bound.parse().map_err(|_| format!("expected a bound, got {bound:?} in {line:?}"))?;
                format!("{name} le={bound}")
            }
            None => name.to_owned(),
        };
        *sums.entry(key).or_insert(0.0) += value;
    }
    Ok(sums)
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let is_named = |pair: &&str| pair.split_once("=\"").is_some_and(|(got, _)| got == name);
    // No value of ours holds a comma or a quote.
    let pair = labels.split('}').next()?.split(',').find(is_named)?;
    Some(pair.split_once("=\"")?.1.trim_end_matches('"'))
}

/// How the page agrees with what was acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Pushes that the gateway says it has taken.
    pub acknowledged: u64,
    /// Pushes that it may have taken besides.
    pub unknown: u64,
    /// Whole pushes that the page shows, if it is so many for every sum.
    pub shown: Option<f64>,
    /// One line for each sum that is not as expected.
    pub differences: Vec<String>,
}

impl Verdict {
    /// Compares the sums' growth with what a push brings to each.
    pub fn new(totals: &Sums, before: &Sums, after: &Sums, outcomes: &Outcomes) -> Verdict {
        let (acknowledged, unknown) = (outcomes.acknowledged(), outcomes.unknown());
        let most = acknowledged + unknown;
        let mut verdict = Verdict { acknowledged, unknown, shown: None, differences: Vec::new() };
        for (key, total) in totals.iter().filter(|(_, total)| **total > 0.0) {
            let at = |sums: &Sums| sums.get(key).copied().unwrap_or(0.0);
            let pushes = (at(after) - at(before)) / total;
            let expected = *verdict.shown.get_or_insert(pushes);
            let is_whole = pushes.fract() == 0.0 && pushes == expected;
            if !is_whole || pushes < acknowledged as f64 || pushes > most as f64 {
                let range = if unknown == 0 { format!("{acknowledged}") } else { format!("{acknowledged} to {most}") };
                verdict.differences.push(format!("{key}: expected {range} pushes of {total}, got {pushes}"));
            }
        }
        if !verdict.differences.is_empty() {
            verdict.shown = None;
        }
        verdict
    }

    /// Whether nothing was lost and nothing was counted twice.
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Format, render};
    use crate::content::{Content, Shape};

    fn content() -> Content {
        Content { shape: Shape::Mixed, series: 40, run: "r1".into(), is_own: true, churn: 0.1 }
    }

    fn outcomes(acknowledged: u64, unknown: u64) -> Outcomes {
        let mut outcomes = Outcomes::new().unwrap();
        outcomes.statuses = [(202, acknowledged), (400, 7), (500, unknown)].into();
        outcomes
    }

    #[test]
    fn a_body_has_the_sums_that_it_is_said_to_bring() {
        let content = content();
        let body = String::from_utf8(render(&content, Format::Text, 3, 55)).unwrap();
        let mut got = sums(&body, "r1").unwrap();
        got.retain(|key, _| content.totals().contains_key(key));
        assert_eq!(got, content.totals());
        assert_eq!(sums(&body, "r2").unwrap(), Sums::new());
    }

    #[test]
    fn pages_are_read_by_value() {
        let page = "# TYPE load_a counter\nload_a{run=\"r\"} 1e3\nload_a{b=\"c\",run=\"r\"} 2 1700000000\nload_a{run=\"s\"} 9\n\
                    load_b_bucket{le=\"1\",run=\"r\"} 3\nload_b_bucket{run=\"r\",z=\"\",le=\"1.0\"} 4\n";
        let expected = [("load_a".to_owned(), 1002.0), ("load_b_bucket le=1".to_owned(), 7.0)];
        assert_eq!(sums(page, "r").unwrap(), expected.into());
        let said = sums("load_a{run=\"r\"} many\n", "r").unwrap_err();
        assert_eq!(said, r#"expected a number, got "many" in "load_a{run=\"r\"} many""#);
    }

    #[test]
    fn growth_is_compared_with_what_was_acknowledged() {
        let totals: Sums = [("a".to_owned(), 10.0), ("b".to_owned(), 0.5), ("never".to_owned(), 0.0)].into();
        let page = |a, b| -> Sums { [("a".to_owned(), a), ("b".to_owned(), b)].into() };
        let cases = [
            (page(120.0, 6.0), outcomes(10, 0), Some(10.0)),
            (page(140.0, 7.0), outcomes(10, 3), Some(12.0)),
            (page(140.0, 7.0), outcomes(10, 0), None),
            (page(110.0, 5.5), outcomes(10, 3), None),
            (page(130.0, 6.0), outcomes(10, 3), None),
            (page(125.0, 6.25), outcomes(10, 3), None),
        ];
        for (after, outcomes, shown) in cases {
            let verdict = Verdict::new(&totals, &page(20.0, 1.0), &after, &outcomes);
            assert_eq!((verdict.shown, verdict.holds()), (shown, shown.is_some()), "{verdict:?}");
        }
        let verdict = Verdict::new(&totals, &Sums::new(), &page(90.0, 5.0), &outcomes(10, 2));
        let expected = ["a: expected 10 to 12 pushes of 10, got 9", "b: expected 10 to 12 pushes of 0.5, got 10"];
        assert_eq!(verdict.differences, expected);
    }
}
