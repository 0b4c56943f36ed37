//! The budgets of observations in JSON: in the process against text, over HTTP against a handler that only reads the body.
//! Several hundred programs observe in turn, each with labels of its own.

use catchment::aggregate::DEFAULT_BOUNDS;
use catchment::exposition::format::PushFormat;
use catchment::exposition::observation_decode::ObservationKind;

use super::data::{self, Bodies};
use super::http::{Push, Pushers, rates, sample_rates};
use super::measure::{in_turn, millions_per_second};
use super::ours::Ours;
use super::report::{Budget, Line, Measure, Report};

const SERIES_PER_ARRAY: usize = 100;
/// Samples of one round, at least.
const SAMPLES_PER_ROUND: usize = 500_000;
const OVER_TEXT: Measure = Measure { unit: "M samples/s", reference: "in text" };

/// Those in the process.
pub fn measure(report: &mut Report) {
    for series in [1_000, 100_000] {
        let name = format!("observations, arrays of 100, {series} warm");
        report.measure(name, |name, rounds| arrays_in_process(name, rounds, series));
    }
}

/// Those over HTTP.
pub fn measure_over_http(report: &mut Report) {
    let budget = Budget::AtLeast(0.6);
    report.measure("HTTP, single observations, counters", |name, rounds| rates(name, rounds, &counters(), budget));
    report.measure("HTTP, single observations, histograms", |name, rounds| rates(name, rounds, &histograms(), budget));
    report.measure("HTTP, observations, arrays of 100", |name, rounds| {
        let text = Pushers::with_own_series(SERIES_PER_ARRAY);
        sample_rates(name, rounds, (&pushed_arrays(), &text), OVER_TEXT, SERIES_PER_ARRAY, Budget::AtLeast(0.3))
    });
}

/// Arrays that together hold each series once.
pub fn arrays(series: usize) -> Vec<String> {
    Bodies::in_pushes_of(SERIES_PER_ARRAY, series).iter().map(data::observations).collect()
}

fn arrays_in_process(name: String, rounds: usize, series: usize) -> Line {
    let (text, arrays) = (Bodies::in_pushes_of(SERIES_PER_ARRAY, series), arrays(series));
    let push_arrays = |ours: &mut Ours| {
        let format = PushFormat::Observations(ObservationKind::Counter);
        arrays.iter().for_each(|array| ours.push(format, array.as_bytes()));
    };
    let (mut ours, mut reference) = (Ours::new(), Ours::new());
    // The register knows the families after the first of text, the second makes templates.
    for _ in 0..3 {
        push_arrays(&mut ours);
        reference.push_all(PushFormat::Text, &text);
    }
    assert_eq!(ours.total(), reference.total(), "both bring the same values");
    assert_eq!(ours.encode(Default::default()), series, "each series once");
    let repeats = (SAMPLES_PER_ROUND / series).max(1);
    let push_all_arrays = || (0..repeats).for_each(|_| push_arrays(&mut ours));
    let push_all_text = || (0..repeats).for_each(|_| reference.push_all(PushFormat::Text, &text));
    let rates = millions_per_second(in_turn(rounds, push_all_arrays, push_all_text), repeats * series);
    Line::new(name, OVER_TEXT, rates, Budget::AimAtLeast(0.3))
}

fn counters() -> Pushers {
    Pushers::new(|pusher| {
        let line = line(pusher);
        Push { path: "/metrics/counter".to_owned(), body: data::observation(&line), page_sum: data::sum(&line) }
    })
}

fn histograms() -> Pushers {
    Pushers::new(|pusher| {
        // Whole numbers, so that sums are exact.
        let value = pusher % 12;
        let buckets = DEFAULT_BOUNDS.iter().filter(|bound| value as f64 <= **bound).count();
        let body = data::histogram_observation(&line(pusher), value);
        Push { path: "/metrics/histogram".to_owned(), body, page_sum: (buckets + 1 + value) as f64 }
    })
}

/// The same series with the same values as in text.
fn pushed_arrays() -> Pushers {
    Pushers::new(|pusher| {
        let text = data::samples(pusher * SERIES_PER_ARRAY..(pusher + 1) * SERIES_PER_ARRAY);
        let (body, page_sum) = (data::observations(&text), data::sum(&text));
        Push { path: "/metrics/counter".to_owned(), body, page_sum }
    })
}

/// The sample of this series.
fn line(series: usize) -> String {
    data::samples(series..series + 1).trim_end().to_owned()
}
