//! Observations as datagrams, in the form of Hermes: processes that send them, and a receiver that only counts them. No gateway
//! can take datagrams with less work than that one, so others are told as ratios to it. Linux alone, where many datagrams go
//! into one system call.

pub mod content;
pub mod count;
pub mod send;

use serde_json::Value;

/// Datagrams in one system call.
const BATCH: usize = 64;

/// What a command has measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// For people.
    pub line: String,
    /// For programs.
    pub json: Value,
}

impl Outcome {
    /// One of both, as a line.
    pub fn told(&self, is_json: bool) -> String {
        if is_json { format!("{}\n", self.json) } else { format!("{}\n", self.line) }
    }
}
