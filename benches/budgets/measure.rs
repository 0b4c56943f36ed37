//! How something is timed: by this thread's own processor time, and in turn with what it is compared with, so that what else the
//! machine does disturbs little, and both alike.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Times both in turn, so many rounds; our seconds and the reference's of each.
pub fn in_turn(rounds: usize, mut ours: impl FnMut(), mut reference: impl FnMut()) -> Vec<(f64, f64)> {
    (0..rounds)
        .map(|_| {
            let theirs = timed(&mut reference);
            (timed(&mut ours).as_secs_f64(), theirs.as_secs_f64())
        })
        .collect()
}

/// Seconds of each round for so many things, as millions of them a second.
pub fn millions_per_second(rounds: Vec<(f64, f64)>, count: usize) -> Vec<(f64, f64)> {
    let rate = |seconds: f64| 1e-6 * count as f64 / seconds;
    rounds.into_iter().map(|(ours, reference)| (rate(ours), rate(reference))).collect()
}

/// The same of ours alone, against a rate that is asked for.
pub fn against(millions_per_second: f64, count: usize, rounds: impl Iterator<Item = Duration>) -> Vec<(f64, f64)> {
    rounds.map(|time| (1e-6 * count as f64 / time.as_secs_f64(), millions_per_second)).collect()
}

/// How long this thread works; what it waits, or others have its core, is not counted. Not for what
/// is walked under valgrind, which has no such clock.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = processor_time();
    work();
    processor_time() - start
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
