//! The one clock: monotonic, so a machine that sleeps or is set does not move windows and lifetimes.

use std::time::Instant;

use crate::model::value::Millis;

/// Counts from the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> Millis {
        self.start.elapsed().as_millis() as Millis
    }
}
