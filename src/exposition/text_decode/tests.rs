//! Tables of accepted and refused text, and the decoder against a naive twin.

use super::*;
use crate::exposition::decoded::{MetadataContent, Sample};
use proptest::prelude::*;

/// A sample as the tests write it: name, labels as written, value.
type Plain = (String, String, f64);

fn samples(body: &[u8]) -> Result<Vec<Plain>, String> {
    let mut decoded = Decoded::default();
    let text =
        decode(body, &Limits::default(), &LabelHasher::new(), &mut decoded).map_err(|error| error.to_string())?;
    let plain = |sample: &Sample| {
        let name = decoded.names[sample.series.name as usize].text.of(text);
        (name.to_owned(), sample.series.labels.of(text).to_owned(), sample.value)
    };
    Ok(decoded.samples.iter().map(plain).collect())
}

#[test]
fn accepts_all_the_format_allows() {
    type Accepted<'a> = (&'a str, &'a [(&'a str, &'a str, f64)]);
    let cases: &[Accepted<'_>] = &[
        ("", &[]),
        ("\n\n \t\n\r\n", &[]),
        ("up 1\n", &[("up", "", 1.0)]),
        ("up 1", &[("up", "", 1.0)]),
        ("up 1\r\n", &[("up", "", 1.0)]),
        ("up 1\r", &[("up", "", 1.0)]),
        (" \tup\t1 \t\n", &[("up", "", 1.0)]),
        ("up{} 1\n", &[("up", "", 1.0)]),
        ("up{ } 1\n", &[("up", " ", 1.0)]),
        ("up {} 1\n", &[("up", "", 1.0)]),
        ("up{}1\n", &[("up", "", 1.0)]),
        ("a:B_9 -1.5e3\n", &[("a:B_9", "", -1500.0)]),
        ("x{a=\"1\"} +Inf\n", &[("x", "a=\"1\"", f64::INFINITY)]),
        ("x{a=\"1\",} -Inf\n", &[("x", "a=\"1\",", f64::NEG_INFINITY)]),
        ("x{ a = \"1\" , b=\"\" , } Inf\n", &[("x", " a = \"1\" , b=\"\" , ", f64::INFINITY)]),
        ("x{a=\"\\\\\\\"\\n}, \"} 1\n", &[("x", "a=\"\\\\\\\"\\n}, \"", 1.0)]),
        ("x{a=\"ünï\"} 1\n", &[("x", "a=\"ünï\"", 1.0)]),
        ("x 1 1700000000000\nx{a=\"1\"} 2 -5\n", &[("x", "", 1.0), ("x", "a=\"1\"", 2.0)]),
        ("x 1 17 \r\n", &[("x", "", 1.0)]),
        ("# a comment\n#\n#x 1\n# HELPER x y\n# EOF\nx 1\n", &[("x", "", 1.0)]),
        ("# TYPE\n# TYPE x\n# HELP\n# HELP x\nx 1\n", &[("x", "", 1.0)]),
        ("a 1\nab 2\na 3\na{x=\"1\"} 4\n", &[("a", "", 1.0), ("ab", "", 2.0), ("a", "", 3.0), ("a", "x=\"1\"", 4.0)]),
        ("{\"my.metric\"} 1\n", &[("my.metric", "", 1.0)]),
        ("{ \"my.metric\" , \"my.label\" = \"x\" } 1\n", &[("my.metric", " \"my.label\" = \"x\" ", 1.0)]),
        ("{\"my.metric\",a=\"x\"} 1\n", &[("my.metric", "a=\"x\"", 1.0)]),
        ("x{\"a b\"=\"1\"} 1\n", &[("x", "\"a b\"=\"1\"", 1.0)]),
    ];
    for (body, expected) in cases {
        let expected: Vec<Plain> =
            expected.iter().map(|(name, labels, value)| ((*name).into(), (*labels).into(), *value)).collect();
        assert_eq!(samples(body.as_bytes()), Ok(expected), "{body:?}");
    }
}

#[test]
fn refuses_anything_else_and_says_where() {
    let cases: &[(&[u8], &str)] = &[
        (b"9x 1\n", "line 1: expected a metric name, got \"9x 1\""),
        (b"x 1\n\n=1\n", "line 3: expected a metric name, got \"=1\""),
        (b"{} 1\n", "line 1: expected a metric name in quotes, got \"} 1\""),
        (b"{\"\"} 1\n", "line 1: expected a metric name that is not empty, got \"\\\"\\\"} 1\""),
        (
            b"{\"a\" \"b\"=\"1\"} 1\n",
            "line 1: expected ',' or '}' after the metric name, got \"\\\"b\\\"=\\\"1\\\"} 1\"",
        ),
        (b"x\n", "line 1: expected a number, got end of line"),
        (b"x", "line 1: expected a number, got end of body"),
        (b"x abc\n", "line 1: expected a number, got \"abc\""),
        (b"x 0x10\n", "line 1: expected a number, got \"0x10\""),
        (b"x 1_000\n", "line 1: expected a number, got \"1_000\""),
        (b"x 1e400\n", "line 1: expected a number, got \"1e400\""),
        (b"x 1 1.5\n", "line 1: expected a timestamp in whole milliseconds, or the end of the line, got \"1.5\""),
        (b"x 1 2 3\n", "line 1: expected the end of the line, got \"3\""),
        (
            b"x 1 # {a=\"b\"} 1\n",
            "line 1: expected a timestamp in whole milliseconds, or the end of the line, got \"# {a=\\\"b\\\"} 1\"",
        ),
        (b"x 1\r2\n", "line 1: expected the end of the line, got \"\\r2\""),
        (b"x{a=\"1\" 1\n", "line 1: expected ',' or '}' after a label, got \"1\""),
        (b"x{a=\"1\"", "line 1: expected ',' or '}' after a label, got end of body"),
        (b"x{a\"1\"} 1\n", "line 1: expected '=' after a label name, got \"\\\"1\\\"} 1\""),
        (b"x{a=1} 1\n", "line 1: expected '\"' before a label value, got \"1} 1\""),
        (b"x{a=\"1} 1\ny 1\n", "line 1: expected '\"' at the end of a quoted string, got end of line"),
        (b"x{a=\"1", "line 1: expected '\"' at the end of a quoted string, got end of body"),
        (b"x{a=\"\\t\"} 1\n", "line 1: expected one of the escapes \\\\, \\\" and \\n, got \"\\\\t\\\"} 1\""),
        (b"x{,} 1\n", "line 1: expected a label name, got \",} 1\""),
        (b"x{a=\"1\",,} 1\n", "line 1: expected a label name, got \",} 1\""),
        (b"x{a:b=\"1\"} 1\n", "line 1: expected '=' after a label name, got \":b=\\\"1\\\"} 1\""),
        (b"x{\"\"=\"1\"} 1\n", "line 1: expected a label name that is not empty, got \"\\\"\\\"=\\\"1\\\"} 1\""),
        (
            b"x{__name__=\"y\"} 1\n",
            "line 1: expected a label name that does not begin with \"__\", got \"__name__=\\\"y\\\"} 1\"",
        ),
        (
            b"# TYPE x histogramm\n",
            "line 1: expected a type (counter, gauge, histogram, summary or untyped), got \"histogramm\"",
        ),
        (
            b"# TYPE a gauge_histogram\na 1\n",
            "line 1: expected a type (counter, gauge, histogram, summary or untyped), got \"gauge_histogram\"",
        ),
        (b"# TYPE 9 counter\n", "line 1: expected a metric name, got \"9 counter\""),
        (b"# TYPE a-b counter\n", "line 1: expected a blank after the metric name, got \"-b counter\""),
        (b"# HELP x a\\tb\n", "line 1: expected one of the escapes \\\\ and \\n, got \"\\\\tb\""),
        (b"x 1\n# HELP y \xff\n", "line 2: expected UTF-8, got byte 0xff"),
        (b"x{a=\"\xc3\"} 1\n", "line 1: expected UTF-8, got byte 0xc3"),
    ];
    for (body, expected) in cases {
        assert_eq!(samples(body), Err((*expected).to_owned()), "{:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn keeps_its_limits() {
    let limits =
        Limits { line_length: 40, labels: 2, name_length: 8, value_length: 10, samples: 3, ..Limits::default() };
    let cases = [
        ("x{a=\"1\",b=\"2\",c=\"3\"} 1\n", "line 1: expected at most 2 labels, got more"),
        ("# ok\nlong_name 1\n", "line 2: expected a metric name of at most 8 bytes, got 9"),
        ("# TYPE long_name gauge\n", "line 1: expected a metric name of at most 8 bytes, got 9"),
        ("x{long_name=\"1\"} 1\n", "line 1: expected a label name of at most 8 bytes, got 9"),
        ("x{a=\"12345678901\"} 1\n", "line 1: expected a label value of at most 10 bytes, got 11"),
        ("# a comment that goes on for more than the limit\n", "line 1: expected a line of at most 40 bytes, got 48"),
        ("x 1\nx 1\nx 1\nx 1\n", "line 4: expected at most 3 samples in a push, got more"),
    ];
    for (body, expected) in cases {
        let refused = decode(body.as_bytes(), &limits, &LabelHasher::new(), &mut Decoded::default())
            .map_err(|error| error.to_string());
        assert_eq!(refused, Err(expected.to_owned()));
    }
    assert!(decode(b"x{a=\"1\",b=\"2\"} 1\n", &limits, &LabelHasher::new(), &mut Decoded::default()).is_ok());
}

#[test]
fn reads_help_and_type() {
    let body = "# HELP x some \\\\ help  \n#\tTYPE x\tCounter \n# TYPE \"my.x\" unknown\n# HELP y\r\n";
    let mut decoded = Decoded::default();
    let text = decode(body.as_bytes(), &Limits::default(), &LabelHasher::new(), &mut decoded).expect("valid");
    let seen: Vec<String> = decoded
        .metadata
        .iter()
        .map(|metadata| {
            let name = metadata.name.text.of(text);
            match metadata.content {
                MetadataContent::Help(help) => format!("{}: {name} {:?}", metadata.name.place, help.of(text)),
                MetadataContent::Type(kind) => format!("{}: {name} {kind:?}", metadata.name.place),
            }
        })
        .collect();
    assert_eq!(seen, [r#"1: x "some \\\\ help  ""#, "2: x Counter", "3: my.x Untyped", r#"4: y """#]);
}

#[test]
fn tells_canonical_labels_from_others() {
    let cases = [
        ("x 1", true),
        ("x{} 1", true),
        (r#"x{a="1"} 1"#, true),
        (r#"x {a="1",ab="\n",b="3"} 1"#, true),
        (r#"x{b="1",a="2"} 1"#, false),
        (r#"x{ab="1",a="2"} 1"#, false),
        (r#"x{a="1",a="2"} 1"#, false),
        (r#"x{a="1",} 1"#, false),
        (r#"x{a="1", b="2"} 1"#, false),
        (r#"x{a ="1"} 1"#, false),
        (r#"x{a= "1"} 1"#, false),
        (r#"x{a="1" } 1"#, false),
        (r#"x{ } 1"#, false),
        (r#"x{a=""} 1"#, false),
        (r#"x{"a"="1"} 1"#, false),
        // Places of the name at hand, of another, of one too long to be remembered.
        (
            r#"x{a="1",b="2"} 1
x{a="1",b="2"} 1
x{a="1",c="2"} 1"#,
            true,
        ),
        (
            r#"x{a="1",b="2"} 1
x{b="1",b="2"} 1"#,
            false,
        ),
        (
            r#"x{a_name_of_sixteen_bytes="1"} 1
x{a_name_of_sixteen_bytes="1"} 1"#,
            true,
        ),
        ("x{a=\"1\"} 1\nx{ab=\"1\"} 1", true),
    ];
    for (body, expected) in cases {
        let mut decoded = Decoded::default();
        decode(body.as_bytes(), &Limits::default(), &LabelHasher::new(), &mut decoded).expect("valid");
        assert_eq!(decoded.samples.iter().all(|sample| sample.series.canonical_hash.is_some()), expected, "{body}");
    }
}

#[test]
fn counts_timestamps() {
    let mut decoded = Decoded::default();
    decode(b"x 1 5\ny 1\nz 1 6\n", &Limits::default(), &LabelHasher::new(), &mut decoded).expect("valid");
    assert_eq!(decoded.timestamps, 2);
}

/// Text with all that has a meaning in the format.
fn format_like() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just("x".to_owned()),
        Just("up_total".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("=".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just(",".to_owned()),
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("# TYPE ".to_owned()),
        Just("# HELP ".to_owned()),
        Just("counter".to_owned()),
        Just("1".to_owned()),
        Just("NaN".to_owned()),
        Just("a=\"b\"".to_owned()),
        Just("é".to_owned()),
    ];
    proptest::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = samples(&body);
    }

    #[test]
    fn no_text_like_the_format_makes_it_panic(body in format_like()) {
        let _ = samples(&body);
    }

    #[test]
    fn what_is_written_is_read(
        names in proptest::collection::vec("[a-zA-Z_:][a-zA-Z0-9_:]{0,6}", 1..6),
        labels in proptest::collection::btree_map("[a-z][a-z0-9_]{0,5}", "[^\"\\\\\n]{1,12}", 0..5),
        value in any::<f64>().prop_filter("comparable", |value| !value.is_nan()),
    ) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = labels.join(",");
        let body: String = names.iter().map(|name| format!("{name}{{{labels}}} {value:e}\n")).collect();
        let expected: Vec<Plain> = names.iter().map(|name| (name.clone(), labels.clone(), value)).collect();
        prop_assert_eq!(samples(body.as_bytes()), Ok(expected));
    }
}
