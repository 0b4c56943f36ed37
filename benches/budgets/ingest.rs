//! The budgets of ingest in the process: each format, by what is stored; new series; gzip.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use catchment::exposition::format::PushFormat;
use catchment::http::coding::{Coding, decompress};
use catchment::shard::gate::Budget as ByteBudget;

use super::data::{self, Bodies, SERIES_PER_PUSH};
use super::measure::{against, in_turn, millions_per_second, timed};
use super::ours::{Ours, Stages};
use super::reference::Reference;
use super::report::{Budget, Line, Measure, Report};

/// Samples of one round, at least.
const SAMPLES_PER_ROUND: usize = 1_000_000;
/// Stored series with which the cost of a push is compared.
const FEW: usize = 1_000;
const SAMPLES: &str = "M samples/s";

/// All of them.
pub fn measure(report: &mut Report) {
    text(report);
    for series in sizes(report).into_iter().filter(|series| *series <= 1_000_000) {
        let name = format!("protobuf ingest, {series} warm series");
        report.measure(name, |name, rounds| protobuf(name, rounds, series));
    }
    for series in sizes(report).into_iter().filter(|series| *series <= 100_000) {
        let name = format!("OpenMetrics ingest, {series} warm series");
        report.measure(name, |name, rounds| openmetrics(name, rounds, series));
    }
    report.measure("new series, 1 M", |name, rounds| creation(name, rounds.min(5), 1_000_000));
    report.measure("gzip pushes of 1000, inflated", |name, rounds| gunzip(name, rounds, 100_000));
}

/// How many series are stored when ingest is measured.
fn sizes(report: &Report) -> Vec<usize> {
    let mut sizes = vec![FEW, 100_000];
    if !report.options.is_quick {
        sizes.push(1_000_000);
    }
    if report.options.is_full {
        sizes.push(10_000_000);
    }
    sizes
}

/// Series that both sides know, and the bodies that bring them again.
struct Warm {
    series: usize,
    bodies: Bodies,
    ours: Ours,
    reference: Reference,
    /// Seconds of each round for a sample, ours and the reference's.
    rounds: Vec<(f64, f64)>,
}

impl Warm {
    fn new(series: usize) -> Self {
        let bodies = Bodies::shuffled(series);
        let (mut ours, mut reference) = (Ours::new(), Reference::default());
        for body in bodies.iter() {
            ours.push(PushFormat::Text, body.as_bytes());
            reference.push(body);
        }
        assert_eq!(ours.total(), reference.total(), "both sides store the same");
        ours.stages = Stages::default();
        Self { series, bodies, ours, reference, rounds: Vec::new() }
    }

    fn run_round(&mut self) {
        let Self { series, bodies, ours, reference, rounds } = self;
        let repeats = repeats(*series);
        let theirs = timed(|| (0..repeats).for_each(|_| bodies.iter().for_each(|body| reference.push(body))));
        let mine = timed(|| (0..repeats).for_each(|_| ours.push_all(PushFormat::Text, bodies)));
        let of_sample = |time: Duration| time.as_secs_f64() / (repeats * *series) as f64;
        rounds.push((of_sample(mine), of_sample(theirs)));
    }

    fn line(&self, name: String) -> Line {
        eprintln!("where the time of {name} goes: {}", self.ours.stages);
        let measure = Measure { unit: SAMPLES, reference: "the reference loop" };
        Line::new(name, measure, millions_per_second(self.rounds.clone(), 1), Budget::AtLeast(0.7))
    }
}

fn repeats(series: usize) -> usize {
    (SAMPLES_PER_ROUND / series).max(1)
}

/// Ingest of warm series in text against the reference loop, and what more of them cost: the rounds of all sizes in turn.
fn text(report: &mut Report) {
    let name_of_line = |series: usize| format!("ingest, {series} warm series");
    let name_of_cost = |series: usize| format!("push of 1000, {} M stored / 1 k stored", series / 1_000_000);
    let cost = |series: usize| match series {
        1_000_000 => Some(2.0),
        10_000_000 => Some(4.0),
        _ => None,
    };
    let wants_cost = |series: usize| cost(series).is_some() && report.wants(&name_of_cost(series));
    let sizes = sizes(report);
    let is_base = |series: usize| series == FEW && sizes.iter().any(|series| wants_cost(*series));
    let wanted = |series: usize| report.wants(&name_of_line(series)) || wants_cost(series) || is_base(series);
    let mut warm: Vec<Warm> = sizes.iter().copied().filter(|series| wanted(*series)).map(Warm::new).collect();
    for _ in 0..report.rounds() {
        warm.iter_mut().for_each(Warm::run_round);
    }
    warm.iter().for_each(|warm| report.add(warm.line(name_of_line(warm.series))));
    let Some(few) = warm.first().filter(|warm| warm.series == FEW) else { return };
    for many in &warm {
        if let Some(most) = cost(many.series) {
            report.add(cost_of_stored_series(name_of_cost(many.series), many, few, most));
        }
    }
}

/// The cost of a push must not depend on what is stored.
fn cost_of_stored_series(name: String, many: &Warm, few: &Warm, most: f64) -> Line {
    let of_push = |(seconds, _): &(f64, f64)| 1e6 * seconds * SERIES_PER_PUSH as f64;
    let rounds = many.rounds.iter().zip(&few.rounds).map(|(many, few)| (of_push(many), of_push(few)));
    let measure = Measure { unit: "µs", reference: "with 1 k stored" };
    Line::new(name, measure, rounds.collect(), Budget::AtMost(most))
}

/// Ingest of warm series in protobuf against the reference loop, which reads text.
fn protobuf(name: String, rounds: usize, series: usize) -> Line {
    let mut reference = Reference::default();
    let mut contest = Translated::new(PushFormat::Protobuf, series);
    let bodies = Bodies::shuffled(series);
    bodies.iter().for_each(|body| reference.push(body));
    let theirs = |_: &mut Ours| bodies.iter().for_each(|body| reference.push(body));
    let rates = contest.rounds(&name, rounds, theirs);
    Line::new(name, Measure { unit: SAMPLES, reference: "the reference loop" }, rates, Budget::AtLeast(0.7))
}

/// Ingest of warm series in OpenMetrics against the same in text.
fn openmetrics(name: String, rounds: usize, series: usize) -> Line {
    let bodies = Bodies::shuffled(series);
    let theirs = |ours: &mut Ours| ours.push_all(PushFormat::Text, &bodies);
    let rates = Translated::new(PushFormat::OpenMetrics, series).rounds(&name, rounds, theirs);
    Line::new(name, Measure { unit: SAMPLES, reference: "in text" }, rates, Budget::AtLeast(0.9))
}

/// Warm series, and bodies that bring them in another format.
struct Translated {
    format: PushFormat,
    series: usize,
    bodies: Vec<Vec<u8>>,
    ours: Ours,
}

impl Translated {
    fn new(format: PushFormat, series: usize) -> Self {
        let text = Bodies::shuffled(series);
        let bodies: Vec<Vec<u8>> = text.iter().map(|body| data::translated(format, body)).collect();
        let mut ours = Ours::new();
        check_translation(&mut ours, format, &text, &bodies);
        ours.push_all(PushFormat::Text, &text);
        Self { format, series, bodies, ours }
    }

    /// Millions of samples a second, ours and another's.
    fn rounds(&mut self, name: &str, rounds: usize, mut theirs: impl FnMut(&mut Ours)) -> Vec<(f64, f64)> {
        let Self { format, series, bodies, ours } = self;
        let repeats = repeats(*series);
        let mut rounds_of_both = Vec::new();
        let mut stages = Stages::default();
        for _ in 0..rounds {
            let other = timed(|| (0..repeats).for_each(|_| theirs(ours)));
            std::mem::swap(&mut stages, &mut ours.stages);
            let mine = timed(|| (0..repeats).for_each(|_| bodies.iter().for_each(|body| ours.push(*format, body))));
            std::mem::swap(&mut stages, &mut ours.stages);
            rounds_of_both.push((mine.as_secs_f64(), other.as_secs_f64()));
        }
        eprintln!("where the time of {name} goes: {stages}");
        millions_per_second(rounds_of_both, repeats * *series)
    }
}

/// Both bodies bring the same series with the same values.
fn check_translation(ours: &mut Ours, format: PushFormat, bodies: &Bodies, translated: &[Vec<u8>]) {
    let (Some(text), Some(other)) = (bodies.iter().next(), translated.first()) else { return };
    ours.push(PushFormat::Text, text.as_bytes());
    assert_eq!(ours.total(), data::sum(text), "text is stored");
    ours.push(format, other);
    assert_eq!(ours.total(), 2.0 * data::sum(text), "the other format stores the same values");
    assert_eq!(ours.encode(Default::default()), text.lines().count(), "the other format stores the same series");
}

/// Pushes of series that nobody has pushed before, from the first to the last.
fn creation(name: String, rounds: usize, series: usize) -> Line {
    let bodies = Bodies::shuffled(series);
    let times = (0..rounds).map(|_| {
        let mut ours = Ours::new();
        let time = timed(|| ours.push_all(PushFormat::Text, &bodies));
        assert_eq!(ours.encode(Default::default()), series);
        time
    });
    let rates = against(1.0, series, times);
    Line::new(name, Measure { unit: "M series/s", reference: "the budget" }, rates, Budget::AtLeast(1.0))
}

/// Inflating of pushes as they are inflated on their way in, step by step and within a limit, against a bare inflate loop.
fn gunzip(name: String, rounds: usize, series: usize) -> Line {
    const LIMIT: usize = 64 << 20;
    let bodies = Bodies::shuffled(series);
    let pushes: Vec<Bytes> = bodies.iter().map(|body| data::gzip(body.as_bytes()).into()).collect();
    let lengths: Vec<usize> = bodies.iter().map(str::len).collect();
    let runtime = actix_rt::Runtime::new().expect("a runtime");
    let budget = ByteBudget::new(usize::MAX);
    let ours = || {
        for (push, length) in pushes.iter().zip(&lengths) {
            let mut permit = budget.take(0).expect("room");
            let text = runtime.block_on(decompress(Coding::Gzip, push.clone(), LIMIT, &mut permit)).expect("gzip");
            assert_eq!(text.len(), *length);
        }
    };
    let bare = || {
        let mut text = Vec::new();
        for (push, length) in pushes.iter().zip(&lengths) {
            text.clear();
            flate2::bufread::GzDecoder::new(&push[..]).read_to_end(&mut text).expect("gzip");
            assert_eq!(text.len(), *length);
        }
    };
    let megabytes = millions_per_second(in_turn(rounds, ours, bare), lengths.iter().sum());
    Line::new(name, Measure { unit: "MB/s", reference: "a bare inflate loop" }, megabytes, Budget::AtLeast(0.9))
}
