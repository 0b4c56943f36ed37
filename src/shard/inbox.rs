//! What waits to be done by a shard, in order, and who does it. Short jobs are done by whoever brings them, mostly the worker
//! that has just decoded the push: no thread is woken for them, and none waits. Whoever finds the shard taken leaves the job
//! to the one that has it, who looks again before going (flat combining: Hendler, Incze, Shavit and Tzafrir, SPAA 2010). Long
//! jobs, and all behind them, are left to the shard's own thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::job::{Job, Shard};

/// A shard and what waits for it.
pub(super) struct Inbox {
    waiting: Mutex<VecDeque<Job>>,
    shard: Mutex<Shard>,
    /// Whether the shard's own thread has been called and has not come yet.
    is_called: AtomicBool,
}

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hand {
    /// The shard's own thread: it does everything.
    Own,
    /// A thread with work of its own: it does a few short jobs.
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
    /// Jobs that a passing thread does at once: others' among them, so that its own request does not wait for ever.
    const MOST_IN_PASSING: usize = 32;

    /// Nothing waits yet.
    pub fn new(shard: Shard) -> Self {
        Self { waiting: Mutex::default(), shard: Mutex::new(shard), is_called: AtomicBool::new(false) }
    }

    /// Puts a job behind the others. Someone has to [`Self::work`] then.
    pub fn put(&self, job: Job) {
        self.waiting().push_back(job);
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
            shard.run(job);
            *done += 1;
        }
        Ok(true)
    }

    fn next(&self, hand: Hand, done: usize) -> Option<Job> {
        let mut waiting = self.waiting();
        waiting.front().is_some_and(|next| hand.takes(next, done)).then(|| waiting.pop_front())?
    }

    /// Drops all jobs: whoever waits for them learns that they are lost.
    fn discard(&self) {
        let jobs = std::mem::take(&mut *self.waiting());
        drop(jobs);
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Job>> {
        // A list of jobs is whole after each step.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hand {
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
