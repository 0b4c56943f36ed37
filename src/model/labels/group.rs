//! The labels of a push's path.

use std::borrow::Cow;

use super::{Label, LabelFault, escape_value, is_quoted, spelt_name, unescape, write_label};

/// The labels of a push's path (the group): ascending by name, spelt as in canonical text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GroupLabels {
    labels: Vec<(String, String)>,
}

impl GroupLabels {
    /// Takes decoded names and values; no name is empty. Refuses a name that stands twice.
    pub fn new(labels: impl IntoIterator<Item = (String, String)>) -> Result<Self, LabelFault> {
        let mut labels: Vec<(String, String)> =
            labels.into_iter().map(|(name, value)| (spelt_name(&name), escape_value(&value).into_owned())).collect();
        labels.sort();
        match labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(LabelFault::Repeated(pair[0].0.clone())),
            None => Ok(Self { labels }),
        }
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether a name needs quotes.
    pub fn has_quoted_names(&self) -> bool {
        self.labels.first().is_some_and(|(name, _)| is_quoted(name))
    }

    /// Whether there is a label of this name, spelt as in canonical text.
    pub fn contains(&self, name: &str) -> bool {
        self.labels.iter().any(|(group_name, _)| group_name == name)
    }

    /// All labels, the empty ones too, as they stand between braces.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for label in self.iter() {
            if !text.is_empty() {
                text.push(',');
            }
            write_label(&mut text, label.name, label.value);
        }
        text
    }

    /// The names of its empty labels, spelt as in canonical text.
    pub fn empty_names(&self) -> Vec<Box<str>> {
        self.iter().filter(|label| label.value.is_empty()).map(|label| label.name.into()).collect()
    }

    /// Names and values as people write them.
    pub fn plain(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.iter().map(|label| (label.plain_name(), unescape(label.value)))
    }

    /// Only the labels of these names.
    pub fn only(&self, names: &[String]) -> Self {
        let labels = self.labels.iter().filter(|(name, _)| names.contains(name));
        Self { labels: labels.cloned().collect() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Label<'_>> {
        self.labels.iter().map(|(name, value)| Label { name, value })
    }
}
