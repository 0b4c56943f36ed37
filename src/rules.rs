//! The rules of the configuration file: which series they are for, and what is done with those. Pure: text in, answers out.
//!
//! A rule is met by families whose name its glob fits, and by those of their series whose labels fit its matchers. The first
//! rule of the file that a series meets is the only one for it. A push asks [`RuleSet::candidates`] once for each family, and
//! [`Candidates::position`] for each series only if [`Candidates::depends_on_labels`].

mod cover;

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::glob::{Glob, GlobError};
use crate::model::labels::{Labels, unescape};
use crate::model::value::{GaugePolicy, Millis};

/// The rules in the file's order; the first that a series meets is its rule. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Arc<[Rule]>,
}

/// What is done with the series that meet it. What is not said is as without a rule.
#[derive(Debug)]
pub struct Rule {
    /// For messages: `rule 2 ("http_*")`.
    pub name: String,
    /// What a gauge shows, through whichever door.
    pub gauge: Option<GaugePolicy>,
    /// How long `min`, `max`, `mean` and quantiles look back.
    pub window: Option<Millis>,
    /// Which quantiles summaries of observations show; ascending.
    pub quantiles: Option<Arc<[f64]>>,
    /// Which labels stay.
    pub labels: LabelFilter,
    /// Whether the series are dropped.
    pub drops: bool,
    /// How long a series stays after its last push.
    pub ttl: Option<Millis>,
    /// How many series of a family may be stored.
    pub max_series: Option<usize>,
    matcher: SeriesMatcher,
}

/// Which labels of a series stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LabelFilter {
    /// All.
    #[default]
    All,
    /// All but these.
    Drop(Vec<String>),
    /// These alone.
    Keep(Vec<String>),
}

impl LabelFilter {
    /// Whether a label of this name, which is plain, stays.
    pub fn keeps(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Drop(names) => names.iter().all(|dropped| dropped != name),
            Self::Keep(names) => names.iter().any(|kept| kept == name),
        }
    }
}

/// Which series meet a rule.
#[derive(Debug)]
struct SeriesMatcher {
    family: Glob,
    labels: Vec<LabelMatcher>,
}

/// What a label's value must be.
#[derive(Debug)]
struct LabelMatcher {
    name: String,
    /// None for the empty value, which a missing label has.
    value: Option<Glob>,
}

impl LabelMatcher {
    fn is_met(&self, labels: &str) -> bool {
        let label = Labels::new(labels).find(|label| label.plain_name() == self.name);
        let value = label.map(|label| unescape(label.value)).unwrap_or_default();
        match &self.value {
            Some(glob) => glob.matches(&value),
            None => value.is_empty(),
        }
    }
}

impl SeriesMatcher {
    fn is_met(&self, labels: &str) -> bool {
        self.labels.iter().all(|matcher| matcher.is_met(labels))
    }
}

impl fmt::Display for SeriesMatcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "families {:?}", self.family.as_str())?;
        for (index, LabelMatcher { name, value }) in self.labels.iter().enumerate() {
            let value = value.as_ref().map_or("", Glob::as_str);
            write!(formatter, "{} {name} = {value:?}", if index == 0 { ", where" } else { " and" })?;
        }
        Ok(())
    }
}

impl Rule {
    /// The rule of this number, counted from 1, that changes nothing yet.
    ///
    /// # Errors
    /// What is wrong with the glob.
    pub fn new(number: usize, family: &str) -> Result<Self, GlobError> {
        let matcher = SeriesMatcher { family: family.parse()?, labels: Vec::new() };
        Ok(Self {
            name: format!("rule {number} ({family:?})"),
            gauge: None,
            window: None,
            quantiles: None,
            labels: LabelFilter::All,
            drops: false,
            ttl: None,
            max_series: None,
            matcher,
        })
    }

    /// Asks for a label, too: its value must fit a glob, or be missing or empty if `value` is empty.
    ///
    /// # Errors
    /// What is wrong with the glob.
    pub fn match_label(&mut self, name: &str, value: &str) -> Result<(), GlobError> {
        let value = if value.is_empty() { None } else { Some(value.parse()?) };
        self.matcher.labels.push(LabelMatcher { name: name.to_owned(), value });
        Ok(())
    }

    /// Which series meet it, in words.
    pub fn met_by(&self) -> String {
        self.matcher.to_string()
    }

    /// Whether every series that meets `other` meets this one, as far as can be told from the globs.
    fn covers(&self, other: &Self) -> bool {
        cover::covers(&self.matcher, &other.matcher)
    }
}

impl RuleSet {
    /// Rules in the file's order.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules: rules.into() }
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// In the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The rule at a position that [`Candidates::position`] told.
    pub fn get(&self, position: usize) -> Option<&Rule> {
        self.rules.get(position)
    }

    /// The rules that series of a family may meet: those whose glob fits its name, up to and including the first without
    /// label matchers, behind which none is reached.
    pub fn candidates(&self, family: &str) -> Candidates<'_> {
        let mut positions = SmallVec::new();
        for (position, rule) in self.rules.iter().enumerate() {
            if rule.matcher.family.matches(family) {
                positions.push(position);
                if rule.matcher.labels.is_empty() {
                    break;
                }
            }
        }
        Candidates { rules: &self.rules, positions }
    }

    /// Each rule that no series can meet, with the earlier one that takes all of its series. Not all such rules are found.
    pub fn shadowed(&self) -> Vec<(&Rule, &Rule)> {
        let covering = |(position, rule)| {
            let earlier: &[Rule] = &self.rules[..position];
            earlier.iter().find(|earlier| earlier.covers(rule)).map(|earlier| (rule, earlier))
        };
        self.rules.iter().enumerate().filter_map(covering).collect()
    }
}

/// The rules that series of one family may meet.
#[derive(Clone, Debug)]
pub struct Candidates<'r> {
    rules: &'r [Rule],
    /// Ascending.
    positions: SmallVec<[usize; 4]>,
}

impl<'r> Candidates<'r> {
    /// Whether no series of the family meets a rule.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Whether series of the family may differ in their rule. If not, [`Self::position`] is the same for any labels.
    pub fn depends_on_labels(&self) -> bool {
        self.iter().any(|(_, rule)| !rule.matcher.labels.is_empty())
    }

    /// The position among all rules of the one that a series meets. `labels` is canonical label text.
    pub fn position(&self, labels: &str) -> Option<usize> {
        self.iter().find(|(_, rule)| rule.matcher.is_met(labels)).map(|(position, _)| position)
    }

    /// The rule that a series meets. `labels` is canonical label text.
    pub fn choose(&self, labels: &str) -> Option<&'r Rule> {
        self.position(labels).and_then(|position| self.rules.get(position))
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &'r Rule)> {
        self.positions.iter().filter_map(|position| Some((*position, self.rules.get(*position)?)))
    }
}

#[cfg(test)]
mod tests;
