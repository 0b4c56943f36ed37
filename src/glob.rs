//! Patterns of whole names, as rules give them: `*` is any run of characters, also none, and `?` is one character. All others are
//! themselves, and nothing is escaped.

use std::str::{Chars, FromStr};

/// A pattern of whole names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: Box<str>,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// There is none.
    #[error("expected a name, in which * and ? stand for others, got nothing")]
    Empty,
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() { Err(GlobError::Empty) } else { Ok(Self { pattern: pattern.into() }) }
    }
}

impl Glob {
    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern is that of the whole name. Takes at most the product of both lengths: what a `*` took is only ever
    /// changed for the last one passed, as those before took the least that they can.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.pattern.chars(), name.chars());
        // What follows the last `*`, in the pattern and in the name.
        let mut behind_star: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            match (pattern.next(), rest.clone().next()) {
                (None, None) => return true,
                (Some('*'), _) => behind_star = Some((pattern.clone(), rest.clone())),
                (Some(_), None) => return false,
                (Some(expected), Some(got)) if expected == '?' || expected == got => {
                    rest.next();
                }
                _ => {
                    let Some((pattern_behind, name_behind)) = &mut behind_star else { return false };
                    name_behind.next();
                    (pattern, rest) = (pattern_behind.clone(), name_behind.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<Glob>().expect("not empty").matches(name)
    }

    #[test]
    fn patterns_are_of_whole_names() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("a", &["a"], &["", "b", "aa", "A"]),
            ("*", &["", "a", "aé\n"], &[]),
            ("?", &["a", "é", "*"], &["", "ab"]),
            ("http_*", &["http_", "http_x"], &["http", "xhttp_"]),
            ("*_total", &["_total", "a_total", "a_total_total"], &["total", "a_total_"]),
            ("*a*b", &["ab", "xaxb", "abab", "aabb"], &["ba", "aba"]),
            ("a*b?c*", &["abxc", "abbbxcd", "abcbdc"], &["abc", "abxd", "xabxc"]),
            ("**", &["", "ab"], &[]),
            ("?*?", &["ab", "abc"], &["", "a"]),
            ("a.c[d]", &["a.c[d]"], &["abcd", "a.cd"]),
        ];
        for (pattern, good, bad) in cases {
            for name in *good {
                assert!(matches(pattern, name), "{pattern} of {name}");
            }
            for name in *bad {
                assert!(!matches(pattern, name), "{pattern} not of {name}");
            }
        }
    }

    #[test]
    fn an_empty_pattern_is_refused() {
        let error = "".parse::<Glob>().map_err(|error| error.to_string());
        assert_eq!(error, Err("expected a name, in which * and ? stand for others, got nothing".to_owned()));
        assert_eq!("a*".parse::<Glob>().expect("not empty").as_str(), "a*");
    }

    /// A matcher that tries every run for every `*` would not come back from this.
    #[test]
    fn many_stars_are_no_more_work_than_their_number() {
        assert!(!matches(&"a*".repeat(200), &format!("{}b", "a".repeat(199))));
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &"a".repeat(5000)));
        assert!(matches(&format!("{}b", "*a".repeat(200)), &format!("{}b", "a".repeat(5000))));
    }

    fn matches_naively(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', behind)), None) => matches_naively(behind, name),
            (Some(('*', behind)), Some((_, rest))) => matches_naively(behind, name) || matches_naively(pattern, rest),
            (Some((expected, behind)), Some((got, rest))) => {
                (*expected == '?' || expected == got) && matches_naively(behind, rest)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_their_definition(pattern in "[ab?*é]{1,8}", name in "[abé]{0,8}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = matches_naively(&characters(&pattern), &characters(&name));
            prop_assert_eq!(matches(&pattern, &name), expected, "{} of {}", pattern, name);
        }

        #[test]
        fn a_name_is_a_pattern_of_itself(name in any::<String>().prop_filter("not empty", |name| !name.is_empty())) {
            prop_assert!(matches(&name, &name));
            prop_assert!(matches(&"?".repeat(name.chars().count()), &name));
        }
    }
}
