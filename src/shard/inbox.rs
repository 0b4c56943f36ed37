//! What waits to be done by a shard, in order, and who does it. Short jobs are done by whoever brings them, mostly the worker
//! that has just decoded the push: no thread is woken for them, and none waits. Whoever finds the shard taken leaves the job
//! to the one that has it, who looks again before going (flat combining: Hendler, Incze, Shavit and Tzafrir, SPAA 2010). Long
//! jobs, and all behind them, are left to the shard's own thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::job::{Job, Shard};

/// A shard and what waits for it.
pub(super) struct Inbox {
    waiting: Mutex<VecDeque<Job>>,
    /// How many they are, for those who only look whether they have left something here.
    count: AtomicUsize,
    shard: Mutex<Shard>,
    /// Whether the shard's own thread has been called and has not come yet.
    is_called: AtomicBool,
}

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hand {
    /// The shard's own thread: it does everything.
    Own,
    /// A thread with work of its own: it does some short jobs.
    Passing,
}

/// How working ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// There is nothing left to do, or someone else is at it and will see to the rest.
    Nothing,
    /// Jobs for the shard's own thread, which is to be called.
    Jobs,
}

/// A job has failed half-way: the shard is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl Inbox {
    /// Series of the jobs that a passing thread goes on after: others' are among them, and its own request waits.
    const MOST_IN_PASSING: usize = 4096;

    /// Nothing waits yet.
    pub fn new(shard: Shard) -> Self {
        let (count, is_called) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { waiting: Mutex::default(), count, shard: Mutex::new(shard), is_called }
    }

    /// Puts a job behind the others. Someone has to [`Self::work`] then.
    pub fn put(&self, job: Job) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.waiting().push_back(job);
    }

    /// Whether nothing waits that the asking thread has put here.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether no job has failed half-way.
    pub fn is_whole(&self) -> bool {
        !self.shard.is_poisoned()
    }

    /// Whether the shard's own thread is to be called: not if it has been already.
    pub fn call(&self) -> bool {
        !self.is_called.swap(true, Ordering::AcqRel)
    }

    /// The shard's own thread has come.
    pub fn answer_call(&self) {
        self.is_called.store(false, Ordering::Release);
    }

    /// Does what waits, unless someone else is at it.
    pub fn work(&self, hand: Hand) -> Result<Left, Broken> {
        let mut done = 0;
        loop {
            if !self.work_while_free(hand, &mut done)? {
                return Ok(Left::Nothing);
            }
            // Someone who came last may have found the shard taken, and have left a job.
            match self.waiting().front() {
                None => return Ok(Left::Nothing),
                Some(next) if hand.takes(next, done) => {}
                Some(_) => return Ok(Left::Jobs),
            }
        }
    }

    /// Returns whether the shard was free.
    fn work_while_free(&self, hand: Hand, done: &mut usize) -> Result<bool, Broken> {
        // Behind the shard's guard: what is left by the time the shard is broken is lost, and is to say so.
        let _discarding = DiscardIfPanicking(self);
        let mut shard = match self.shard.try_lock() {
            Ok(shard) => shard,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Poisoned(_)) => {
                self.discard();
                return Err(Broken);
            }
        };
        while let Some(job) = self.next(hand, *done) {
            // At least one: there is no end of empty jobs.
            *done += job.series().max(1);
            shard.run(job);
        }
        Ok(true)
    }

    fn next(&self, hand: Hand, done: usize) -> Option<Job> {
        let mut waiting = self.waiting();
        let job = waiting.front().is_some_and(|next| hand.takes(next, done)).then(|| waiting.pop_front())??;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(job)
    }

    /// Drops all jobs: whoever waits for them learns that they are lost.
    fn discard(&self) {
        let jobs = std::mem::take(&mut *self.waiting());
        self.count.fetch_sub(jobs.len(), Ordering::Relaxed);
        drop(jobs);
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Job>> {
        // A list of jobs is whole after each step.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hand {
    /// Whether the next job is for this hand, which has done jobs of so many series.
    fn takes(self, job: &Job, done: usize) -> bool {
        self == Self::Own || (job.is_short() && done < Inbox::MOST_IN_PASSING)
    }
}

struct DiscardIfPanicking<'i>(&'i Inbox);

impl Drop for DiscardIfPanicking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::NumberRule;
    use crate::clock::Clock;
    use crate::model::family::{FamilyUse, MetricKind};
    use crate::registry::Registry;
    use crate::shard::batch::{Batch, BatchContext, NumberUpdate, Router, SeriesRule};
    use crate::shard::gate::{Acknowledgement, Budget, Gate, TicketBook};
    use crate::shard::owner::Owner;
    use crate::telemetry::Telemetry;
    use std::sync::Arc;
    use std::thread;
    use tokio::sync::oneshot;

    const SERIES: usize = 10;

    struct Fixture {
        inbox: Inbox,
        router: Router,
        context: Arc<BatchContext>,
        stored: Arc<Budget>,
        gate: Gate,
    }

    impl Fixture {
        fn new() -> Self {
            let (router, stored) = (Router::new(1), Budget::new(1_000_000));
            let telemetry = Telemetry::new().expect("ascending bounds");
            let shard = Shard::new(router.clone(), Clock::start(), Arc::clone(&stored), telemetry.shard(0));
            let family = Registry::new(10).reserve("c", MetricKind::Counter, "");
            let rules = vec![SeriesRule { numbers: NumberRule::Add, lifetime: None }];
            let families = vec![FamilyUse::begin(&family)];
            let context = Arc::new(BatchContext { families, rules, replaced_families: Vec::new() });
            Self { inbox: Inbox::new(shard), router, context, stored, gate: Gate::new(1_000_000, usize::MAX) }
        }

        /// Puts a batch that adds 1 to each series of a family, by the family's index in the context.
        fn put_batch(&self, family: u32) -> Acknowledgement {
            let mut batch = Batch::default();
            for number in 0..SERIES {
                let labels = format!("a=\"{number}\"");
                let hasher = self.router.hasher();
                let hash = self.router.series_hash(hasher.hash(b"c"), hasher.hash_labels(&labels));
                let series = batch.push_key(hash, family, 0, &labels);
                batch.numbers.push(NumberUpdate { series, value: 1.0 });
            }
            let (book, acknowledgement) = TicketBook::new();
            let place = self.gate.enter(batch.bytes()).expect("room");
            let ticket = book.ticket(place, self.stored.take(SERIES).expect("room"));
            let (context, owner) = (Arc::clone(&self.context), Owner::Everyone);
            self.inbox.put(Job::Ingest { batch, context, owner, ticket });
            acknowledgement
        }

        /// Puts a long job, and returns what tells that it was done.
        fn put_long_job(&self) -> oneshot::Receiver<bool> {
            let (reply, answer) = oneshot::channel();
            self.inbox.put(Job::ForgetSource { source: 0, reply });
            answer
        }
    }

    #[actix_rt::test]
    async fn a_passing_thread_does_short_jobs_up_to_the_first_long_one() {
        let fixture = Fixture::new();
        let first = fixture.put_batch(0);
        assert_eq!(fixture.inbox.work(Hand::Passing), Ok(Left::Nothing));
        assert!(first.is_applied().await);
        let (before, mut long, behind) = (fixture.put_batch(0), fixture.put_long_job(), fixture.put_batch(0));
        assert_eq!(fixture.inbox.work(Hand::Passing), Ok(Left::Jobs));
        assert!(before.is_applied().await);
        assert!(long.try_recv().is_err(), "the long job is left");
        assert_eq!(fixture.inbox.work(Hand::Own), Ok(Left::Nothing));
        assert!(long.await.is_ok() && behind.is_applied().await);
    }

    #[test]
    fn a_passing_thread_does_not_work_for_ever() {
        let fixture = Fixture::new();
        let _pushes: Vec<_> = (0..1000).map(|_| fixture.put_batch(0)).collect();
        let rounds = (0..10).take_while(|_| fixture.inbox.work(Hand::Passing) == Ok(Left::Jobs)).count();
        assert_eq!(rounds, 1000 * SERIES / Inbox::MOST_IN_PASSING);
    }

    #[test]
    fn the_shard_is_called_once_until_it_comes() {
        let fixture = Fixture::new();
        assert!(fixture.inbox.call() && !fixture.inbox.call());
        fixture.inbox.answer_call();
        assert!(fixture.inbox.call());
    }

    #[test]
    fn nothing_is_left_undone_whoever_meets_whom() {
        const THREADS: usize = 4;
        const PUSHES: usize = 500;
        let fixture = Fixture::new();
        let calls = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (fixture, calls) = (&fixture, &calls);
                scope.spawn(move || {
                    let mut long_jobs = Vec::new();
                    for push in 0..PUSHES {
                        let _push = fixture.put_batch(0);
                        if push % 50 == thread {
                            long_jobs.push(fixture.put_long_job());
                        }
                        if fixture.inbox.work(Hand::Passing) == Ok(Left::Jobs) && fixture.inbox.call() {
                            // As the shard's own thread would.
                            calls.fetch_add(1, Ordering::Relaxed);
                            fixture.inbox.answer_call();
                            assert_eq!(fixture.inbox.work(Hand::Own), Ok(Left::Nothing));
                        }
                    }
                });
            }
        });
        assert!(calls.load(Ordering::Relaxed) > 0);
        assert!(fixture.inbox.waiting().is_empty(), "whoever was last has seen to it");
        assert_eq!((fixture.stored.taken(), fixture.gate.batches.taken()), (SERIES, 0));
    }

    #[actix_rt::test]
    async fn a_job_that_fails_takes_those_that_wait_with_it() {
        let fixture = Fixture::new();
        // No such family: not what a push can bring.
        let (fatal, behind) = (fixture.put_batch(7), fixture.put_batch(0));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fixture.inbox.work(Hand::Passing)));
        assert!(outcome.is_err() && !fixture.inbox.is_whole());
        assert!(!fatal.is_applied().await && !behind.is_applied().await);
        let late = fixture.put_batch(0);
        assert_eq!(fixture.inbox.work(Hand::Own), Err(Broken));
        assert!(!late.is_applied().await);
    }
}
