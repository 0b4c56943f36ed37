//! The labels of an exemplar, which every format that has them bounds alike.

use super::error::{DecodeError, Excerpt, Place};
use crate::model::labels::{GroupLabels, Label, Labels, unescape, write_canonical};
use crate::model::value::Exemplar;

/// Puts label text, as written, into its canonical form.
///
/// # Errors
/// If it is too long (OpenMetrics 1.0, "Exemplars"), or no label set.
pub(super) fn exemplar_labels(text: &str, most_labels: usize, place: Place) -> Result<Box<str>, Box<DecodeError>> {
    let fault = |expected, got: String| Box::new(DecodeError { place, expected, got: Excerpt::words(got) });
    let characters: usize = Labels::new(text).map(characters).sum();
    if characters > Exemplar::MOST_CHARACTERS {
        let expected = format!("exemplar labels of at most {} characters", Exemplar::MOST_CHARACTERS);
        return Err(fault(expected, characters.to_string()));
    }
    let mut labels = String::with_capacity(text.len());
    match write_canonical(&mut labels, text, &GroupLabels::default(), None, most_labels) {
        Ok(_) => Ok(labels.into()),
        Err(refused) => Err(fault(refused.expected(), refused.got())),
    }
}

/// Whether label text is no longer than an exemplar's may be: escaping makes names longer.
pub(super) fn is_short(text: &str) -> bool {
    Labels::new(text).map(characters).sum::<usize>() <= Exemplar::MOST_CHARACTERS
}

/// Characters of name and value, without quotes and escapes.
fn characters(label: Label<'_>) -> usize {
    label.plain_name().chars().count() + unescape(label.value).chars().count()
}
