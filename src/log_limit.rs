//! Keeps a flood of like events from flooding the log.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lets a burst through, then one event a second, and counts the others.
#[derive(Debug, Default)]
pub struct LogLimit {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    second: Option<Instant>,
    in_second: u32,
    unlogged: u64,
}

impl LogLimit {
    const PER_SECOND: u32 = 5;

    /// Whether an event may be logged now; if so, how many were not since the last.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_new_second = state.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1));
        if is_new_second {
            (state.second, state.in_second) = (Some(now), 0);
        }
        if state.in_second < Self::PER_SECOND {
            state.in_second += 1;
            Some(std::mem::take(&mut state.unlogged))
        } else {
            state.unlogged += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_a_few_times_a_second_and_counted() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let logged: Vec<u64> = (0..100).filter_map(|_| limit.admit_at(start)).collect();
        assert_eq!(logged, [0; LogLimit::PER_SECOND as usize]);
        assert_eq!(limit.admit_at(start + Duration::from_secs(1)), Some(95));
    }
}
