//! Instructions of the main paths under callgrind, which no noise touches. A path is walked in two runs, with different
//! repeats; the difference of the two has no set-up in it.

use std::hint::black_box;
use std::process::{Child, Command, Stdio};

use catchment::exposition;
use catchment::exposition::decoded::Decoded;
use catchment::exposition::error::Limits;
use catchment::exposition::format::{Format, PushFormat};
use catchment::exposition::observation_decode::ObservationKind;
use catchment::shard::batch::Router;
use catchment::udp::socket::BATCH;
use serde_json::json;

use super::data::{Bodies, datagram, translated};
use super::doors::{Groups, pushes_of_sources};
use super::encode::protobuf;
use super::observations::arrays;
use super::options::Options;
use super::ours::{Ours, SHARDS};
use super::report::{bench_folder, machine, write_json};

/// One way through the program.
struct Path {
    name: &'static str,
    /// Samples, or series where they are encoded or made, of each walk.
    samples: usize,
    /// Repeats of the second run; the first has one.
    repeats: usize,
    /// Sets up, then walks so often.
    walk: fn(&Path, usize),
}

const PATHS: [Path; 13] = [
    Path {
        name: "decode-text",
        samples: 1_000,
        repeats: 101,
        walk: |path, times| decode(PushFormat::Text, path, times),
    },
    Path {
        name: "decode-openmetrics",
        samples: 1_000,
        repeats: 101,
        walk: |path, times| decode(PushFormat::OpenMetrics, path, times),
    },
    Path {
        name: "decode-protobuf",
        samples: 1_000,
        repeats: 101,
        walk: |path, times| decode(PushFormat::Protobuf, path, times),
    },
    Path {
        name: "ingest-text-1k",
        samples: 1_000,
        repeats: 101,
        walk: |path, times| ingest(PushFormat::Text, path, times),
    },
    Path {
        name: "ingest-text-100k",
        samples: 100_000,
        repeats: 2,
        walk: |path, times| ingest(PushFormat::Text, path, times),
    },
    Path {
        name: "ingest-protobuf-1k",
        samples: 1_000,
        repeats: 101,
        walk: |path, times| ingest(PushFormat::Protobuf, path, times),
    },
    Path { name: "observations", samples: 1_000, repeats: 101, walk: observations },
    Path { name: "datagrams", samples: 1_024, repeats: 101, walk: datagrams },
    Path { name: "source", samples: 10_000, repeats: 6, walk: source },
    Path { name: "replace", samples: 5_000, repeats: 11, walk: replace },
    Path { name: "create", samples: 50_000, repeats: 2, walk: create },
    Path {
        name: "encode-text",
        samples: 20_000,
        repeats: 6,
        walk: |path, times| encode(Format::default(), path, times),
    },
    Path { name: "encode-protobuf", samples: 20_000, repeats: 6, walk: |path, times| encode(protobuf(), path, times) },
];

/// Walks a path so many times.
///
/// # Errors
/// If there is no such path.
pub fn walk(name: &str, repeat: usize) -> Result<(), String> {
    let names = PATHS.map(|path| path.name).join(", ");
    let path = PATHS.iter().find(|path| path.name == name);
    let path = path.ok_or_else(|| format!("expected one of {names}, got {name:?}, after --path"))?;
    (path.walk)(path, repeat);
    Ok(())
}

/// Counts the paths that are asked for, prints a table and writes it.
///
/// # Errors
/// If valgrind is missing or a run fails.
pub fn count(options: &Options) -> Result<(), String> {
    let missing = |error| format!("instructions are counted by valgrind, which does not start: {error}");
    Command::new("valgrind").arg("--version").output().map_err(missing)?;
    let is_wanted = |path: &&Path| options.only.as_ref().is_none_or(|only| path.name.contains(only.as_str()));
    let mut counted = Vec::new();
    println!("{:<24}{:>26}", "path", "instructions a sample");
    for path in PATHS.iter().filter(is_wanted) {
        let instructions = instructions_a_sample(path)?;
        println!("{:<24}{instructions:>26.1}", path.name);
        counted.push(json!({ "name": path.name, "instructions": instructions }));
    }
    let file =
        options.json.clone().or_else(|| options.only.is_none().then(|| bench_folder().join("instructions.json")));
    file.map_or(Ok(()), |file| write_json(&file, &json!({ "machine": machine(), "paths": counted })))
}

/// Both runs at once.
fn instructions_a_sample(path: &Path) -> Result<f64, String> {
    let [once, often] = [1, path.repeats].map(|repeat| start(path, repeat));
    let (once, often) = (collected(once?)?, collected(often?)?);
    Ok((often - once) / ((path.repeats - 1) * path.samples) as f64)
}

fn start(path: &Path, repeat: usize) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args(["--path", path.name, "--repeat", &repeat.to_string()]).stderr(Stdio::piped());
    command.spawn().map_err(|error| error.to_string())
}

/// The instructions that callgrind tells of at the end.
fn collected(run: Child) -> Result<f64, String> {
    let output = run.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("expected the path to be walked under callgrind, got {}", output.status));
    }
    let count = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.ok_or_else(|| format!("expected a count of callgrind, got {}", said.lines().last().unwrap_or_default()))
}

/// Bodies in a format.
fn bodies(format: PushFormat, path: &Path) -> Vec<Vec<u8>> {
    Bodies::shuffled(path.samples).iter().map(|body| translated(format, body)).collect()
}

fn decode(format: PushFormat, path: &Path, times: usize) {
    let bodies = bodies(format, path);
    let (limits, router) = (Limits::default(), Router::new(SHARDS));
    let (mut arena, mut decoded) = (Vec::new(), Decoded::default());
    for body in (0..times).flat_map(|_| &bodies) {
        let text = black_box(exposition::decode(format, body, &limits, router.hasher(), &mut arena, &mut decoded));
        text.expect("valid");
    }
}

/// Of series that are stored before.
fn ingest(format: PushFormat, path: &Path, times: usize) {
    let bodies = bodies(format, path);
    let mut ours = Ours::new();
    (0..=times).for_each(|_| bodies.iter().for_each(|body| ours.push(format, body)));
}

/// In arrays, of series that are stored before.
fn observations(path: &Path, times: usize) {
    let (format, bodies) = (PushFormat::Observations(ObservationKind::Counter), arrays(path.samples));
    let mut ours = Ours::new();
    (0..=times).for_each(|_| bodies.iter().for_each(|body| ours.push(format, body.as_bytes())));
}

/// As many at once as a receiver takes, of series that are stored before.
fn datagrams(path: &Path, times: usize) {
    let datagrams: Vec<String> = (0..path.samples).map(datagram).collect();
    let datagrams: Vec<&[u8]> = datagrams.iter().map(String::as_bytes).collect();
    let mut ours = Ours::new();
    (0..=times).for_each(|_| datagrams.chunks(BATCH).for_each(|batch| ours.observe(batch)));
}

/// Of sources that have pushed before.
fn source(path: &Path, times: usize) {
    let pushes = pushes_of_sources(path.samples / super::data::SERIES_PER_SOURCE, false);
    let mut ours = Ours::new();
    for _ in 0..=times {
        pushes.iter().for_each(|(owner, body)| ours.push_for(owner, PushFormat::Text, body.as_bytes()));
    }
}

/// Of groups that are there.
fn replace(_: &Path, times: usize) {
    let mut groups = Groups::of(super::doors::PUSHED_GROUPS);
    let body = Groups::body();
    (0..times).for_each(|_| _ = groups.put(&body));
}

/// In tables that are empty, and stay when they are full: what it takes to give them back is another path.
fn create(path: &Path, times: usize) {
    let bodies = Bodies::shuffled(path.samples);
    let filled: Vec<Ours> = (0..times)
        .map(|_| {
            let mut ours = Ours::new();
            ours.push_all(PushFormat::Text, &bodies);
            ours
        })
        .collect();
    std::mem::forget(filled);
}

/// Of series that are in order.
fn encode(format: Format, path: &Path, times: usize) {
    let mut ours = Ours::new();
    ours.push_all(PushFormat::Text, &Bodies::shuffled(path.samples));
    (0..=times).for_each(|_| assert_eq!(ours.encode(format), path.samples));
}
