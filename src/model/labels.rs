//! Label sets in canonical text: the one spelling under which a series is stored and hashed.
//!
//! Canonical label text is what stands between the braces of an exposition line, with names ascending bytewise, no
//! blanks, no trailing comma, quotes only around names that need them, and no label with an empty value (an empty label
//! is an absent one: Prometheus data model, "Metric names and labels"). The format's three escapes (`\\`, `\"`, `\n`)
//! have one spelling each, so names and values are kept as they are written and two sets are equal if their texts are.
//! Encoders print the text as it stands.

mod group;

pub use group::GroupLabels;

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU64;

use smallvec::SmallVec;

use super::name::{Escaping, VALUES_PREFIX, escaped_label_name, is_legacy_label_name, label_name_length};

/// One label as written: a name and the text between the quotes of its value, escapes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label<'a> {
    /// Bare if it is a legacy name, else with its quotes: comparing these texts compares names.
    pub name: &'a str,
    /// Between the quotes, escapes as written.
    pub value: &'a str,
}

impl<'a> Label<'a> {
    /// The name without quotes and escapes.
    pub fn plain_name(&self) -> Cow<'a, str> {
        match self.name.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
            Some(inner) => unescape(inner),
            None => Cow::Borrowed(self.name),
        }
    }
}

/// Whether label text has a label of this name, which is plain.
pub fn has_label(text: &str, name: &str) -> bool {
    Labels::new(text).any(|label| label.plain_name() == name)
}

/// Walks label text that a decoder has accepted. Ends early, without a panic, on any other text.
pub struct Labels<'a> {
    rest: &'a str,
}

impl<'a> Labels<'a> {
    /// `text` stands between braces, without them.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = Label<'a>;

    fn next(&mut self) -> Option<Label<'a>> {
        let text = self.rest.trim_start_matches([' ', '\t', ',']);
        let name_end = match text.as_bytes().first()? {
            b'"' => quoted_length(text.as_bytes())?,
            _ => label_name_length(text.as_bytes()),
        };
        let name = text.get(..name_end)?;
        let value = text[name_end..].trim_start_matches([' ', '\t']).strip_prefix('=')?;
        let value = value.trim_start_matches([' ', '\t']);
        let value_end = quoted_length(value.as_bytes())?;
        self.rest = &value[value_end..];
        Some(Label { name: bare_if_legacy(name), value: &value[1..value_end - 1] })
    }
}

/// Length of the quoted string that `text` begins with, both quotes included.
fn quoted_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// `"a"` and `a` are one name.
fn bare_if_legacy(name: &str) -> &str {
    match name.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) if is_legacy_label_name(inner) => inner,
        _ => name,
    }
}

/// What is wrong with a label set as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}, got {}", self.expected(), self.got())]
pub enum LabelFault {
    /// A name stands twice.
    Repeated(String),
    /// Two names would be one for readers that know legacy names only.
    Collision(String, String),
    /// A name would be a reserved one for readers that know legacy names only.
    Reserved(String),
    /// More labels than the limit.
    TooMany {
        /// How many a series may have.
        limit: usize,
        /// How many it has.
        got: usize,
    },
}

impl LabelFault {
    /// What a good label set would have had.
    pub fn expected(&self) -> String {
        match self {
            Self::Repeated(_) => "each label once".to_owned(),
            Self::Collision(..) => "label names that differ when escaped".to_owned(),
            Self::Reserved(_) => "label names that do not begin with \"__\" when escaped".to_owned(),
            Self::TooMany { limit, .. } => format!("at most {limit} labels"),
        }
    }

    /// What stood there.
    pub fn got(&self) -> String {
        match self {
            Self::Repeated(name) => format!("{name} twice"),
            Self::Collision(one, other) => format!("{one} and {other}"),
            Self::Reserved(name) => name.clone(),
            Self::TooMany { got, .. } => got.to_string(),
        }
    }
}

/// A plain name as canonical text spells it.
pub fn spelt_name(name: &str) -> String {
    if is_legacy_label_name(name) { name.to_owned() } else { format!("\"{}\"", escape_value(name)) }
}

/// Appends the canonical text of `text`'s labels to `out`. Group labels win over labels of the same name;
/// the label `left_out` is not written but its value, as it stands, returned.
///
/// # Errors
/// A name twice, names that collide when escaped, or more than `limit` labels. `out` may then end in a part of the text.
pub fn write_canonical<'a>(
    out: &mut String,
    text: &'a str,
    group: &'a GroupLabels,
    left_out: Option<&str>,
    limit: usize,
) -> Result<Option<&'a str>, LabelFault> {
    let mut labels: SmallVec<[Label<'a>; 16]> = Labels::new(text).collect();
    if !labels.is_sorted_by(|a, b| a.name < b.name) {
        labels.sort_unstable_by_key(|label| label.name);
        if let Some(pair) = labels.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(LabelFault::Repeated(pair[0].name.to_owned()));
        }
    }
    let left_out_value = left_out.and_then(|name| {
        let at = labels.iter().position(|label| label.name == name)?;
        Some(labels.remove(at).value)
    });
    if !group.is_empty() {
        labels.retain(|label| !group.contains(label.name));
        labels.extend(group.iter());
        labels.sort_unstable_by_key(|label| label.name);
    }
    labels.retain(|label| !label.value.is_empty());
    if labels.len() > limit {
        return Err(LabelFault::TooMany { limit, got: labels.len() });
    }
    refuse_bad_escapes(&labels)?;
    for (index, label) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_label(out, label.name, label.value);
    }
    Ok(left_out_value)
}

/// Canonical label text with further labels that are empty; their names are spelt as in canonical text, and none stands in
/// `text`.
pub fn write_with_empty<'a>(text: &'a str, empty: impl Iterator<Item = &'a str>) -> String {
    let mut labels: SmallVec<[Label<'a>; 16]> = Labels::new(text).collect();
    labels.extend(empty.map(|name| Label { name, value: "" }));
    labels.sort_unstable_by_key(|label| label.name);
    let mut out = String::with_capacity(text.len() + 16 * labels.len());
    for label in &labels {
        if !out.is_empty() {
            out.push(',');
        }
        write_label(&mut out, label.name, label.value);
    }
    out
}

/// Appends those labels of canonical text that are to stay.
pub fn write_kept(out: &mut String, canonical: &str, mut stays: impl FnMut(&Label<'_>) -> bool) {
    let mut is_first = true;
    for label in Labels::new(canonical).filter(|label| stays(label)) {
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        write_label(out, label.name, label.value);
    }
}

/// Names in quotes come first: without one there, there is none.
fn refuse_bad_escapes(labels: &[Label<'_>]) -> Result<(), LabelFault> {
    if !labels.first().is_some_and(|label| is_quoted(label.name)) {
        return Ok(());
    }
    let mut exposed: Vec<_> =
        labels.iter().map(|label| (shown_name(label.name, Escaping::Underscores), label.name)).collect();
    exposed.sort_unstable();
    if let Some((_, name)) = exposed.iter().find(|(shown, name)| is_quoted(name) && shown.starts_with("__")) {
        return Err(LabelFault::Reserved((*name).to_owned()));
    }
    match exposed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(LabelFault::Collision(pair[0].1.to_owned(), pair[1].1.to_owned())),
        None => Ok(()),
    }
}

fn write_label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    out.push_str(value);
    out.push('"');
}

/// Whether canonical label text has a name in quotes. Quoted names come first: `"` is before all letters.
pub fn has_quoted_names(canonical: &str) -> bool {
    canonical.starts_with('"')
}

fn is_quoted(name: &str) -> bool {
    name.starts_with('"')
}

/// A name as canonical text spells it, shown under a scheme; in quotes only if that leaves it a name that needs them.
fn shown_name(name: &str, escaping: Escaping) -> Cow<'_, str> {
    match name.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(_) if escaping == Escaping::AllowUtf8 => Cow::Borrowed(name),
        Some(inner) => Cow::Owned(escaped_label_name(&unescape(inner), escaping).into_owned()),
        None => escaped_label_name(name, escaping),
    }
}

/// Whether two different label sets are one for readers that know legacy names only.
pub fn are_one_when_escaped(one: &str, other: &str) -> bool {
    (has_quoted_names(one) || has_quoted_names(other)) && underscored(one) == underscored(other)
}

fn underscored(canonical: &str) -> String {
    let mut shown = String::with_capacity(canonical.len());
    write_escaped(&mut shown, canonical, Escaping::Underscores);
    shown
}

/// Whether [`write_escaped`] may write something else than canonical label text as it is. Text without quoted names, in
/// most cases, is not walked.
pub fn needs_escaping(canonical: &str, escaping: Escaping) -> bool {
    let has_name = |part: &str, is_meant: fn(&str) -> bool| {
        canonical.contains(part) && Labels::new(canonical).any(|label| is_meant(label.name))
    };
    match escaping {
        Escaping::AllowUtf8 => false,
        Escaping::Underscores => has_quoted_names(canonical),
        Escaping::Dots => has_quoted_names(canonical) || has_name("_", |name| name.contains('_')),
        Escaping::Values => {
            has_quoted_names(canonical) || has_name(VALUES_PREFIX, |name| name.starts_with(VALUES_PREFIX))
        }
    }
}

/// Appends canonical label text as it is shown under a scheme: the names escaped, and the labels put in the order of
/// the names shown.
pub fn write_escaped(out: &mut String, canonical: &str, escaping: Escaping) {
    if escaping == Escaping::AllowUtf8 {
        out.push_str(canonical);
        return;
    }
    let mut labels: SmallVec<[_; 16]> =
        Labels::new(canonical).map(|label| (shown_name(label.name, escaping), label.value)).collect();
    labels.sort_unstable();
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_label(out, name, value);
    }
}

/// Writes a value so that it can stand between quotes: `\`, `"` and line feed are escaped.
pub fn escape_value(value: &str) -> Cow<'_, str> {
    if memchr::memchr3(b'\\', b'"', b'\n', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let mut escaped = String::with_capacity(value.len() + 8);
    for character in value.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// Hashes label sets by their canonical text. Seeded anew for each process, so that nobody outside can choose labels that
/// meet in one hash.
#[derive(Clone, Debug)]
pub struct LabelHasher {
    state: ahash::RandomState,
}

impl LabelHasher {
    /// A hasher with a seed of its own.
    #[allow(clippy::new_without_default, reason = "two hashers are never alike, which `default` would suggest")]
    pub fn new() -> Self {
        Self { state: ahash::RandomState::new() }
    }

    /// The hash of a label set in canonical text: that of the text as legacy readers see it, so that sets which are one for
    /// them meet.
    pub fn hash_labels(&self, canonical: &str) -> NonZeroU64 {
        if has_quoted_names(canonical) {
            self.hash(underscored(canonical).as_bytes())
        } else {
            self.hash(canonical.as_bytes())
        }
    }

    /// The hash of canonical label text without names in quotes, or of a name.
    #[inline]
    pub fn hash(&self, text: &[u8]) -> NonZeroU64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(text);
        NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN)
    }
}

/// Undoes the escapes `\\`, `\"` and `\n`; any other backslash stays.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some(escaped @ ('\\' | '"')) => plain.push(escaped),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str, group: &[(&str, &str)]) -> Result<String, LabelFault> {
        let group = GroupLabels::new(group.iter().map(|(name, value)| ((*name).into(), (*value).into())))?;
        let mut out = String::new();
        write_canonical(&mut out, text, &group, None, 64)?;
        Ok(out)
    }

    #[test]
    fn labels_that_stay_are_still_canonical() {
        let labels = r#""a.b"="x",job="a\"b",z="1""#;
        let cases = [
            (&["a.b", "job", "z"][..], labels),
            (&["a.b", "z"], r#""a.b"="x",z="1""#),
            (&["job"], r#"job="a\"b""#),
            (&[], ""),
        ];
        for (stay, expected) in cases {
            let mut out = String::new();
            write_kept(&mut out, labels, |label| stay.contains(&&*label.plain_name()));
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn label_sets_have_one_spelling() {
        type Spelled<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: &[Spelled<'_>] = &[
            ("", &[], ""),
            (r#"a="1",b="2""#, &[], r#"a="1",b="2""#),
            (r#" b = "2" , a="1" ,"#, &[], r#"a="1",b="2""#),
            (r#""b"="2",a="1""#, &[], r#"a="1",b="2""#),
            (r#"z="1","my.label"="x""#, &[], r#""my.label"="x",z="1""#),
            (r#"a="",b="2""#, &[], r#"b="2""#),
            (r#"a="\"\\\n,}""#, &[], r#"a="\"\\\n,}""#),
            (r#"job="body",x="1""#, &[("job", "path")], r#"job="path",x="1""#),
            (r#"x="1""#, &[("job", "a\"b"), ("zone", "z")], r#"job="a\"b",x="1",zone="z""#),
            (r#"job="body""#, &[("job", "")], ""),
            (r#"x="1""#, &[("a.b", "2"), ("c", "3")], r#""a.b"="2",c="3",x="1""#),
            (r#""a.b"="body",x="1""#, &[("a.b", "path")], r#""a.b"="path",x="1""#),
            ("", &[("a\"\\\n", "1")], r#""a\"\\\n"="1""#),
        ];
        for (text, group, expected) in cases {
            assert_eq!(canonical(text, group).as_deref(), Ok(*expected), "{text}");
        }
    }

    #[test]
    fn faulty_label_sets_are_refused() {
        assert_eq!(canonical(r#"b="1",a="1",b="2""#, &[]), Err(LabelFault::Repeated("b".into())));
        assert_eq!(canonical(r#"a="1","a"="2""#, &[]), Err(LabelFault::Repeated("a".into())));
        assert!(matches!(canonical(r#""a-b"="1",a_b="2""#, &[]), Err(LabelFault::Collision(..))));
        assert_eq!(canonical(r#""--a"="1""#, &[]), Err(LabelFault::Reserved(r#""--a""#.into())));
        assert!(matches!(canonical("", &[("a", "1"), ("a", "2")]), Err(LabelFault::Repeated(_))));
        assert!(matches!(canonical("", &[("a.b", "1"), ("a.b", "2")]), Err(LabelFault::Repeated(_))));
        assert!(matches!(canonical(r#"a_b="1""#, &[("a.b", "2")]), Err(LabelFault::Collision(..))));
        assert!(matches!(canonical(r#""a.b"="1""#, &[("a_b", "2")]), Err(LabelFault::Collision(..))));
        assert_eq!(canonical("", &[("--a", "1")]), Err(LabelFault::Reserved(r#""--a""#.into())));
        let mut out = String::new();
        let no_group = GroupLabels::default();
        let refused = write_canonical(&mut out, r#"a="1",b="2""#, &no_group, None, 1);
        assert_eq!(refused, Err(LabelFault::TooMany { limit: 1, got: 2 }));
    }

    #[test]
    fn a_label_can_be_taken_out() {
        let mut out = String::new();
        let group = GroupLabels::default();
        let value = write_canonical(&mut out, r#"le="0.5",a="1""#, &group, Some("le"), 64);
        assert_eq!((value, out.as_str()), (Ok(Some("0.5")), r#"a="1""#));
    }

    #[test]
    fn labels_are_shown_under_every_scheme() {
        let shown = |canonical: &str, escaping| {
            let mut out = String::new();
            write_escaped(&mut out, canonical, escaping);
            assert_eq!(out != canonical, needs_escaping(canonical, escaping), "{canonical} under {escaping:?}");
            out
        };
        // Canonical text, then underscores, dots, values.
        let cases = [
            ("", "", "", ""),
            (r#"a="_",b="U__""#, r#"a="_",b="U__""#, r#"a="_",b="U__""#, r#"a="_",b="U__""#),
            (r#"a_b="1",ab="2""#, r#"a_b="1",ab="2""#, r#"a__b="1",ab="2""#, r#"a_b="1",ab="2""#),
            (
                r#""my.label"="x",a="1",z="2""#,
                r#"a="1",my_label="x",z="2""#,
                r#"a="1",my_dot_label="x",z="2""#,
                r#"U__my_2e_label="x",a="1",z="2""#,
            ),
            (r#""\\\"\n"="\"""#, r#"___="\"""#, r#"______="\"""#, r#"U___5c__22__a_="\"""#),
            (
                r#"T="1",U__a_2e_b="2""#,
                r#"T="1",U__a_2e_b="2""#,
                r#"T="1",U____a__2e__b="2""#,
                r#"T="1",U__U____a__2e__b="2""#,
            ),
        ];
        for (canonical, underscores, dots, values) in cases {
            assert_eq!(shown(canonical, Escaping::AllowUtf8), canonical);
            assert_eq!(shown(canonical, Escaping::Underscores), underscores);
            assert_eq!(shown(canonical, Escaping::Dots), dots);
            assert_eq!(shown(canonical, Escaping::Values), values);
        }
    }

    #[test]
    fn label_sets_that_escaping_makes_one_have_one_hash() {
        let (quoted, legacy) = (r#""a-b"="1",a="2""#, r#"a="2",a_b="1""#);
        let hasher = LabelHasher::new();
        assert!(are_one_when_escaped(quoted, legacy) && are_one_when_escaped(legacy, quoted));
        assert!(!are_one_when_escaped(legacy, r#"a="2",a_b="2""#));
        assert_eq!(hasher.hash_labels(quoted), hasher.hash_labels(legacy));
    }

    #[test]
    fn groups_tell_of_quoted_names() {
        let group =
            |name: &str| GroupLabels::new([("job".to_owned(), "x".to_owned()), (name.to_owned(), "y".to_owned())]);
        assert!(group("a.b").expect("two labels").has_quoted_names());
        assert!(group("é").expect("two labels").has_quoted_names());
        assert!(!group("a_b").expect("two labels").has_quoted_names());
        assert!(!GroupLabels::default().has_quoted_names());
    }

    proptest! {
        #[test]
        fn escapes_are_undone(value in any::<String>()) {
            let escaped = escape_value(&value);
            prop_assert_eq!(unescape(&escaped), value.as_str());
        }

        #[test]
        fn walking_any_text_ends(text in any::<String>()) {
            prop_assert!(Labels::new(&text).count() <= text.len());
        }
    }
}
