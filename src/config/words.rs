//! Words of settings and rules: the choices they offer, durations, sizes.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;

use crate::model::door::Door;
use crate::model::value::{GaugePolicy, Millis};
use crate::push::SummaryPolicy;

/// Values by the words for them.
pub type Choices<T> = &'static [(&'static str, T)];

pub const DOORS: Choices<Door> = &[
    (Door::Aggregate.name(), Door::Aggregate),
    (Door::Source.name(), Door::Source),
    (Door::Replace.name(), Door::Replace),
];
pub const GAUGE_POLICIES: Choices<GaugePolicy> = &[
    ("last", GaugePolicy::Last),
    ("sum", GaugePolicy::Sum),
    ("min", GaugePolicy::Min),
    ("max", GaugePolicy::Max),
    ("mean", GaugePolicy::Mean),
];
pub const SUMMARY_POLICIES: Choices<SummaryPolicy> =
    &[("sum-count", SummaryPolicy::SumCount), ("discard", SummaryPolicy::Discard)];
pub const PATH_LABEL_POLICIES: Choices<bool> = &[("add", true), ("ignore", false)];
pub const SWITCH: Choices<bool> = &[("true", true), ("false", false)];
pub const ACCEPTED_STATUSES: Choices<StatusCode> = &[("200", StatusCode::OK), ("202", StatusCode::ACCEPTED)];
pub const LEVELS: Choices<tracing::Level> = &[
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

/// The word for no value.
pub const NONE: &str = "none";

/// The value of a word.
pub fn value_of<T: Copy>(choices: Choices<T>, word: &str) -> Option<T> {
    choices.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
}

/// The word for a value.
pub fn word_of<T: PartialEq>(choices: Choices<T>, value: &T) -> &'static str {
    choices.iter().find(|(_, known)| known == value).map_or("", |(word, _)| *word)
}

/// All words, for messages.
pub fn words<T>(choices: Choices<T>) -> String {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    words.join(", ")
}

/// `500ms`, `30s`, `1h 30m`; fails with what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "a duration such as 500ms, 30s or 5m")
}

/// A duration that leaves time for something, in whole milliseconds.
pub fn parse_time(text: &str) -> Result<Millis, &'static str> {
    let duration = parse_duration(text)?;
    if duration.is_zero() { Err("a duration above 0") } else { Ok(millis(duration)) }
}

/// Quantiles in order, each once; none is NaN.
pub fn ascending(mut quantiles: Vec<f64>) -> Arc<[f64]> {
    quantiles.iter_mut().for_each(|quantile| *quantile += 0.0);
    quantiles.sort_by(f64::total_cmp);
    quantiles.dedup();
    quantiles.into()
}

/// At least 1.
pub fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// `1000`, `64KiB`, `16MiB`, `1GiB`, `10B`; at least 1.
pub fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let number: usize = text[..digits].parse().ok()?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        let cases = [
            ("1000", Some(1000)),
            ("64KiB", Some(65536)),
            ("2 MiB", Some(2 << 20)),
            ("1GiB", Some(1 << 30)),
            ("7B", Some(7)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
        for text in ["", "0", "-1", "1.5MiB", "MiB", "1KB", "99999999999GiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_above_zero() {
        let cases = [
            ("5m", Ok(300_000)),
            ("1h 30m", Ok(5_400_000)),
            ("1m30s", Ok(90_000)),
            ("1us", Ok(1)),
            ("0s", Err("a duration above 0")),
            ("5", Err("a duration such as 500ms, 30s or 5m")),
            ("", Err("a duration such as 500ms, 30s or 5m")),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text), expected, "{text}");
        }
    }

    #[test]
    fn words_and_values_belong_to_each_other() {
        for (word, policy) in GAUGE_POLICIES {
            assert_eq!((value_of(GAUGE_POLICIES, word), word_of(GAUGE_POLICIES, policy)), (Some(*policy), *word));
        }
        assert_eq!(words(DOORS), "aggregate, source, replace");
        assert_eq!(value_of(DOORS, "Source"), None);
    }
}
