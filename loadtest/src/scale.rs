//! How cost grows: with what is stored, with a push's size, with shards, scrapers and connections. Each point is a Catchment
//! that was started for it, and what it costs is read from `/proc`.

mod connections;
mod findings;
mod gateway;
mod memory;
mod pages;
mod pushes;
mod reader;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::arguments::{Measurement, ScaleOptions};
use crate::error::{Error, write};
use findings::Findings;

fn measure(measurement: Measurement, effort: &Effort) -> Result<Findings, Error> {
    match measurement {
        Measurement::Stored => pushes::by_stored(effort),
        Measurement::Push => pushes::by_size(effort),
        Measurement::Shards => pushes::by_shards(effort),
        Measurement::Memory => memory::by_kind(effort),
        Measurement::Connections => connections::by_number(effort),
        Measurement::Page => pages::by_stored(effort),
        Measurement::Scrapers => pages::by_scrapers(effort),
    }
}

/// How much trouble is taken.
struct Effort {
    /// Catchment's binary.
    program: PathBuf,
    /// Rounds of a point; medians over them are told.
    rounds: usize,
    /// Whether the largest points are left out.
    is_quick: bool,
}

impl Effort {
    /// The points that are measured: when it has to be quick, those up to a million.
    fn points<'a>(&self, all: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        let most = if self.is_quick { 1_000_000 } else { usize::MAX };
        all.iter().copied().filter(move |point| *point <= most)
    }
}

/// Measures what is asked for, writes `<name>.json` and `<name>.svg` of each, and tells each table as soon as it is there.
pub fn run(options: &ScaleOptions, told: impl Fn(&str)) -> Result<(), Error> {
    if !options.catchment.is_file() {
        return Err(Error::NoProgram(options.catchment.clone()));
    }
    std::fs::create_dir_all(&options.out).map_err(|error| Error::Write(options.out.clone(), error))?;
    let rounds = if options.quick { 1 } else { 3 };
    let effort = Effort { program: options.catchment.clone(), rounds, is_quick: options.quick };
    let is_wanted = |measurement: &Measurement| options.only.is_empty() || options.only.contains(measurement);
    for measurement in Measurement::value_variants().iter().filter(|measurement| is_wanted(measurement)) {
        let findings = measure(*measurement, &effort)?;
        let file = |extension| options.out.join(format!("{}.{extension}", findings.name));
        write(&file("json"), &format!("{:#}\n", findings.json()))?;
        if let Some(picture) = findings.picture() {
            write(&file("svg"), &picture)?;
        }
        told(&findings.markdown());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_points_are_left_out_when_it_has_to_be_quick() {
        for (is_quick, expected) in [(true, vec![1, 1_000_000]), (false, vec![1, 1_000_000, 10_000_000])] {
            let effort = Effort { program: PathBuf::new(), rounds: 1, is_quick };
            assert_eq!(effort.points(&[1, 1_000_000, 10_000_000]).collect::<Vec<_>>(), expected);
        }
    }
}
