//! Lines of a report: each a budget with what was measured; as a table, and as JSON.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::options::Options;

/// What the ratio of ours to the reference must be.
#[derive(Clone, Copy)]
pub enum Budget {
    AtLeast(f64),
    AtMost(f64),
    /// As `AtLeast`, of what nobody has promised.
    AimAtLeast(f64),
    /// As `AtMost`, of what nobody has promised.
    AimAtMost(f64),
}

impl Budget {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) | Self::AimAtLeast(least) => ratio >= least,
            Self::AtMost(most) | Self::AimAtMost(most) => ratio <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) | Self::AimAtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) | Self::AimAtMost(most) => format!("<= {most}"),
        }
    }

    fn verdict(self, ratio: f64) -> &'static str {
        match self {
            _ if self.holds(ratio) => "holds",
            Self::AtLeast(_) | Self::AtMost(_) => "MISSED",
            Self::AimAtLeast(_) | Self::AimAtMost(_) => "not yet",
        }
    }
}

/// What both sides of a line are measured in, and what the other side is.
#[derive(Clone, Copy)]
pub struct Measure {
    pub unit: &'static str,
    pub reference: &'static str,
}

/// One budget and what was measured: the round with the median ratio, and how far the ratios of the others lie from it.
pub struct Line {
    name: String,
    measure: Measure,
    ours: f64,
    reference: f64,
    spread: (f64, f64),
    rounds: usize,
    budget: Budget,
}

impl Line {
    /// Of rounds, each with our figure and the reference's; not a number if there are none.
    pub fn new(name: String, measure: Measure, mut rounds: Vec<(f64, f64)>, budget: Budget) -> Self {
        let ratio = |(ours, reference): &(f64, f64)| ours / reference;
        rounds.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
        let at = |round: usize| rounds.get(round).copied().unwrap_or((f64::NAN, f64::NAN));
        let (ours, reference) = at(rounds.len() / 2);
        let spread = (ratio(&at(0)), ratio(&at(rounds.len().saturating_sub(1))));
        Self { name, measure, ours, reference, spread, rounds: rounds.len(), budget }
    }

    /// The reference's figure.
    pub fn reference(&self) -> f64 {
        self.reference
    }

    fn ratio(&self) -> f64 {
        self.ours / self.reference
    }

    fn row(&self) -> String {
        let Self { name, measure: Measure { unit, reference: other }, spread: (least, most), budget, .. } = self;
        let (ours, reference) = (figure(self.ours), figure(self.reference));
        let spread = if self.rounds > 1 { format!("{least:.2} to {most:.2}") } else { String::new() };
        format!(
            "{name:<44}  {:>18}  {:>18}  {ratio:>7.2}  {spread:>14}  {:>8}  {verdict:<7}  {other}",
            format!("{ours} {unit}"),
            format!("{reference} {unit}"),
            budget.text(),
            ratio = self.ratio(),
            verdict = budget.verdict(self.ratio()),
        )
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.measure.unit,
            "ours": self.ours,
            "reference": self.reference,
            "reference_is": self.measure.reference,
            "ratio": self.ratio(),
            "spread": [self.spread.0, self.spread.1],
            "rounds": self.rounds,
            "budget": self.budget.text(),
            "holds": self.budget.holds(self.ratio()),
            "is_promised": matches!(self.budget, Budget::AtLeast(_) | Budget::AtMost(_)),
        })
    }
}

/// What this run measures, and what it has measured.
pub struct Report {
    pub options: Options,
    lines: Vec<Line>,
}

impl Report {
    pub fn new(options: Options) -> Self {
        Self { options, lines: Vec::new() }
    }

    /// Rounds of what is measured in turn.
    pub fn rounds(&self) -> usize {
        if self.options.is_quick { 3 } else { 9 }
    }

    /// Whether a line of this name is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.options.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Measures one line, if it is asked for.
    pub fn measure(&mut self, name: impl Into<String>, line: impl FnOnce(String, usize) -> Line) {
        let name = name.into();
        if self.wants(&name) {
            let line = line(name, self.rounds());
            self.add(line);
        }
    }

    /// Takes a line that was measured with others, if it is asked for.
    pub fn add(&mut self, line: Line) {
        if self.wants(&line.name) {
            eprintln!("{}", line.row().trim_end());
            self.lines.push(line);
        }
    }

    /// The table.
    pub fn print(&self) {
        println!(
            "\n{:<44}  {:>18}  {:>18}  {:>7}  {:>14}  {:>8}  {:<7}  reference",
            "budget", "ours", "reference", "ratio", "spread", "required", ""
        );
        self.lines.iter().for_each(|line| println!("{}", line.row().trim_end()));
    }

    /// Writes the lines where they are asked for; those of all budgets also to where they always are.
    pub fn write(&self) -> Result<(), String> {
        let is_whole = self.options.only.is_none() && !self.options.is_quick;
        let file = self.options.json.clone().or_else(|| is_whole.then(|| bench_folder().join("budgets.json")));
        let lines: Vec<Value> = self.lines.iter().map(Line::json).collect();
        file.map_or(Ok(()), |file| write_json(&file, &json!({ "machine": machine(), "lines": lines })))
    }
}

/// Three significant digits, as far as they are behind the point.
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Where what benchmarks write belongs.
pub fn bench_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    target.join("bench")
}

/// Writes a file and the folder it lies in.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(file: &Path, value: &Value) -> Result<(), String> {
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = folder.and_then(|()| std::fs::write(file, format!("{value:#}\n")));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))
}

/// What was measured where, when, and on which commit.
pub fn machine() -> Value {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "cores": cores(),
        "cpu": model.map_or("unknown", |(_, model)| model),
        "date": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "commit": commit(),
    })
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The commit, and whether the tree differs from it.
fn commit() -> String {
    let described = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    let text = described.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { "unknown".to_owned() } else { text }
}
