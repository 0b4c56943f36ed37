//! What is compared: how each server is called, started and pushed to.

use std::path::{Path, PathBuf};

use crate::arguments::CompareOptions;
use crate::error::Error;

/// What a system is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The plain body reader, to which all are told as ratios.
    Plain,
    /// Ours.
    Catchment,
    /// Others.
    Peer,
}

/// A server.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// In the table, and in `--peer`.
    pub name: &'static str,
    /// What it is.
    pub role: Role,
    /// Names of its program.
    pub programs: &'static [&'static str],
    /// Its arguments, so that it listens on a port of this machine alone.
    pub arguments: fn(u16) -> Vec<String>,
    /// How it is pushed to.
    pub method: &'static str,
    /// Series in each of the pushes that fill it.
    pub fill: usize,
}

/// More series than any scenario stores: everything in one push.
const WHOLE: usize = 1_000_000;

/// All systems. Three peers have programs of the same name: two are looked for under names of their own.
pub const SYSTEMS: [System; 7] = [
    System {
        name: "plain body reader",
        role: Role::Plain,
        programs: &[],
        arguments: |_| words("plain --listen 127.0.0.1:0"),
        method: "POST",
        fill: WHOLE,
    },
    System {
        name: "catchment",
        role: Role::Catchment,
        programs: &["catchment"],
        arguments: |port| words(&format!("--listen 127.0.0.1:{port} --log-level error")),
        method: "POST",
        fill: WHOLE,
    },
    System {
        name: "zapier",
        role: Role::Peer,
        programs: &["prom-aggregation-gateway", "zapier-prom-aggregation-gateway"],
        // The second listener, for health, takes any free port.
        arguments: |port| words(&format!("--apiListen 127.0.0.1:{port} --lifecycleListen 127.0.0.1:0")),
        method: "POST",
        fill: WHOLE,
    },
    System {
        name: "weaveworks",
        role: Role::Peer,
        programs: &["weaveworks-prom-aggregation-gateway"],
        arguments: |port| words(&format!("-listen 127.0.0.1:{port}")),
        method: "POST",
        fill: WHOLE,
    },
    System {
        name: "by-job",
        role: Role::Peer,
        programs: &["prom-pushgateway-by-job", "by-job-prom-aggregation-gateway"],
        arguments: |port| words(&format!("-listen 127.0.0.1:{port} -by-job")),
        method: "POST",
        fill: WHOLE,
    },
    System {
        name: "gravel",
        role: Role::Peer,
        programs: &["gravel-gateway"],
        arguments: |port| words(&format!("-l 127.0.0.1:{port}")),
        method: "POST",
        fill: 1_000,
    },
    System {
        name: "pushgateway",
        role: Role::Peer,
        programs: &["pushgateway", "prometheus-pushgateway"],
        arguments: |port| words(&format!("--web.listen-address=127.0.0.1:{port} --log.level=error")),
        method: "PUT",
        fill: WHOLE,
    },
];

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// What can be measured here, and its programs. Catchment must be there; peers may be missing.
pub fn installed(options: &CompareOptions) -> Result<Vec<(System, PathBuf)>, Error> {
    let known = |name: &str| SYSTEMS.iter().any(|system| system.role == Role::Peer && system.name == name);
    if let Some((name, _)) = options.peer.iter().find(|(name, _)| !known(name)) {
        return Err(Error::UnknownPeer(name.clone()));
    }
    let is_wanted = |system: &System| system.role == Role::Plain || system.name.contains(&options.system);
    let mut found = Vec::new();
    for system in SYSTEMS.into_iter().filter(is_wanted) {
        match system.role {
            Role::Plain => found.push((system, own_program()?)),
            Role::Catchment if !options.catchment.is_file() => {
                return Err(Error::NoProgram(options.catchment.clone()));
            }
            Role::Catchment => found.push((system, options.catchment.clone())),
            Role::Peer => found.extend(peer(options, &system).map(|program| (system, program))),
        }
    }
    Ok(found)
}

fn own_program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|error| Error::Start("the plain body reader".into(), error))
}

fn peer(options: &CompareOptions, system: &System) -> Option<PathBuf> {
    if let Some((_, program)) = options.peer.iter().find(|(name, _)| name == system.name) {
        return Some(program.clone());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let directories = options.peers_dir.iter().cloned().chain(std::env::split_paths(&paths));
    first_program(directories, system.programs)
}

fn first_program(directories: impl Iterator<Item = PathBuf>, names: &[&str]) -> Option<PathBuf> {
    let candidates = directories.flat_map(|directory| names.iter().map(move |name| Path::new(&directory).join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_order() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(second.path().join("pushgateway"), "").unwrap();
        let directories = || [first.path().to_owned(), second.path().to_owned()].into_iter();
        assert_eq!(first_program(directories(), &["pushgateway"]), Some(second.path().join("pushgateway")));
        std::fs::write(first.path().join("prometheus-pushgateway"), "").unwrap();
        let names = ["pushgateway", "prometheus-pushgateway"];
        assert_eq!(first_program(directories(), &names), Some(first.path().join("prometheus-pushgateway")));
        assert_eq!(first_program(directories(), &["gravel-gateway"]), None);
    }

    #[test]
    fn all_listen_on_this_machine_alone() {
        for system in SYSTEMS {
            let arguments = (system.arguments)(12345).join(" ");
            assert!(arguments.contains("127.0.0.1:"), "{}: {arguments}", system.name);
        }
    }
}
