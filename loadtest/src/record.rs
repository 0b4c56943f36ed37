//! What came of the pushes. Connections of a thread write to its record; once a second all records are taken and added up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

use crate::connection::Fault;
use crate::response::ResponseReader;

/// Longest latency that is told from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// Bytes of a refusal that are shown.
pub const REFUSAL_BYTES: usize = 300;

/// Outcomes of some time.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// Exchanges begun.
    pub sent: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Exchanges without an answer.
    pub faults: BTreeMap<Fault, u64>,
    /// From the moment a push was due to its answer, whatever that was, in microseconds.
    pub latencies: Histogram<u64>,
    /// The first answer that was no success: status and text.
    pub refusal: Option<String>,
}

impl Outcomes {
    /// Nothing yet.
    pub fn new() -> Result<Outcomes, CreationError> {
        let latencies = Histogram::new_with_bounds(1, LONGEST, 3)?;
        Ok(Outcomes { sent: 0, statuses: BTreeMap::new(), faults: BTreeMap::new(), latencies, refusal: None })
    }

    /// Counts an exchange that took so long since it was due.
    pub fn count(&mut self, outcome: &Result<ResponseReader, Fault>, latency: Duration) {
        match outcome {
            Ok(response) => {
                *self.statuses.entry(response.status()).or_default() += 1;
                let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
                self.latencies.saturating_record(micros);
                if self.refusal.is_none() {
                    self.refusal = refusal(outcome);
                }
            }
            Err(fault) => *self.faults.entry(*fault).or_default() += 1,
        }
    }

    /// Adds what came later.
    pub fn add(&mut self, later: &Outcomes) {
        self.sent += later.sent;
        later.statuses.iter().for_each(|(status, count)| *self.statuses.entry(*status).or_default() += count);
        later.faults.iter().for_each(|(fault, count)| *self.faults.entry(*fault).or_default() += count);
        // Both have the same bounds, so there is always room.
        let _ = self.latencies.add(&later.latencies);
        if self.refusal.is_none() {
            self.refusal.clone_from(&later.refusal);
        }
    }

    /// Back to nothing.
    pub fn clear(&mut self) {
        self.sent = 0;
        self.statuses.clear();
        self.faults.clear();
        self.latencies.reset();
        self.refusal = None;
    }

    /// Pushes that the gateway says it has taken.
    pub fn acknowledged(&self) -> u64 {
        self.statuses.iter().filter(|(status, _)| is_success(**status)).map(|(_, count)| count).sum()
    }

    /// Everything else that was sent and is over.
    pub fn failed(&self) -> u64 {
        self.statuses.values().sum::<u64>() - self.acknowledged() + self.faults.values().sum::<u64>()
    }

    /// Pushes that may have been applied, or not: without an answer, or with one of a server's fault. A gateway that refuses for
    /// load (503) has applied nothing.
    pub fn unknown(&self) -> u64 {
        let unanswered: u64 =
            self.faults.iter().filter(|(fault, _)| **fault != Fault::Connect).map(|(_, count)| count).sum();
        let is_unclear = |status: u16| status >= 500 && status != 503;
        unanswered
            + self.statuses.iter().filter(|(status, _)| is_unclear(**status)).map(|(_, count)| count).sum::<u64>()
    }
}

/// Why a push was not taken, if it was not: status and text, or what became of the exchange.
pub fn refusal(outcome: &Result<ResponseReader, Fault>) -> Option<String> {
    match outcome {
        Ok(response) if is_success(response.status()) => None,
        Ok(response) => {
            let text = String::from_utf8_lossy(response.body());
            Some(format!("{} {}", response.status(), text.trim()))
        }
        Err(fault) => Some(fault.word().to_owned()),
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The outcomes of one thread since they were last taken.
#[derive(Clone)]
pub struct Record(Arc<Mutex<Outcomes>>);

impl Record {
    /// An empty one.
    pub fn new() -> Result<Record, CreationError> {
        Ok(Record(Arc::new(Mutex::new(Outcomes::new()?))))
    }

    /// The outcomes, for as long as it takes to count one.
    pub fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what is there to a sum.
    pub fn take_into(&self, sum: &mut Outcomes) {
        let mut outcomes = self.lock();
        sum.add(&outcomes);
        outcomes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Result<ResponseReader, Fault> {
        let mut response = ResponseReader::new(REFUSAL_BYTES);
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nno\n");
        assert!(response.feed(text.as_bytes()).unwrap());
        Ok(response)
    }

    #[test]
    fn outcomes_are_told_apart() {
        let cases = [
            (answer(202), (1, 0, 0)),
            (answer(200), (1, 0, 0)),
            (answer(400), (0, 1, 0)),
            (answer(503), (0, 1, 0)),
            (answer(500), (0, 1, 1)),
            (Err(Fault::Connect), (0, 1, 0)),
            (Err(Fault::Reset), (0, 1, 1)),
            (Err(Fault::Timeout), (0, 1, 1)),
        ];
        for (outcome, expected) in cases {
            let mut outcomes = Outcomes::new().unwrap();
            outcomes.count(&outcome, Duration::from_millis(1));
            assert_eq!((outcomes.acknowledged(), outcomes.failed(), outcomes.unknown()), expected, "{outcome:?}");
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        let cases = [(answer(202), None), (answer(429), Some("429 no")), (Err(Fault::Reset), Some("reset"))];
        cases.iter().for_each(|(outcome, expected)| assert_eq!(refusal(outcome).as_deref(), *expected));
    }

    #[test]
    fn what_is_taken_is_gone() {
        let record = Record::new().unwrap();
        record.lock().sent = 3;
        record.lock().count(&answer(400), Duration::from_micros(70));
        let mut sum = Outcomes::new().unwrap();
        record.take_into(&mut sum);
        record.take_into(&mut sum);
        assert_eq!((sum.sent, sum.failed(), sum.latencies.max()), (3, 1, 70));
        assert_eq!(sum.refusal.as_deref(), Some("400 no"));
    }
}
