//! A whole run: connections on a few threads, the schedule they follow, and what came of it, second by second.

use std::cell::RefCell;
use std::io::{IsTerminal, Write, stderr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};

use crate::connection::Connection;
use crate::error::Error;
use crate::process::cpu_time;
use crate::record::{Outcomes, REFUSAL_BYTES, Record};
use crate::requests::Requests;
use crate::schedule::Schedule;

/// A run to be made.
pub struct Plan {
    /// What is sent.
    pub requests: Requests,
    /// Pushes a second; zero for as many as the connections can make one after the other.
    pub rate: f64,
    /// Time before it counts.
    pub warmup: Duration,
    /// Time that counts.
    pub duration: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Threads that the connections are spread over.
    pub threads: usize,
    /// For one exchange.
    pub timeout: Duration,
    /// A process whose processor time is measured.
    pub server: Option<u32>,
    /// Whether progress is shown, if standard error is a terminal.
    pub shows_progress: bool,
}

/// One second of a run, or what was left of it at the end.
#[derive(Clone, Debug)]
pub struct Second {
    /// Seconds between the end of the warm-up and this one's end.
    pub end: f64,
    /// Its length in seconds.
    pub length: f64,
    /// Pushes that were due in it.
    pub due: u64,
    /// Pushes sent in it.
    pub sent: u64,
    /// Pushes acknowledged in it.
    pub acknowledged: u64,
    /// Pushes refused, or lost.
    pub failed: u64,
    /// Quantiles of its latencies in microseconds: 0.5, 0.99 and 1.
    pub latencies: [u64; 3],
}

/// What came of a run.
pub struct LoadResult {
    /// Time that counts.
    pub duration: Duration,
    /// Its seconds.
    pub seconds: Vec<Second>,
    /// Outcomes after the warm-up, late answers included.
    pub measured: Outcomes,
    /// Pushes acknowledged after the warm-up and before the end: what rates are made of.
    pub in_time: u64,
    /// Outcomes of everything that was sent.
    pub whole: Outcomes,
    /// Pushes that were due and could not be sent: the target did not keep up.
    pub unsent: u64,
    /// Processor time of the server while it counted.
    pub server_time: Option<Duration>,
}

impl LoadResult {
    /// Pushes acknowledged in a second.
    pub fn rate(&self) -> f64 {
        self.in_time as f64 / self.duration.as_secs_f64()
    }

    /// Processor time of the server for a push, in seconds.
    pub fn server_seconds_per_push(&self) -> Option<f64> {
        let time = self.server_time?;
        (self.in_time > 0).then(|| time.as_secs_f64() / self.in_time as f64)
    }
}

/// Makes a run.
pub fn run(plan: Plan) -> Result<LoadResult, Error> {
    for (count, what) in [(plan.connections, "the connections"), (plan.threads, "the threads")] {
        if count == 0 {
            return Err(Error::Nothing(what));
        }
    }
    let schedule = Arc::new(Schedule::new(plan.rate, plan.warmup + plan.duration));
    let started = |error| Error::Start("a thread".into(), error);
    let mut records = Vec::new();
    let mut threads = Vec::new();
    for number in 0..plan.threads {
        let record = Record::new()?;
        let connections = (plan.connections + number) / plan.threads;
        threads.push(start_thread(&plan, connections, &schedule, &record).map_err(started)?);
        records.push(record);
    }
    schedule.keep_time(plan.connections).map_err(started)?;
    Watch { plan: &plan, schedule: &schedule, records: &records }.watch(threads)
}

fn start_thread(
    plan: &Plan,
    connections: usize,
    schedule: &Arc<Schedule>,
    record: &Record,
) -> std::io::Result<JoinHandle<Result<(), Error>>> {
    let (requests, timeout) = (plan.requests.clone(), plan.timeout);
    let (schedule, record) = (Arc::clone(schedule), record.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("connections".into()).spawn(move || {
        runtime.block_on(LocalSet::new().run_until(async {
            let target = requests.form().target.clone();
            let requests = Rc::new(RefCell::new(requests));
            let mut tasks = JoinSet::new();
            for _ in 0..connections {
                let connection = Connection::new(target.clone(), timeout);
                tasks.spawn_local(push_on(connection, Arc::clone(&schedule), Rc::clone(&requests), record.clone()));
            }
            tasks.join_all().await.into_iter().collect()
        }))
    })
}

/// Pushes on one connection to the end of the run.
async fn push_on(
    mut connection: Connection,
    schedule: Arc<Schedule>,
    requests: Rc<RefCell<Requests>>,
    record: Record,
) -> Result<(), Error> {
    while let Some(ticket) = schedule.next().await {
        let offset = ticket.due.duration_since(schedule.start());
        let request = requests.borrow_mut().request(ticket.number, offset.as_secs_f64())?;
        record.lock().sent += 1;
        let outcome = connection.exchange(&request, REFUSAL_BYTES).await;
        record.lock().count(&outcome, ticket.due.elapsed());
    }
    Ok(())
}

/// Looks on while a run is made.
struct Watch<'a> {
    plan: &'a Plan,
    schedule: &'a Schedule,
    records: &'a [Record],
}

impl Watch<'_> {
    fn watch(&self, threads: Vec<JoinHandle<Result<(), Error>>>) -> Result<LoadResult, Error> {
        let Plan { warmup, duration, .. } = *self.plan;
        let (mut whole, mut measured, mut second) = (Outcomes::new()?, Outcomes::new()?, Outcomes::new()?);
        self.wait_until(warmup);
        self.take(&mut whole);
        let server_before = self.plan.server.and_then(cpu_time);
        let (mut seconds, mut at) = (Vec::new(), Duration::ZERO);
        while at < duration {
            let end = (at + Duration::from_secs(1)).min(duration);
            self.wait_until(warmup + end);
            second.clear();
            self.take(&mut second);
            measured.add(&second);
            seconds.push(self.second(&second, at, end));
            self.show(seconds.last());
            at = end;
        }
        let server_time = self.plan.server.and_then(cpu_time).zip(server_before).map(|(after, before)| after - before);
        let in_time = measured.acknowledged();
        for thread in threads {
            thread.join().unwrap_or(Err(Error::Stopped))?;
        }
        self.take(&mut measured);
        whole.add(&measured);
        let due = self.schedule.due_within(warmup + duration).unwrap_or(whole.sent);
        let unsent = due.saturating_sub(whole.sent);
        Ok(LoadResult { duration, seconds, measured, in_time, whole, unsent, server_time })
    }

    fn wait_until(&self, time: Duration) {
        let wake = self.schedule.start() + time;
        while let Some(left) = wake.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
    }

    fn take(&self, sum: &mut Outcomes) {
        self.records.iter().for_each(|record| record.take_into(sum));
    }

    fn second(&self, outcomes: &Outcomes, begin: Duration, end: Duration) -> Second {
        let warmup = self.plan.warmup;
        let due = |time: Duration| self.schedule.due_within(warmup + time);
        let due = due(end).zip(due(begin)).map(|(by_end, by_begin)| by_end - by_begin);
        Second {
            end: end.as_secs_f64(),
            length: (end - begin).as_secs_f64(),
            due: due.unwrap_or(outcomes.sent),
            sent: outcomes.sent,
            acknowledged: outcomes.acknowledged(),
            failed: outcomes.failed(),
            latencies: [0.5, 0.99, 1.0].map(|quantile| outcomes.latencies.value_at_quantile(quantile)),
        }
    }

    /// One line, written over itself.
    fn show(&self, second: Option<&Second>) {
        let Some(second) = second.filter(|_| self.plan.shows_progress && stderr().is_terminal()) else { return };
        let [middle, late, latest] = second.latencies.map(|micros| micros as f64 / 1000.0);
        let line = format!(
            "{:5.0} s  due {:>8}  acknowledged {:>8}  failed {:>6}  p50 {middle:.2} ms  p99 {late:.2} ms  max {latest:.2} ms",
            second.end, second.due, second.acknowledged, second.failed
        );
        let is_last = second.end >= self.plan.duration.as_secs_f64();
        // Progress that cannot be shown is no fault.
        let _ = write!(stderr(), "\r{line:<110}{}", if is_last { "\n" } else { "" });
    }
}
