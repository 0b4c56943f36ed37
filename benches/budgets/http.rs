//! The budgets of pushes over HTTP: Catchment against a handler that only reads the body, each in a process of its own, with
//! the same client. Several hundred pushers push in turn, each its own series.

use std::io::{BufRead, BufReader};
use std::rc::Rc;
use std::time::{Duration, Instant};

use catchment::exposition::format::PushFormat;

use super::children::{Served, Server};
use super::client::{ClosedLoop, Pushed, push_request};
use super::data;
use super::measure::millions_per_second;
use super::ours::Ours;
use super::report::{Budget, Line, Measure, Report};

const PUSHERS: usize = 300;
const CONNECTIONS: usize = 8;
/// A round has so many turns of each server, short enough that what else the machine does falls on both.
const TURNS: u32 = 6;
const TURN: Duration = Duration::from_millis(100);

/// All of them.
pub fn measure(report: &mut Report) {
    let plain = |series| Pushers::with_own_series(series);
    report.measure("HTTP, pushes of 1", |name, rounds| rates(name, rounds, &plain(1), Budget::AtLeast(0.85)));
    report.measure("HTTP, pushes of 50", |name, rounds| rates(name, rounds, &plain(50), Budget::AtLeast(0.7)));
    report.measure("HTTP, pushes of 50, labels in the path", |name, rounds| {
        rates(name, rounds, &Pushers::with_labels_in_the_path(50), Budget::AimAtLeast(0.7))
    });
    report.measure("HTTP, pushes of 1000", |name, rounds| big_pushes(name, rounds, &plain(1000)));
}

/// A push of one pusher.
pub struct Push {
    pub path: String,
    pub body: String,
    /// What it adds to the sum of the page's values.
    pub page_sum: f64,
}

impl Push {
    fn of_text(path: impl Into<String>, body: String) -> Self {
        Self { path: path.into(), page_sum: data::sum(&body), body }
    }
}

/// What the pushers push.
pub struct Pushers {
    pushes: Vec<Push>,
    pub requests: Rc<[Vec<u8>]>,
}

impl Pushers {
    /// Each has so many series.
    pub fn with_own_series(series: usize) -> Self {
        Self::new(|pusher| Push::of_text("/metrics/", data::samples(pusher * series..(pusher + 1) * series)))
    }

    /// Of all the same series, which the path tells apart.
    fn with_labels_in_the_path(series: usize) -> Self {
        Self::new(|pusher| {
            Push::of_text(format!("/metrics/job/api/instance/worker-{pusher}"), data::samples(0..series))
        })
    }

    pub fn new(push: impl Fn(usize) -> Push) -> Self {
        let pushes: Vec<Push> = (0..PUSHERS).map(push).collect();
        let requests = pushes.iter().map(|push| push_request(&push.path, &push.body)).collect();
        Self { pushes, requests }
    }
}

/// A server, and a client of it.
struct Side {
    server: Server,
    client: ClosedLoop,
}

impl Side {
    fn start(served: Served, pushers: &Pushers) -> Self {
        let server = Server::start(served);
        let mut client = ClosedLoop::connect(server.address, CONNECTIONS, Rc::clone(&pushers.requests));
        client.push_of_each();
        Self { server, client }
    }

    /// Whether the page shows exactly what was pushed.
    fn check(&self, pushers: &Pushers) {
        let pushed = |(pusher, push): (usize, &Push)| self.client.pushes_of(pusher) as f64 * push.page_sum;
        let expected: f64 = pushers.pushes.iter().enumerate().map(pushed).sum();
        assert_eq!(total(&self.server), expected, "the page shows what was pushed");
    }
}

/// The two sides.
struct Contest {
    ours: Side,
    reference: Side,
}

impl Contest {
    fn with_plain_reader(pushers: &Pushers) -> Self {
        Self { ours: Side::start(Served::Catchment, pushers), reference: Side::start(Served::PlainReader, pushers) }
    }

    /// Seconds a push takes ours, and the reference.
    fn round(&mut self) -> (f64, f64) {
        let (mut ours, mut reference) = (Pushed::default(), Pushed::default());
        for _ in 0..TURNS {
            reference += self.reference.client.push_for(TURN);
            ours += self.ours.client.push_for(TURN);
        }
        (ours.seconds_a_push(), reference.seconds_a_push())
    }
}

/// The sum of all values of a server's page.
pub fn total(server: &Server) -> f64 {
    let page = ureq::get(format!("http://{}/metrics", server.address)).call().expect("a page");
    let lines = BufReader::new(page.into_body().into_reader()).lines();
    let value = |line: String| line.rsplit(' ').next()?.parse::<f64>().ok().filter(|_| !line.starts_with('#'));
    lines.filter_map(|line| value(line.expect("the page is text"))).sum()
}

/// Pushes a second.
pub fn rates(name: String, rounds: usize, pushers: &Pushers, budget: Budget) -> Line {
    let mut contest = Contest::with_plain_reader(pushers);
    let rounds = (0..rounds).map(|_| contest.round()).map(|(ours, plain)| (1.0 / ours, 1.0 / plain)).collect();
    contest.ours.check(pushers);
    Line::new(name, Measure { unit: "pushes/s", reference: "a plain body reader" }, rounds, budget)
}

/// Samples a second of pushes that bring so many of them, against those of other pushes to another Catchment.
pub fn sample_rates(
    name: String,
    rounds: usize,
    (ours, reference): (&Pushers, &Pushers),
    measure: Measure,
    samples_per_push: usize,
    budget: Budget,
) -> Line {
    let start = |pushers| Side::start(Served::Catchment, pushers);
    let mut contest = Contest { ours: start(ours), reference: start(reference) };
    let rounds = (0..rounds).map(|_| contest.round()).collect();
    contest.ours.check(ours);
    contest.reference.check(reference);
    Line::new(name, measure, millions_per_second(rounds, samples_per_push), budget)
}

/// The time of a big push against that of reading its body and taking it in in the process.
fn big_pushes(name: String, rounds: usize, pushers: &Pushers) -> Line {
    let mut contest = Contest::with_plain_reader(pushers);
    let mut in_process = Ours::new();
    let mut push_of_each =
        || pushers.pushes.iter().for_each(|push| in_process.push(PushFormat::Text, push.body.as_bytes()));
    push_of_each();
    let rounds = (0..rounds).map(|_| {
        let (ours, plain) = contest.round();
        let start = Instant::now();
        push_of_each();
        let in_process = start.elapsed().as_secs_f64() / PUSHERS as f64;
        (1e6 * ours, 1e6 * (plain + in_process))
    });
    let rounds = rounds.collect();
    contest.ours.check(pushers);
    let measure = Measure { unit: "µs", reference: "a plain body reader + in-process ingest" };
    Line::new(name, measure, rounds, Budget::AtMost(1.3))
}
