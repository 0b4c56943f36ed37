//! When each push is due. In an open loop that is fixed before the start: push `n` is due `n / rate` seconds after it,
//! whether or not the target keeps up. In a closed loop a connection's next push is due as soon as it has the last answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How long after the end pushes are still sent that were due before it.
const GRACE: Duration = Duration::from_millis(250);

/// The pushes of a run. Whoever has time takes the next.
pub struct Schedule {
    start: Instant,
    length: Duration,
    /// Pushes a second; none in a closed loop.
    rate: Option<f64>,
    next: AtomicU64,
    /// One permit for each push that is due.
    due: Semaphore,
}

/// A push to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its number.
    pub number: u64,
    /// When it was due.
    pub due: Instant,
}

impl Schedule {
    /// A run that starts now. A rate of zero is a closed loop.
    pub fn new(rate: f64, length: Duration) -> Schedule {
        let rate = (rate > 0.0).then_some(rate);
        Schedule { start: Instant::now(), length, rate, next: AtomicU64::new(0), due: Semaphore::new(0) }
    }

    /// When the run began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Pushes that are due within so long from the start; none is told in a closed loop.
    pub fn due_within(&self, time: Duration) -> Option<u64> {
        self.rate.map(|rate| (time.min(self.length).as_secs_f64() * rate).ceil() as u64)
    }

    /// Waits for the next push that is due. None at the run's end.
    pub async fn next(&self) -> Option<Ticket> {
        let Some(rate) = self.rate else { return self.next_of_closed_loop() };
        self.due.acquire().await.ok()?.forget();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let offset = Duration::from_secs_f64(number as f64 / rate);
        let is_over = offset >= self.length || self.start.elapsed() > self.length + GRACE;
        (!is_over).then(|| Ticket { number, due: self.start + offset })
    }

    fn next_of_closed_loop(&self) -> Option<Ticket> {
        let due = Instant::now();
        let is_over = due.duration_since(self.start) >= self.length;
        (!is_over).then(|| Ticket { number: self.next.fetch_add(1, Ordering::Relaxed), due })
    }

    /// Lets pushes go as they become due, on a thread of its own: the runtime's timers know milliseconds only. At the end
    /// every connection is let go to see that it is over.
    pub fn keep_time(self: &Arc<Self>, connections: usize) -> std::io::Result<()> {
        let Some(rate) = self.rate else { return Ok(()) };
        let schedule = Arc::clone(self);
        thread::Builder::new().name("schedule".into()).spawn(move || {
            schedule.release(rate);
            schedule.due.add_permits(connections);
        })?;
        Ok(())
    }

    fn release(&self, rate: f64) {
        let total = self.due_within(self.length).unwrap_or(0);
        let mut released = 0;
        while released < total {
            let now = (self.start.elapsed().as_secs_f64() * rate) as u64 + 1;
            let now = now.min(total);
            self.due.add_permits((now - released) as usize);
            released = now;
            let wake = self.start + Duration::from_secs_f64(released as f64 / rate);
            thread::park_timeout(wake.saturating_duration_since(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(schedule: &Schedule) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        while let Some(ticket) = schedule.next().await {
            assert!(ticket.due <= Instant::now(), "taken before its time");
            tickets.push(ticket);
        }
        tickets
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn pushes_are_due_at_even_times() {
        let schedule = Arc::new(Schedule::new(1_000.0, Duration::from_millis(50)));
        schedule.keep_time(1).unwrap();
        let tickets = block_on(taken(&schedule));
        assert_eq!(tickets.len(), 50);
        for (number, ticket) in tickets.iter().enumerate() {
            assert_eq!(ticket.number, number as u64);
            let offset = ticket.due.duration_since(schedule.start()).as_secs_f64();
            assert!((offset - number as f64 / 1_000.0).abs() < 1e-6, "{number}: {offset}");
        }
    }

    #[test]
    fn a_push_that_is_taken_late_was_due_all_the_same() {
        let schedule = Arc::new(Schedule::new(100.0, Duration::from_millis(50)));
        schedule.keep_time(1).unwrap();
        block_on(async {
            while schedule.due.available_permits() < 5 {
                tokio::task::yield_now().await;
            }
        });
        let tickets = block_on(taken(&schedule));
        let last = tickets.last().unwrap();
        assert_eq!((tickets.len(), last.due - schedule.start()), (5, Duration::from_millis(40)));
    }

    #[test]
    fn what_was_not_taken_in_time_is_left() {
        let mut schedule = Schedule::new(100.0, Duration::from_millis(50));
        schedule.start -= Duration::from_secs(1);
        schedule.due.add_permits(5);
        assert_eq!(block_on(schedule.next()), None);
    }

    #[test]
    fn a_closed_loop_ends_with_its_time() {
        let schedule = Schedule::new(0.0, Duration::from_millis(5));
        assert!(!block_on(taken(&schedule)).is_empty());
        assert_eq!(schedule.due_within(Duration::from_secs(1)), None);
    }

    #[test]
    fn due_pushes_are_counted() {
        let schedule = Schedule::new(10.0, Duration::from_secs(2));
        for (seconds, due) in [(0.0, 0), (0.05, 1), (1.0, 10), (1.01, 11), (9.0, 20)] {
            assert_eq!(schedule.due_within(Duration::from_secs_f64(seconds)), Some(due), "{seconds}");
        }
    }
}
