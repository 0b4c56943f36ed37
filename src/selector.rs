//! Series selectors as Prometheus has them in `match[]` parameters: `name`, `name{label="value",…}` or `{…}`, with the operators
//! `=`, `!=`, `=~` and `!~`. A label that a series lacks has the empty value.
//!
//! Regular expressions are those of the `regex` crate, which are nearly RE2's: in linear time, of the whole value, `.` takes line ends
//! too. A literal `{` needs a backslash, though, and `\d`, `\s`, `\w` and `\b` know all of Unicode.

mod parse;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use crate::model::labels::{Labels, escape_value, unescape};
use crate::model::name::is_legacy_label_name;
use parse::Reader;

/// The label that the metric name passes for.
const NAME_LABEL: &str = "__name__";

/// Matchers of one selector; with [`MOST_REGEX_BYTES`], a bound on its memory.
const MOST_MATCHERS: usize = 64;

/// Size of one compiled regular expression.
const MOST_REGEX_BYTES: usize = 1 << 20;

/// What is wrong with a selector or a matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text is no selector.
    #[error("expected {expected}, got {got} at character {at}")]
    Syntax {
        /// What could have stood there.
        expected: &'static str,
        /// What stood there: the beginning of the rest, in quotes.
        got: String,
        /// Where, counted from 1.
        at: usize,
    },
    /// An expression that cannot be read.
    #[error("expected a regular expression, got {pattern:?}: {reason}")]
    Regex {
        /// The expression; of a long one the beginning.
        pattern: String,
        /// What the parser says.
        reason: String,
    },
    /// An expression that is too large when compiled.
    #[error(
        "expected a regular expression of at most {MOST_REGEX_BYTES} bytes when compiled, got {0:?}, which needs more"
    )]
    LargeRegex(String),
    /// More matchers than anyone needs.
    #[error("expected at most {MOST_MATCHERS} matchers, got more")]
    TooMany,
    /// The metric name stands before the braces or in quotes within, and once more.
    #[error("expected the metric name once, got {0:?} and {1:?}")]
    NameTwice(String, String),
    /// The selector would select series for what they lack, in most cases all of them.
    #[error("expected at least one matcher that does not match the empty string, got none")]
    MatchesEmpty,
}

/// Which values a matcher takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOperator {
    /// `=`: the value.
    Equal,
    /// `!=`: any other value.
    NotEqual,
    /// `=~`: values that the expression describes as a whole.
    Matches,
    /// `!~`: any other value.
    MatchesNot,
}

impl MatchOperator {
    const ALL: [Self; 4] = [Self::Matches, Self::MatchesNot, Self::NotEqual, Self::Equal];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }

    fn is_negated(self) -> bool {
        matches!(self, Self::NotEqual | Self::MatchesNot)
    }

    fn is_regex(self) -> bool {
        matches!(self, Self::Matches | Self::MatchesNot)
    }
}

/// A condition on the value of one label.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    name: String,
    operator: MatchOperator,
    value: String,
    /// The compiled value, if it is an expression.
    regex: Option<Regex>,
}

impl LabelMatcher {
    /// A matcher of the label with this plain name; `value` may be an expression.
    ///
    /// # Errors
    /// If the operator asks for an expression, and the value is none or too large a one.
    pub fn new(name: String, operator: MatchOperator, value: String) -> Result<Self, SelectorError> {
        let regex = if operator.is_regex() { Some(whole_regex(&value)?) } else { None };
        Ok(Self { name, operator, value, regex })
    }

    /// Reads one matcher, such as `code=~"5.."`, as it stands between the braces of a selector.
    ///
    /// # Errors
    /// If the text is anything else.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut reader = Reader::new(text);
        reader.skip_blanks();
        let name = reader.label_name()?;
        let matcher = reader.condition(name)?;
        reader.end("the end of the matcher")?;
        Ok(matcher)
    }

    /// The label's name, plain.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the label's value is compared.
    pub fn operator(&self) -> MatchOperator {
        self.operator
    }

    /// What it is compared with: a text, or an expression as it was given.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether the label may have this value; empty if there is no such label.
    pub fn matches(&self, value: &str) -> bool {
        let is_like = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        };
        is_like != self.operator.is_negated()
    }
}

impl PartialEq for LabelMatcher {
    fn eq(&self, other: &Self) -> bool {
        // The compiled expression follows from the others.
        (&self.name, self.operator, &self.value) == (&other.name, other.operator, &other.value)
    }
}

impl Eq for LabelMatcher {}

/// As it can be read again.
impl fmt::Display for LabelMatcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quotes = if is_legacy_label_name(&self.name) { "" } else { "\"" };
        let (name, value) = (escape_value(&self.name), escape_value(&self.value));
        write!(formatter, "{quotes}{name}{quotes}{}\"{value}\"", self.operator.as_str())
    }
}

/// Compiles an expression of whole values.
fn whole_regex(pattern: &str) -> Result<Regex, SelectorError> {
    let compile = |pattern: &str| {
        RegexBuilder::new(pattern).size_limit(MOST_REGEX_BYTES).dfa_size_limit(MOST_REGEX_BYTES).build()
    };
    // On its own first: `a)|(b` would be an expression between other parentheses.
    compile(pattern).and_then(|_| compile(&format!("^(?s:{pattern})$"))).map_err(|error| {
        let pattern = pattern.chars().take(parse::MOST_SHOWN).collect();
        match error {
            regex::Error::CompiledTooBig(_) => SelectorError::LargeRegex(pattern),
            other => SelectorError::Regex { pattern, reason: reason(&other) },
        }
    })
}

/// The last line of the message; those before it show the expression.
fn reason(error: &regex::Error) -> String {
    let message = error.to_string();
    let last = message.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Which series are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    matchers: Vec<LabelMatcher>,
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let matchers = Reader::new(text).selector()?;
        if matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(SelectorError::MatchesEmpty);
        }
        Ok(Self { matchers })
    }
}

impl Selector {
    /// The conditions, all of which hold; the metric name is that of the label `__name__`.
    pub fn matchers(&self) -> &[LabelMatcher] {
        &self.matchers
    }

    /// Whether a series of this plain name is meant. `label` gives the value of a label by its plain name, without escapes; empty if
    /// there is none.
    pub fn matches<'a>(&self, name: &str, label: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.matchers.iter().all(|matcher| match matcher.name.as_str() {
            NAME_LABEL => matcher.matches(name),
            other => matcher.matches(&label(other)),
        })
    }

    /// Whether a series of this plain name is meant, whose labels are in canonical text.
    pub fn matches_series(&self, name: &str, labels: &str) -> bool {
        self.matches(name, |wanted| {
            let label = Labels::new(labels).find(|label| label.plain_name() == wanted);
            label.map_or(Cow::Borrowed(""), |label| unescape(label.value))
        })
    }
}

#[cfg(test)]
mod tests;
