//! Whether one rule takes all that another could. Says yes only if that is so; globs are compared as texts, which finds what
//! people write.

use super::{LabelMatcher, SeriesMatcher};
use crate::glob::Glob;

/// Whether every series that meets `other` meets `one`.
pub fn covers(one: &SeriesMatcher, other: &SeriesMatcher) -> bool {
    let is_narrower =
        |wide: &LabelMatcher| fits_any_value(wide) || other.labels.iter().any(|narrow| covers_label(wide, narrow));
    covers_glob(&one.family, &other.family) && one.labels.iter().all(is_narrower)
}

fn fits_any_value(matcher: &LabelMatcher) -> bool {
    matcher.value.as_ref().is_some_and(|glob| glob.as_str().chars().all(|character| character == '*'))
}

fn covers_label(wide: &LabelMatcher, narrow: &LabelMatcher) -> bool {
    wide.name == narrow.name
        && match (&wide.value, &narrow.value) {
            (Some(wide), Some(narrow)) => covers_glob(wide, narrow),
            (Some(wide), None) => wide.matches(""),
            (None, narrow) => narrow.is_none(),
        }
}

/// A glob that fits the text of another fits all that the other does: what a `*` or `?` of the other stands for can only meet
/// a `*` of the first, or a `?` its like. A `?` that meets a `*` is the exception.
fn covers_glob(wide: &Glob, narrow: &Glob) -> bool {
    let (pattern, text) = (wide.as_str(), narrow.as_str());
    let may_mislead = pattern.contains('?') && text.contains('*');
    wide == narrow || (!may_mislead && wide.matches(text))
}
