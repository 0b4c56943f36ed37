//! Numbers as the exposition formats write them: reading and shortest printing of floats.
//! No sample, label or family is known here.

/// Reads a number that is all of `text`; see [`read_float`].
pub fn parse_float(text: &[u8]) -> Option<f64> {
    read_float(text).filter(|(_, length)| *length == text.len()).map(|(value, _)| value)
}

/// Reads the number that `text` begins with, up to a blank, a control character or the end, and returns its length too.
///
/// As the reference reader (`strconv.ParseFloat` less hexadecimal and `_`) it accepts a sign, digits with an optional point
/// and exponent, and in any case of letters `inf`, `infinity` (signed or not) and `nan` (unsigned). `None` for anything
/// else, and for finite text that overflows, such as `1e400`.
#[inline]
pub fn read_float(text: &[u8]) -> Option<(f64, usize)> {
    // Most pushed values are small whole numbers: up to 15 digits are exact in a float and need no general parser.
    let mut whole = 0u64;
    for (at, &byte) in text.iter().take(16).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            if at > 0 && byte <= b' ' {
                return Some((whole as f64, at));
            }
            break;
        }
        whole = whole * 10 + u64::from(digit);
    }
    read_any_float(text)
}

fn read_any_float(text: &[u8]) -> Option<(f64, usize)> {
    let length = text.iter().position(|byte| *byte <= b' ').unwrap_or(text.len());
    let text = &text[..length];
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    let value = match unsigned.first()? {
        b'0'..=b'9' | b'.' => fast_float2::parse::<f64, _>(text).ok().filter(|value| value.is_finite())?,
        b'i' | b'I' if is_word(unsigned, b"inf") || is_word(unsigned, b"infinity") => {
            if text[0] == b'-' {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            }
        }
        b'n' | b'N' if is_word(text, b"nan") => f64::NAN,
        _ => return None,
    };
    Some((value, length))
}

fn is_word(text: &[u8], word: &[u8]) -> bool {
    text.eq_ignore_ascii_case(word)
}

/// Appends `value`: whole numbers below 2^53 as integers, others as the shortest text that reads back the same, and
/// `NaN`, `+Inf`, `-Inf`. Negative zero prints as `0`.
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;
    if value.trunc() == value && value.abs() < EXACT_INTEGERS {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
}

/// As [`write_float`], as text.
pub fn float_text(value: f64) -> String {
    let mut text = Vec::new();
    write_float(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_the_reference_reads() {
        let cases: &[(&str, f64)] = &[
            ("0", 0.0),
            ("1027", 1027.0),
            ("-1", -1.0),
            ("+1", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E5", 100_000.0),
            ("1.5e-3", 0.0015),
            ("999999999999999", 999_999_999_999_999.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("Inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("infinity", f64::INFINITY),
            ("5e-324", 5e-324),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_float(text.as_bytes()), Some(*expected), "{text}");
        }
        for text in ["NaN", "nan"] {
            assert!(parse_float(text.as_bytes()).is_some_and(f64::is_nan), "{text}");
        }
    }

    #[test]
    fn refuses_what_the_reference_refuses() {
        for text in [
            "", "+", "-", ".", "e", "1e", "1e+", "0x10", "1_000", "1e400", "-1e400", "+NaN", "-nan", " 1", "1 ", "1r",
            "in", "infi", "--1", "1.2.3", "é", "1p3",
        ] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn prints_whole_values_as_integers() {
        let cases: &[(f64, &str)] = &[
            (0.0, "0"),
            (-0.0, "0"),
            (2054.0, "2054"),
            (-3.0, "-3"),
            (1e6, "1000000"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (0.1, "0.1"),
            (12.25, "12.25"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            let mut out = Vec::new();
            write_float(&mut out, *value);
            assert_eq!(String::from_utf8_lossy(&out), *expected);
        }
    }

    proptest! {
        #[test]
        fn printed_floats_read_back_the_same(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let mut out = Vec::new();
            write_float(&mut out, value);
            let read = parse_float(&out).expect("what is printed can be read");
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }
    }
}
