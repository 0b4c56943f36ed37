//! What the program is asked to do, from its arguments.

use std::path::PathBuf;

/// What this start of the program is for.
pub enum Task {
    /// Measure the budgets.
    Measure(Options),
    /// Count instructions under callgrind.
    CountInstructions(Options),
    /// Walk a path so many times; this is what runs under callgrind.
    Walk { path: String, repeat: usize },
    /// Measure this program and another one in turn.
    Compare { other: PathBuf, rounds: usize, only: Option<String> },
    /// Be the child of another start of this program: a server, or a process with nothing else in it.
    BeChild { role: String, count: usize },
}

/// Which lines, and how thoroughly.
#[derive(Clone, Default)]
pub struct Options {
    /// Lines whose name holds this.
    pub only: Option<String>,
    /// With what needs minutes and gigabytes.
    pub is_full: bool,
    /// In few rounds, and only what is soon measured.
    pub is_quick: bool,
    /// Where the lines are written to.
    pub json: Option<PathBuf>,
}

/// The words that all arguments are made of.
pub const USAGE: &str = "expected [--only SUBSTRING] [--full | --quick] [--json FILE], --instructions [--only SUBSTRING] \
                         [--json FILE], --path NAME --repeat N, or --compare PROGRAM [--rounds N] [--only SUBSTRING]";

/// The task of these arguments, which do not include the program's name.
///
/// # Errors
/// If an argument is unknown, has no value, or is no number where one is expected.
pub fn task(mut arguments: impl Iterator<Item = String>) -> Result<Task, String> {
    let mut options = Options::default();
    let (mut counts_instructions, mut path, mut other, mut role) = (false, None, None, None);
    let (mut repeat, mut rounds, mut count) = (1, 5, 0);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{USAGE}; got {argument} without a value"));
        match argument.as_str() {
            // What cargo says to every benchmark.
            "--bench" => {}
            "--only" => options.only = Some(value()?).filter(|only| !only.is_empty()),
            "--json" => options.json = Some(value()?.into()),
            "--full" => options.is_full = true,
            "--quick" => options.is_quick = true,
            "--instructions" => counts_instructions = true,
            "--path" => path = Some(value()?),
            "--repeat" => repeat = number(&argument, &value()?)?,
            "--compare" => other = Some(PathBuf::from(value()?)),
            "--rounds" => rounds = number(&argument, &value()?)?,
            "--child" => role = Some(value()?),
            "--count" => count = number(&argument, &value()?)?,
            unknown => return Err(format!("{USAGE}; got {unknown}")),
        }
    }
    Ok(match (role, path, other) {
        (Some(role), ..) => Task::BeChild { role, count },
        (_, Some(path), _) => Task::Walk { path, repeat },
        (.., Some(other)) => Task::Compare { other, rounds, only: options.only },
        _ if counts_instructions => Task::CountInstructions(options),
        _ => Task::Measure(options),
    })
}

fn number(argument: &str, value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| format!("expected a whole number, got {value:?}, after {argument}"))
}
