//! This commit's figures beside those of another commit's program. Both run in turn; of each line the median round counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::report::{bench_folder, figure};

/// What a run said of a line: its figure, the unit, and the ratio to the line's reference.
struct Figure {
    ours: f64,
    unit: String,
    ratio: f64,
}

/// A run's lines by name.
type Run = BTreeMap<String, Figure>;

/// Runs both programs and prints old, new and ratio.
///
/// # Errors
/// If a program cannot be run.
pub fn run(other: &Path, rounds: usize, only: Option<&str>) -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let quick: Vec<&str> = only.map_or_else(|| vec!["--quick"], |only| vec!["--only", only]);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    match run_of(other, &quick)? {
        Ok(first) => {
            old.push(first);
            new.push(json_of(&this, &quick)?);
            for _ in 1..rounds {
                // The one that ran last begins: what warms up or slows down favours neither.
                new.push(json_of(&this, &quick)?);
                old.push(json_of(other, &quick)?);
            }
        }
        Err(printed) => {
            println!(
                "the other commit's bench writes no JSON: what it printed is read, of one run of each, not in turn"
            );
            old.push(table(&printed));
            new.push(json_of(&this, if only.is_some() { &quick } else { &[] })?);
        }
    }
    print(&old, &new);
    Ok(())
}

/// What a program wrote as JSON; or what it printed, if it writes none.
fn run_of(program: &Path, arguments: &[&str]) -> Result<Result<Run, String>, String> {
    let file: PathBuf = bench_folder().join("compared.json");
    // One of an earlier run must not be taken for this one's.
    let _ = std::fs::remove_file(&file);
    eprintln!("running {}", program.display());
    let output = Command::new(program).args(arguments).arg("--json").arg(&file).output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let Ok(text) = std::fs::read_to_string(&file) else {
        return Ok(Err(String::from_utf8_lossy(&output.stdout).into_owned()));
    };
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = report["lines"].as_array().into_iter().flatten();
    Ok(Ok(lines.filter_map(figure_of_json).collect()))
}

fn json_of(program: &Path, arguments: &[&str]) -> Result<Run, String> {
    run_of(program, arguments)?.map_err(|_| format!("expected {} to write JSON, got none", program.display()))
}

fn figure_of_json(line: &Value) -> Option<(String, Figure)> {
    let unit = line["unit"].as_str()?.to_owned();
    let figure = Figure { ours: line["ours"].as_f64()?, unit, ratio: line["ratio"].as_f64()? };
    Some((line["name"].as_str()?.to_owned(), figure))
}

/// The lines of a printed table: columns with two blanks between them, of which the first is the name, the second our figure
/// with its unit, and the fourth the ratio.
fn table(printed: &str) -> Run {
    printed.lines().filter_map(figure_of_row).collect()
}

fn figure_of_row(row: &str) -> Option<(String, Figure)> {
    let columns: Vec<&str> = row.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    let (ours, unit) = columns.get(1)?.split_once(' ')?;
    let figure = Figure { ours: ours.parse().ok()?, unit: unit.to_owned(), ratio: columns.get(3)?.parse().ok()? };
    Some((columns.first()?.to_string(), figure))
}

fn print(old: &[Run], new: &[Run]) {
    println!(
        "\n{:<44}  {:>18}  {:>18}  {:>9}  {:>14}  {:>13}  {:>13}",
        "line", "old", "new", "new / old", "spread", "old to its", "new to its"
    );
    println!("{:<44}  {:>18}  {:>18}  {:>9}  {:>14}  {:>13}  {:>13}", "", "", "", "", "", "reference", "reference");
    let names = new.first().into_iter().flat_map(BTreeMap::keys);
    let (common, others): (Vec<_>, Vec<_>) = names.partition(|name| compare(name, old, new).is_some());
    common.iter().filter_map(|name| compare(name, old, new)).for_each(|row| println!("{row}"));
    if !others.is_empty() {
        println!("not among the other commit's lines, or in another unit: {}", join(&others));
    }
}

fn join(names: &[&String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// The row of a line, if both have it in the same unit.
fn compare(name: &str, old: &[Run], new: &[Run]) -> Option<String> {
    let unit = &new.first()?.get(name)?.unit;
    old.first()?.get(name).filter(|figure| figure.unit == *unit)?;
    let figures = |runs: &[Run]| -> Vec<f64> { runs.iter().filter_map(|run| Some(run.get(name)?.ours)).collect() };
    let ratio = |runs: &[Run]| median(runs.iter().filter_map(|run| Some(run.get(name)?.ratio)).collect());
    let mut rounds: Vec<f64> = figures(old).iter().zip(figures(new)).map(|(old, new)| new / old).collect();
    rounds.sort_by(f64::total_cmp);
    Some(format!(
        "{name:<44}  {:>18}  {:>18}  {:>9.2}  {:>14}  {:>13.2}  {:>13.2}",
        format!("{} {unit}", figure(median(figures(old)))),
        format!("{} {unit}", figure(median(figures(new)))),
        rounds.get(rounds.len() / 2)?,
        format!("{:.2} to {:.2}", rounds.first()?, rounds.last()?),
        ratio(old),
        ratio(new),
    ))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
