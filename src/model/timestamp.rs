//! A moment as exemplars and created timestamps carry it: exact to the nanosecond, which a float of seconds is not.

use std::fmt::Write;

/// Time since 1970, as `google.protobuf.Timestamp` counts it: for moments before, `seconds` is rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// Beyond them; below 1,000,000,000.
    pub nanos: u32,
}

const NANOS_PER_SECOND: u32 = 1_000_000_000;

impl Timestamp {
    /// Reads seconds as OpenMetrics writes them, such as `1520879607.789`. Digits beyond nanoseconds are cut; an exponent is
    /// understood, within the precision of a float.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if digits.contains(['e', 'E']) {
            return Self::from_seconds(text.parse().ok()?);
        }
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let seconds: i64 = whole.parse().ok()?;
        let mut nanos = 0;
        for place in 0..9 {
            let digit = fraction.as_bytes().get(place).map_or(0, |digit| digit - b'0');
            nanos = nanos * 10 + u32::from(digit);
        }
        match (is_negative, nanos) {
            (false, _) => Self::new(seconds, nanos),
            (true, 0) => Self::new(-seconds, nanos),
            (true, _) => Self::new(-seconds - 1, NANOS_PER_SECOND - nanos),
        }
    }

    /// The moment, if it is within the years 1 to 9999, which the protobuf type has.
    pub fn new(seconds: i64, nanos: u32) -> Option<Self> {
        const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
        (YEARS.contains(&seconds) && nanos < NANOS_PER_SECOND).then_some(Self { seconds, nanos })
    }

    /// The moment that the shortest text of the float names; `None` if it is not finite or out of range.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let is_in_range = seconds.abs() < 1e18;
        if is_in_range { Self::parse(&format!("{seconds}")) } else { None }
    }

    /// Appends seconds as OpenMetrics writes them, with no more digits than needed.
    pub fn write(self, out: &mut String) {
        let (sign, seconds, nanos) = match (self.seconds < 0, self.nanos) {
            (false, nanos) => ("", self.seconds, nanos),
            (true, 0) => ("", self.seconds, 0),
            (true, nanos) => ("-", -(self.seconds + 1), NANOS_PER_SECOND - nanos),
        };
        // Writing to a string cannot fail.
        let _ = write!(out, "{sign}{seconds}");
        if nanos > 0 {
            let fraction = format!("{nanos:09}");
            let _ = write!(out, ".{}", fraction.trim_end_matches('0'));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(timestamp: Timestamp) -> String {
        let mut out = String::new();
        timestamp.write(&mut out);
        out
    }

    #[test]
    fn moments_are_read_to_the_nanosecond() {
        let cases: &[(&str, i64, u32, &str)] = &[
            ("0", 0, 0, "0"),
            ("1520879607.789", 1_520_879_607, 789_000_000, "1520879607.789"),
            ("1520879607.123456789", 1_520_879_607, 123_456_789, "1520879607.123456789"),
            ("1520879607.1234567899", 1_520_879_607, 123_456_789, "1520879607.123456789"),
            ("1.5e9", 1_500_000_000, 0, "1500000000"),
            ("5.", 5, 0, "5"),
            ("-0.25", -1, 750_000_000, "-0.25"),
            ("-3", -3, 0, "-3"),
            ("-3.5", -4, 500_000_000, "-3.5"),
        ];
        for (read, seconds, nanos, written) in cases {
            let expected = Timestamp { seconds: *seconds, nanos: *nanos };
            assert_eq!(Timestamp::parse(read), Some(expected), "{read}");
            assert_eq!(text(expected), *written);
        }
        for refused in
            ["", ".", ".5", "x", "1.x", "--1", "NaN", "Inf", "1e400", "99999999999999999999", "1e30", "253402300800"]
        {
            assert_eq!(Timestamp::parse(refused), None, "{refused}");
        }
        assert_eq!(Timestamp::from_seconds(1_520_872_607.123), Timestamp::parse("1520872607.123"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in -62_000_000_000i64..253_000_000_000, nanos in 0u32..NANOS_PER_SECOND) {
            let timestamp = Timestamp { seconds, nanos };
            prop_assert_eq!(Timestamp::parse(&text(timestamp)), Some(timestamp));
        }
    }
}
