use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn selector(text: &str) -> Result<Selector, String> {
    text.parse::<Selector>().map_err(|error| error.to_string())
}

fn shown(selector: &Selector) -> String {
    selector.matchers().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[test]
fn selectors_are_read() {
    let cases = [
        ("up", r#"__name__="up""#),
        (" up ", r#"__name__="up""#),
        ("job:up:sum", r#"__name__="job:up:sum""#),
        ("up{}", r#"__name__="up""#),
        ("up { }", r#"__name__="up""#),
        (r#"up{a="b"}"#, r#"__name__="up",a="b""#),
        (r#"up{a="b",}"#, r#"__name__="up",a="b""#),
        ("up\n{\ta = \"b\" , c\r!= 'd' , }\n", r#"__name__="up",a="b",c!="d""#),
        (r#"{a="b",c!="d",e=~"f",g!~"h"}"#, r#"a="b",c!="d",e=~"f",g!~"h""#),
        (r#"{a="b",a!="c"}"#, r#"a="b",a!="c""#),
        (r#"{__name__="up"}"#, r#"__name__="up""#),
        (r#"{__name__=~"u.*",__name__!="up"}"#, r#"__name__=~"u.*",__name__!="up""#),
        (r#"{"up.time"}"#, r#"__name__="up.time""#),
        (r#"{"up.time",}"#, r#"__name__="up.time""#),
        (r#"{"up.time", a="b"}"#, r#"__name__="up.time",a="b""#),
        (r#"{a="b", 'up.time'}"#, r#"__name__="up.time",a="b""#),
        (r#"{"a.b"="c", "d"="e", `f g`="h"}"#, r#""a.b"="c",d="e","f g"="h""#),
        (r#"up{"a\"b"="c"}"#, r#"__name__="up","a\"b"="c""#),
        (r#"{a='"b"'}"#, r#"a="\"b\"""#),
        ("{a=`\\d\n\"'`}", r#"a="\\d\n\"'""#),
        (r#"{a="\a\b\f\n\r\t\v\\\""}"#, "a=\"\x07\x08\x0c\\n\r\t\x0b\\\\\\\"\""),
        (r#"{a='\'\x41\101\u00e9\U0001f600\xc3\xa9'}"#, "a=\"'AAé😀é\""),
        (r#"{a="é😀"}"#, r#"a="é😀""#),
        (r#"{a=~"\\d{2}"}"#, r#"a=~"\\d{2}""#),
        (r#"{bool="x",on="y",by="z"}"#, r#"bool="x",on="y",by="z""#),
        (r#"on{a=""}"#, r#"__name__="on",a="""#),
    ];
    for (text, expected) in cases {
        let read = selector(text);
        assert_eq!(read.as_ref().map(shown).as_deref(), Ok(expected), "{text}");
        assert_eq!(selector(&format!("{{{expected}}}")), read, "{expected}");
    }
}

#[test]
fn other_texts_are_refused_with_one_line() {
    let cases = [
        ("", "expected a metric name or {, got the end at character 1"),
        ("5xx", "expected a metric name or {, got \"5xx\" at character 1"),
        ("a.b", "expected the end of the selector, got \".b\" at character 2"),
        ("up[5m]", "expected the end of the selector, got \"[5m]\" at character 3"),
        (r#"up{a="b"} offset 5m"#, "expected the end of the selector, got \"offset 5m\" at character 11"),
        ("\"up\"", r#"expected a metric name or {, got "\"up\"" at character 1"#),
        ("up{", "expected a label name, got the end at character 4"),
        ("up{,}", "expected a label name, got \",}\" at character 4"),
        ("up{a", "expected =, !=, =~ or !~, got the end at character 5"),
        ("up{a}", "expected =, !=, =~ or !~, got \"}\" at character 5"),
        ("up{a:b=\"c\"}", r#"expected =, !=, =~ or !~, got ":b=\"c\"}" at character 5"#),
        ("up{a=", "expected a value in quotes, got the end at character 6"),
        ("up{a=b}", "expected a value in quotes, got \"b}\" at character 6"),
        ("up{a==\"b\"}", r#"expected a value in quotes, got "=\"b\"}" at character 6"#),
        ("up{a=\"b\"", "expected a comma or }, got the end at character 9"),
        ("up{a=\"b\" c=\"d\"}", r#"expected a comma or }, got "c=\"d\"}" at character 10"#),
        ("up{a=\"b\",,}", "expected a label name, got \",}\" at character 10"),
        ("up{é=\"b\"}", r#"expected a label name, got "é=\"b\"}" at character 4"#),
        ("{\"é\"=\"b}", r#"expected a closing quote for what opens, got "\"b}" at character 6"#),
        ("{a=`b", "expected a closing quote for what opens, got \"`b\" at character 4"),
        ("{a=\"b\n\"}", r#"expected a closing quote or \n, got "\n\"}" at character 6"#),
        ("{\"\"=\"b\"}", r#"expected a label name that is not empty before this, got "=\"b\"}" at character 4"#),
        (r#"{a="\d"}"#, r#"expected an escape that Go knows, got "\\d\"}" at character 5"#),
        (r#"{a="\'"}"#, r#"expected an escape that Go knows, got "\\'\"}" at character 5"#),
        (r#"{a="\x4"}"#, r#"expected an escape with all its digits, got "\\x4\"}" at character 5"#),
        (r#"{a="\u+123"}"#, r#"expected an escape with all its digits, got "\\u+123\"}" at character 5"#),
        (r#"{a="\08"}"#, r#"expected an escape with all its digits, got "\\08\"}" at character 5"#),
        (r#"{a="\400"}"#, r#"expected an escape of at most \377, got "\\400\"}" at character 5"#),
        (r#"{a="\ud800"}"#, r#"expected an escape of a character, got "\\ud800\"}" at character 5"#),
        (r#"{a="\xff"}"#, r#"expected escapes that give UTF-8, got "\"\\xff\"}" at character 4"#),
        (r#"{a=~"(b"}"#, r#"expected a regular expression, got "(b": unclosed group"#),
        (r#"{a=~"b)|(c"}"#, r#"expected a regular expression, got "b)|(c": unopened group"#),
        (r#"{a!~"*"}"#, r#"expected a regular expression, got "*": repetition operator missing expression"#),
        (
            r#"{a=~"(?:\\w{100}){100}"}"#,
            r#"expected a regular expression of at most 1048576 bytes when compiled, got "(?:\\w{100}){100}", which needs more"#,
        ),
        (r#"up{__name__="down"}"#, "expected the metric name once, got \"up\" and \"down\""),
        (r#"{"up",__name__="up"}"#, "expected the metric name once, got \"up\" and \"up\""),
        (r#"{__name__="up","down"}"#, "expected the metric name once, got \"down\" and \"up\""),
        (r#"up{"down"}"#, "expected the metric name once, got \"up\" and \"down\""),
        (r#"{"up","down"}"#, "expected the metric name once, got \"up\" and \"down\""),
        ("{}", "expected at least one matcher that does not match the empty string, got none"),
        (r#"{""}"#, "expected at least one matcher that does not match the empty string, got none"),
        (r#"{a=""}"#, "expected at least one matcher that does not match the empty string, got none"),
        (
            r#"{a!="b",c=~".*",d!~"e",f=~"|g"}"#,
            "expected at least one matcher that does not match the empty string, got none",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(selector(text), Err(expected.to_owned()), "{text}");
    }
    let many = |number: usize| selector(&format!("{{{}}}", "a=\"b\",".repeat(number))).map(|_| ());
    assert_eq!(many(MOST_MATCHERS), Ok(()));
    assert_eq!(many(MOST_MATCHERS + 1), Err("expected at most 64 matchers, got more".to_owned()));
    let long = selector(&"é".repeat(1000)).map_err(|error| error.len());
    assert!(long.is_err_and(|length| length < 150));
}

#[test]
fn a_matcher_stands_alone() {
    let cases = [
        (r#"code=~"5..""#, Ok(r#"code=~"5..""#)),
        (r#" "a b" != 'c' "#, Ok(r#""a b"!="c""#)),
        (r#"a="""#, Ok(r#"a="""#)),
        ("", Err("expected a label name, got the end at character 1")),
        (r#"a="b","#, Err("expected the end of the matcher, got \",\" at character 6")),
        (r#"{a="b"}"#, Err(r#"expected a label name, got "{a=\"b\"}" at character 1"#)),
        ("\"a\"", Err("expected =, !=, =~ or !~, got the end at character 4")),
    ];
    for (text, expected) in cases {
        let read = LabelMatcher::parse(text).map(|matcher| matcher.to_string()).map_err(|error| error.to_string());
        assert_eq!(read.as_deref(), expected.map_err(str::to_owned).as_ref().map(|text| *text), "{text}");
    }
    let matcher = LabelMatcher::parse(r#""a.b"!~"c""#).expect("a matcher");
    assert_eq!((matcher.name(), matcher.operator(), matcher.value()), ("a.b", MatchOperator::MatchesNot, "c"));
}

#[test]
fn matchers_match_whole_values() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (r#"a="b""#, &["b"], &["", "B", "bb"]),
        (r#"a!="b""#, &["", "bb"], &["b"]),
        (r#"a="""#, &[""], &["b"]),
        (r#"a=~"b|cd""#, &["b", "cd"], &["", "bd", "xb", "cdx", "b\n"]),
        (r#"a!~"b|cd""#, &["", "bd"], &["b", "cd"]),
        (r#"a=~"b.*""#, &["b", "b\nc", "bé"], &["ab", "\nb"]),
        (r#"a=~"""#, &[""], &["b"]),
        (r#"a=~"b?""#, &["", "b"], &["bb"]),
        (r#"a=~"(?i)é+""#, &["É", "éÉ"], &["e"]),
        (r#"a=~"\\pL\\p{Greek}\\p{Lu}""#, &["aαA", "ΩΩΩ"], &["aaA", "1αA", "aαa"]),
        (r#"a=~"\\w+\\d\\b.""#, &["é٣ "], &["é٣٣"]),
        (r#"a=~".""#, &["a", "é", "😀", "\n"], &["", "ab"]),
        (r#"a=~"[^/]+""#, &["x", "x\ny"], &["x/y"]),
        (r#"a=~"^b$""#, &["b"], &["\nb", "b\n"]),
        (r#"a=~"(?m)^b$""#, &["b"], &["\nb", "b\n"]),
    ];
    for (matcher, good, bad) in cases {
        let parsed = LabelMatcher::parse(matcher).expect("a matcher");
        for value in *good {
            assert!(parsed.matches(value), "{matcher} of {value:?}");
        }
        for value in *bad {
            assert!(!parsed.matches(value), "{matcher} not of {value:?}");
        }
    }
}

#[test]
fn series_are_selected_by_name_and_canonical_labels() {
    let labels = r#""a.b"="c",path="x\"y\\z\n",zone="é""#;
    let cases = [
        ("up", true),
        ("down", false),
        (r#"{"up"}"#, true),
        (r#"{__name__=~"u."}"#, true),
        (r#"{__name__!~"u.",zone="é"}"#, false),
        (r#"{"a.b"="c"}"#, true),
        (r#"{"a.b"="c","up"}"#, true),
        (r#"{a_b="c"}"#, false),
        (r#"up{zone="é",path="x\"y\\z\n"}"#, true),
        ("up{path=`x\"y\\z\n`}", true),
        (r#"up{zone="e"}"#, false),
        (r#"up{zone!="é"}"#, false),
        (r#"up{none=""}"#, true),
        (r#"up{none!="x",none!~".+",none=~".*"}"#, true),
        (r#"up{none!=""}"#, false),
        (r#"up{none=~".+"}"#, false),
    ];
    for (text, expected) in cases {
        assert_eq!(selector(text).expect("a selector").matches_series("up", labels), expected, "{text}");
    }
    assert!(selector("up").expect("a selector").matches_series("up", ""));
}

proptest! {
    #[test]
    fn equality_is_as_a_naive_reader_tells(
        conditions in vec(("[ab\\.]", any::<bool>(), "[xy\"\\\\\n]{0,2}"), 1..5),
        labels in btree_map("[ab\\.]", "[xy\"\\\\\n]{1,2}", 0..4),
    ) {
        let operator = |is_equal| if is_equal { MatchOperator::Equal } else { MatchOperator::NotEqual };
        let matchers = conditions.iter().map(|(name, is_equal, value)| {
            LabelMatcher::new(name.clone(), operator(*is_equal), value.clone()).expect("no expression").to_string()
        });
        let text = format!("up{{{}}}", matchers.collect::<Vec<_>>().join(","));
        let value = |name: &String| labels.get(name).cloned().unwrap_or_default();
        let expected = conditions.iter().all(|(name, is_equal, wanted)| (value(name) == *wanted) == *is_equal);
        let selector = selector(&text).expect("a selector");
        prop_assert_eq!(selector.matches("up", |name| Cow::Owned(value(&name.to_owned()))), expected, "{}", text);
        // Bytewise ascending, `.` in quotes is first, as in canonical text.
        let canonical = labels.iter().map(|(name, value)| {
            let quotes = if is_legacy_label_name(name) { "" } else { "\"" };
            format!("{quotes}{name}{quotes}=\"{}\"", escape_value(value))
        });
        let canonical = canonical.collect::<Vec<_>>().join(",");
        prop_assert_eq!(selector.matches_series("up", &canonical), expected, "{} of {}", text, canonical);
        prop_assert!(!selector.matches_series("down", &canonical));
    }

    #[test]
    fn what_is_shown_is_read_again(name in "\\PC{1,6}", value in any::<String>(), is_equal in any::<bool>()) {
        let operator = if is_equal { MatchOperator::Equal } else { MatchOperator::NotEqual };
        let matcher = LabelMatcher::new(name, operator, value).expect("no expression");
        prop_assert_eq!(LabelMatcher::parse(&matcher.to_string()), Ok(matcher));
    }

    #[test]
    fn quoted_expressions_match_themselves(value in any::<String>()) {
        let pattern = regex::escape(&value);
        let matcher = LabelMatcher::new("a".to_owned(), MatchOperator::Matches, pattern).expect("an expression");
        prop_assert!(matcher.matches(&value));
    }

    #[test]
    fn any_text_is_read_or_refused_with_one_short_line(text in "[a{}\"'`\\\\=!~, \nxuU08é(|)*]{0,30}") {
        if let Err(error) = selector(&text) {
            prop_assert!(error.len() < 300 && !error.contains('\n'), "{}", error);
        }
    }
}
