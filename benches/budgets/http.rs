//! The budgets of pushes over HTTP: Catchment against a handler that only reads the body, each in a process of its own, with
//! the same client. Several hundred pushers push in turn, each its own series.

use std::io::{BufRead, BufReader};
use std::rc::Rc;
use std::time::{Duration, Instant};

use catchment::exposition::format::PushFormat;

use super::children::{Served, Server};
use super::client::{ClosedLoop, Pushed, push_request};
use super::data;
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

/// What the pushers push.
pub struct Pushers {
    bodies: Vec<String>,
    pub requests: Rc<[Vec<u8>]>,
}

impl Pushers {
    /// Each has so many series.
    pub fn with_own_series(series: usize) -> Self {
        Self::new(|pusher| ("/metrics/".to_owned(), data::samples(pusher * series..(pusher + 1) * series)))
    }

    /// Of all the same series, which the path tells apart.
    fn with_labels_in_the_path(series: usize) -> Self {
        Self::new(|pusher| (format!("/metrics/job/api/instance/worker-{pusher}"), data::samples(0..series)))
    }

    fn new(push: impl Fn(usize) -> (String, String)) -> Self {
        let pushes: Vec<(String, String)> = (0..PUSHERS).map(push).collect();
        let requests = pushes.iter().map(|(path, body)| push_request(path, body)).collect();
        Self { bodies: pushes.into_iter().map(|(_, body)| body).collect(), requests }
    }
}

/// The two servers, and a client of each.
struct Contest {
    catchment: (Server, ClosedLoop),
    plain: (Server, ClosedLoop),
}

impl Contest {
    fn start(pushers: &Pushers) -> Self {
        let start = |served: Served| {
            let server = Server::start(served);
            let mut client = ClosedLoop::connect(server.address, CONNECTIONS, Rc::clone(&pushers.requests));
            client.push_of_each();
            (server, client)
        };
        Self { catchment: start(Served::Catchment), plain: start(Served::PlainReader) }
    }

    /// Seconds a push takes Catchment, and the plain reader.
    fn round(&mut self) -> (f64, f64) {
        let (mut ours, mut plain) = (Pushed::default(), Pushed::default());
        for _ in 0..TURNS {
            plain += self.plain.1.push_for(TURN);
            ours += self.catchment.1.push_for(TURN);
        }
        (ours.seconds_a_push(), plain.seconds_a_push())
    }

    /// Whether the page shows exactly what was pushed.
    fn check(&self, pushers: &Pushers) {
        let (server, client) = &self.catchment;
        let pushed = |(pusher, body): (usize, &String)| client.pushes_of(pusher) as f64 * data::sum(body);
        let expected: f64 = pushers.bodies.iter().enumerate().map(pushed).sum();
        assert_eq!(total(server), expected, "the page shows what was pushed");
    }
}

/// The sum of all values of a server's page.
fn total(server: &Server) -> f64 {
    let page = ureq::get(format!("http://{}/metrics", server.address)).call().expect("a page");
    let lines = BufReader::new(page.into_body().into_reader()).lines();
    let value = |line: String| line.rsplit(' ').next()?.parse::<f64>().ok().filter(|_| !line.starts_with('#'));
    lines.filter_map(|line| value(line.expect("the page is text"))).sum()
}

/// Pushes a second.
fn rates(name: String, rounds: usize, pushers: &Pushers, budget: Budget) -> Line {
    let mut contest = Contest::start(pushers);
    let rounds = (0..rounds).map(|_| contest.round()).map(|(ours, plain)| (1.0 / ours, 1.0 / plain)).collect();
    contest.check(pushers);
    Line::new(name, Measure { unit: "pushes/s", reference: "a plain body reader" }, rounds, budget)
}

/// The time of a big push against that of reading its body and taking it in in the process.
fn big_pushes(name: String, rounds: usize, pushers: &Pushers) -> Line {
    let mut contest = Contest::start(pushers);
    let mut in_process = Ours::new();
    let mut push_of_each = || pushers.bodies.iter().for_each(|body| in_process.push(PushFormat::Text, body.as_bytes()));
    push_of_each();
    let rounds = (0..rounds).map(|_| {
        let (ours, plain) = contest.round();
        let start = Instant::now();
        push_of_each();
        let in_process = start.elapsed().as_secs_f64() / PUSHERS as f64;
        (1e6 * ours, 1e6 * (plain + in_process))
    });
    let rounds = rounds.collect();
    contest.check(pushers);
    let measure = Measure { unit: "µs", reference: "a plain body reader + in-process ingest" };
    Line::new(name, measure, rounds, Budget::AtMost(1.3))
}
