//! The budget of memory: what a stored counter takes, in a process with nothing else in it.

use super::children::{Measured, measured_by_child};
use super::data;
use super::report::{Budget, Line, Measure, Report};

const SERIES: usize = 1_000_000;

/// The budget, and what is aimed at.
pub fn measure(report: &mut Report) {
    let lines = [(100.0, Budget::AtMost(1.0)), (64.0, Budget::AimAtMost(1.0))]
        .map(|(most, budget)| (format!("memory of a counter beyond its key, {most} B"), most, budget));
    if report.options.is_quick || !lines.iter().any(|(name, ..)| report.wants(name)) {
        return;
    }
    let (bytes, key) = (measured_by_child(Measured::Series, SERIES), data::mean_key_bytes(SERIES));
    eprintln!("a counter of {SERIES} takes {bytes:.0} B, its key has {key:.0} B");
    for (name, most, budget) in lines {
        let measure = Measure { unit: "B", reference: "the budget" };
        report.add(Line::new(name, measure, vec![(bytes - key, most)], budget));
    }
}
