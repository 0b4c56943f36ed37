//! The budgets of encoding in the process: the whole page, piece by piece as scrapes ask for it.

use catchment::exposition::format::{Format, FormatKind, PushFormat};

use super::data::Bodies;
use super::measure::timed;
use super::ours::Ours;
use super::report::{Budget, Line, Measure, Report};

const SERIES: usize = 1_000_000;
const TEXT: &str = "encode, 1000000 series";
const PROTOBUF: &str = "protobuf encode, 1000000 series";
const BOTH: &str = "protobuf / text encode, 1000000 series";

/// All of them, on the same series and in the same rounds.
pub fn measure(report: &mut Report) {
    if ![TEXT, PROTOBUF, BOTH].iter().any(|name| report.wants(name)) {
        return;
    }
    let mut ours = Ours::new();
    ours.push_all(PushFormat::Text, &Bodies::shuffled(SERIES));
    let mut rate = |format: Format| {
        let time = timed(|| assert_eq!(ours.encode(format), SERIES));
        1e-6 * SERIES as f64 / time.as_secs_f64()
    };
    let (text, protobuf) = (Format::default(), protobuf());
    eprintln!("first encoding of new series, which puts them in order: {:.1} M series/s", rate(text));
    let rounds: Vec<(f64, f64)> = (0..report.rounds()).map(|_| (rate(protobuf), rate(text))).collect();
    let unit = "M series/s";
    let of_budget = |rates: Vec<f64>| rates.into_iter().map(|rate| (rate, 5.0)).collect();
    for (name, rates) in [
        (TEXT, of_budget(rounds.iter().map(|(_, text)| *text).collect())),
        (PROTOBUF, of_budget(rounds.iter().map(|(protobuf, _)| *protobuf).collect())),
    ] {
        report.add(Line::new(name.into(), Measure { unit, reference: "the budget" }, rates, Budget::AtLeast(1.0)));
    }
    report.add(Line::new(BOTH.into(), Measure { unit, reference: "in text" }, rounds, Budget::AtLeast(1.0)));
}

/// The page in protobuf.
pub fn protobuf() -> Format {
    Format { kind: FormatKind::Protobuf, ..Format::default() }
}
