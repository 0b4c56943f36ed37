//! Which rule a series meets, against a naive twin; labels that stay; rules behind others.

use super::*;
use proptest::prelude::*;

/// A glob for the family, and pairs of label name and glob.
type Written<'a> = (&'a str, &'a [(&'a str, &'a str)]);

fn rule_set(written: &[Written<'_>]) -> RuleSet {
    let rule = |(index, (family, labels)): (usize, &Written<'_>)| {
        let mut rule = Rule::new(index + 1, family).expect("a good glob");
        for (name, value) in *labels {
            rule.match_label(name, value).expect("a good glob");
        }
        rule
    };
    RuleSet::new(written.iter().enumerate().map(rule).collect())
}

const RULES: &[Written<'_>] = &[
    ("http_*", &[("code", "5*"), ("method", "POST")]),
    ("http_*", &[("pod", "")]),
    ("http_re?uests_total", &[]),
    ("http_*", &[("code", "5*")]),
    ("*_seconds", &[("my.label", "a \"b\"\n*")]),
];

#[test]
fn the_first_rule_that_a_series_meets_is_its_rule() {
    let rules = rule_set(RULES);
    let cases = [
        ("http_errors", r#"code="500",method="POST",pod="a""#, Some(0)),
        ("http_errors", r#"code="500",method="POST""#, Some(0)),
        ("http_errors", r#"code="500",method="GET""#, Some(1)),
        ("http_errors", "", Some(1)),
        ("http_errors", r#"code="500",method="GET",pod="a""#, Some(3)),
        ("http_errors", r#"code="404",method="POST",pod="a""#, None),
        ("http_requests_total", r#"code="404",method="POST",pod="a""#, Some(2)),
        ("http_requests_total", r#"code="500",pod="a""#, Some(2)),
        ("http_requests", r#"pod="a""#, None),
        ("https_requests", "", None),
        ("x_seconds", r#""my.label"="a \"b\"\nc""#, Some(4)),
        ("x_seconds", r#""my.label"="a b""#, None),
        ("x_seconds", r#"my_label="a \"b\"\nc""#, None),
    ];
    for (family, labels, expected) in cases {
        let candidates = rules.candidates(family);
        assert_eq!(candidates.position(labels), expected, "{family}{{{labels}}}");
        let name = expected.map(|position| format!("rule {} ({:?})", position + 1, RULES[position].0));
        assert_eq!(candidates.choose(labels).map(|rule| rule.name.clone()), name);
        assert_eq!(expected.and_then(|position| rules.get(position)).map(|rule| rule.name.clone()), name);
    }
}

#[test]
fn candidates_end_with_the_first_rule_for_any_labels() {
    let rules = rule_set(RULES);
    for (family, positions, depends) in [
        ("http_requests_total", &[0, 1, 2][..], true),
        ("http_errors", &[0, 1, 3], true),
        ("x_seconds", &[4], true),
        ("other", &[], false),
    ] {
        let candidates = rules.candidates(family);
        assert_eq!(candidates.positions.as_slice(), positions, "{family}");
        assert_eq!((candidates.is_empty(), candidates.depends_on_labels()), (positions.is_empty(), depends));
    }
    let plain = rule_set(&[("a*", &[]), ("ab", &[("x", "y")])]);
    assert!(!plain.candidates("ab").depends_on_labels());
    assert_eq!(plain.candidates("ab").position(r#"x="y""#), Some(0));
}

#[test]
fn no_rules_are_for_nobody() {
    let rules = RuleSet::default();
    assert!(rules.is_empty() && rules.candidates("a").is_empty());
    assert_eq!(rules.candidates("a").position(""), None);
    assert!(rules.candidates("a").choose("").is_none());
}

#[test]
fn labels_are_filtered_by_name() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (filter, a, b) in [
        (LabelFilter::All, true, true),
        (LabelFilter::Drop(names(&["a", "c"])), false, true),
        (LabelFilter::Keep(names(&["a", "c"])), true, false),
        (LabelFilter::Drop(Vec::new()), true, true),
        (LabelFilter::Keep(Vec::new()), false, false),
    ] {
        assert_eq!((filter.keeps("a"), filter.keeps("b")), (a, b), "{filter:?}");
    }
}

#[test]
fn rules_are_told_in_words() {
    let rules = rule_set(RULES);
    let words: Vec<String> = rules.iter().map(Rule::met_by).collect();
    assert_eq!(words[0], "families \"http_*\", where code = \"5*\" and method = \"POST\"");
    assert_eq!(words[1], "families \"http_*\", where pod = \"\"");
    assert_eq!(words[2], "families \"http_re?uests_total\"");
}

#[test]
fn bad_globs_are_refused() {
    assert!(Rule::new(1, "").is_err());
}

#[test]
fn rules_behind_others_are_found() {
    // The earlier rule, the later one, and whether the later can never be met.
    let cases: &[(Written<'_>, Written<'_>, bool)] = &[
        (("a*", &[]), ("a*", &[]), true),
        (("a*", &[]), ("a*", &[("x", "1")]), true),
        (("*", &[]), ("a?c*", &[]), true),
        (("a*", &[]), ("ab*", &[]), true),
        (("a*c", &[]), ("a?c", &[]), true),
        (("a?c", &[]), ("abc", &[]), true),
        (("a?c", &[]), ("a?c", &[]), true),
        (("a?c", &[]), ("a*c", &[]), false),
        (("ab*", &[]), ("a*", &[]), false),
        (("a*", &[("x", "1")]), ("a*", &[]), false),
        (("a*", &[("x", "*")]), ("a*", &[]), true),
        (("a*", &[("x", "1*")]), ("a*", &[("x", "12"), ("y", "")]), true),
        (("a*", &[("x", "1*")]), ("a*", &[("y", "12")]), false),
        (("a*", &[("x", "")]), ("a*", &[("x", "")]), true),
        (("a*", &[("x", "")]), ("a*", &[("x", "*")]), false),
        (("a*", &[("x", "?*")]), ("a*", &[("x", "")]), false),
    ];
    for (earlier, later, expected) in cases {
        let rules = rule_set(&[*earlier, *later]);
        assert_eq!(!rules.shadowed().is_empty(), *expected, "{earlier:?} before {later:?}");
    }
    let rules = rule_set(&[("a", &[]), ("b*", &[]), ("bc", &[])]);
    let names: Vec<_> = rules.shadowed().iter().map(|(later, earlier)| (&*later.name, &*earlier.name)).collect();
    assert_eq!(names, [("rule 3 (\"bc\")", "rule 2 (\"b*\")")]);
}

/// The rule by the definition alone: every rule is tried, in order, on labels in a list.
fn naive_position(
    written: &[(String, Vec<(String, String)>)],
    family: &str,
    labels: &[(String, String)],
) -> Option<usize> {
    let value = |name: &str| labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value);
    written.iter().position(|(pattern, matchers)| {
        naive_match(pattern, family) && matchers.iter().all(|(name, pattern)| naive_match(pattern, value(name)))
    })
}

fn naive_match(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return text.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    let behind = |text: &str| text.chars().next().map(|character| text[character.len_utf8()..].to_owned());
    match first {
        '*' => naive_match(rest, text) || behind(text).is_some_and(|text| naive_match(pattern, &text)),
        '?' => behind(text).is_some_and(|text| naive_match(rest, &text)),
        literal => text.starts_with(literal) && behind(text).is_some_and(|text| naive_match(rest, &text)),
    }
}

fn written_rules() -> impl Strategy<Value = Vec<(String, Vec<(String, String)>)>> {
    let labels = proptest::collection::vec(("[xy]", "[12*?]{0,2}"), 0..3);
    proptest::collection::vec(("[ab*?]{1,4}", labels), 0..6)
}

fn built(written: &[(String, Vec<(String, String)>)]) -> RuleSet {
    let rules = written.iter().enumerate().map(|(index, (family, labels))| {
        let mut rule = Rule::new(index + 1, family).expect("a good glob");
        for (name, value) in labels {
            rule.match_label(name, value).expect("a good glob");
        }
        rule
    });
    RuleSet::new(rules.collect())
}

fn label_sets() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::btree_map("[xyz]", "[12]{1,2}", 0..3).prop_map(|labels| labels.into_iter().collect())
}

fn canonical(labels: &[(String, String)]) -> String {
    labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect::<Vec<_>>().join(",")
}

proptest! {
    #[test]
    fn the_rule_is_that_of_the_definition(written in written_rules(), family in "[ab]{1,4}", labels in label_sets()) {
        let rules = built(&written);
        let candidates = rules.candidates(&family);
        let expected = naive_position(&written, &family, &labels);
        prop_assert_eq!(candidates.position(&canonical(&labels)), expected);
        if !candidates.depends_on_labels() {
            prop_assert_eq!(candidates.position(""), expected);
        }
    }

    #[test]
    fn a_shadowed_rule_is_never_met(written in written_rules(), family in "[ab]{1,4}", labels in label_sets()) {
        let rules = built(&written);
        if let Some(rule) = rules.candidates(&family).choose(&canonical(&labels)) {
            prop_assert!(rules.shadowed().iter().all(|(shadowed, _)| shadowed.name != rule.name));
        }
    }
}
