//! Metric and label names: which are legal without quotes, and how others are shown to readers that know only those.

use std::borrow::Cow;
use std::fmt::Write;

/// What a byte may be in a name: [`START`] for the first byte of a label name, [`REST`] for a later one;
/// metric names may hold `:` as well ([`COLON`]).
static CLASS: [u8; 256] = classes();

const START: u8 = 1;
const REST: u8 = 2;
const COLON: u8 = 4;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        if character.is_ascii_alphabetic() || character == b'_' {
            table[byte] = START | REST;
        } else if character.is_ascii_digit() {
            table[byte] = REST;
        } else if character == b':' {
            table[byte] = COLON;
        }
        byte += 1;
    }
    table
}

/// Length of the metric name `[a-zA-Z_:][a-zA-Z0-9_:]*` that `text` begins with; 0 if there is none.
#[inline]
pub fn metric_name_length(text: &[u8]) -> usize {
    name_length(text, COLON)
}

/// Length of the label name `[a-zA-Z_][a-zA-Z0-9_]*` that `text` begins with; 0 if there is none.
#[inline]
pub fn label_name_length(text: &[u8]) -> usize {
    name_length(text, 0)
}

#[inline(always)]
fn name_length(text: &[u8], also: u8) -> usize {
    match text.first() {
        Some(&first) if CLASS[usize::from(first)] & (START | also) != 0 => {}
        _ => return 0,
    }
    let mut length = 1;
    while length < text.len() && CLASS[usize::from(text[length])] & (REST | also) != 0 {
        length += 1;
    }
    length
}

/// Whether the name can stand without quotes before `{` (Prometheus data model, "Metric names").
pub fn is_legacy_metric_name(name: &str) -> bool {
    !name.is_empty() && metric_name_length(name.as_bytes()) == name.len()
}

/// Whether the name can stand without quotes within `{…}`.
pub fn is_legacy_label_name(name: &str) -> bool {
    !name.is_empty() && label_name_length(name.as_bytes()) == name.len()
}

/// How names are shown to a reader: the escaping schemes of Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// As they are: the reader knows every name.
    AllowUtf8,
    /// Each character that a legacy name cannot have becomes `_`.
    #[default]
    Underscores,
    /// `_` becomes `__`, `.` becomes `_dot_`, any other character that a legacy name cannot have `__`.
    Dots,
    /// A name that is no legacy name begins with `U__`; in it `_` becomes `__`, and a character that a legacy name
    /// cannot have its code point in hexadecimal between two `_`. The one scheme that can be undone:
    /// [`unescape_values`].
    Values,
}

impl Escaping {
    const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// As the `escaping` parameter of a media type spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// The scheme of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|escaping| escaping.name().eq_ignore_ascii_case(name))
    }
}

/// The metric name as it is shown under a scheme.
pub fn escaped_metric_name(name: &str, escaping: Escaping) -> Cow<'_, str> {
    escaped(name, escaping, COLON)
}

/// The label name as it is shown under a scheme. Unlike the Go library's, it never holds `:`, which no label name may.
pub fn escaped_label_name(name: &str, escaping: Escaping) -> Cow<'_, str> {
    // Under `dots` this would be `__name__`, a second metric name. As it stands no other name is shown.
    if name == "_name_" && escaping == Escaping::Dots {
        return Cow::Borrowed(name);
    }
    escaped(name, escaping, 0)
}

/// The metric name for readers that know legacy names only: every other character becomes `_`.
pub fn exposed_metric_name(name: &str) -> Cow<'_, str> {
    escaped_metric_name(name, Escaping::Underscores)
}

/// The label name for readers that know legacy names only, as [`exposed_metric_name`].
pub fn exposed_label_name(name: &str) -> Cow<'_, str> {
    escaped_label_name(name, Escaping::Underscores)
}

/// What every escape of the `values` scheme begins with.
pub const VALUES_PREFIX: &str = "U__";

/// `also` is [`COLON`] for metric names.
fn escaped(name: &str, escaping: Escaping, also: u8) -> Cow<'_, str> {
    let is_legacy = name_length(name.as_bytes(), also) == name.len();
    let stays = match escaping {
        Escaping::AllowUtf8 => true,
        Escaping::Underscores => is_legacy,
        Escaping::Dots => is_legacy && !name.contains('_'),
        // A legacy name that reads as an escape could not be told from the name it is read as.
        Escaping::Values => is_legacy && unescape_values(name).is_none(),
    };
    if stays {
        return Cow::Borrowed(name);
    }
    let mut shown = String::with_capacity(name.len() + 16);
    if escaping == Escaping::Values {
        shown.push_str(VALUES_PREFIX);
    }
    for (at, character) in name.char_indices() {
        write_escaped(&mut shown, character, is_legal(character, at, also), escaping);
    }
    Cow::Owned(shown)
}

fn is_legal(character: char, at: usize, also: u8) -> bool {
    let place = if at == 0 { START } else { REST };
    u8::try_from(character).is_ok_and(|byte| CLASS[usize::from(byte)] & (place | also) != 0)
}

fn write_escaped(shown: &mut String, character: char, is_legal: bool, escaping: Escaping) {
    match (escaping, character) {
        (Escaping::Dots | Escaping::Values, '_') => shown.push_str("__"),
        (Escaping::Dots, '.') => shown.push_str("_dot_"),
        (Escaping::AllowUtf8, _) => shown.push(character),
        _ if is_legal => shown.push(character),
        (Escaping::Underscores, _) => shown.push('_'),
        (Escaping::Dots, _) => shown.push_str("__"),
        // Writing to a string cannot fail.
        (Escaping::Values, _) => _ = write!(shown, "_{:x}_", u32::from(character)),
    }
}

/// Undoes the `values` scheme. `None` if the name does not begin with `U__`, or its escapes are not ones.
pub fn unescape_values(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix(VALUES_PREFIX)?;
    let mut plain = String::with_capacity(rest.len());
    while let Some((before, escape)) = rest.split_once('_') {
        plain.push_str(before);
        // Between two underscores: nothing for an underscore, else a code point.
        let (digits, behind) = escape.split_once('_')?;
        plain.push(if digits.is_empty() { '_' } else { character_of(digits)? });
        rest = behind;
    }
    plain.push_str(rest);
    Some(plain)
}

fn character_of(digits: &str) -> Option<char> {
    const MOST_DIGITS: usize = 6;
    if digits.len() > MOST_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_end_where_the_grammar_says() {
        let cases: &[(&str, usize, usize)] = &[
            ("up", 2, 2),
            ("job:rate5m{", 10, 3),
            (":x", 2, 0),
            ("9x", 0, 0),
            ("", 0, 0),
            ("_a9-", 3, 3),
            ("Ünï", 0, 0),
            ("aé", 1, 1),
        ];
        for (text, metric, label) in cases {
            assert_eq!(metric_name_length(text.as_bytes()), *metric, "metric name in {text:?}");
            assert_eq!(label_name_length(text.as_bytes()), *label, "label name in {text:?}");
        }
    }

    #[test]
    fn other_names_are_shown_with_underscores() {
        assert_eq!(exposed_metric_name("a:b_1"), "a:b_1");
        assert_eq!(exposed_metric_name("my.metric-1"), "my_metric_1");
        assert_eq!(exposed_metric_name("1st"), "_st");
        assert_eq!(exposed_metric_name("é"), "_");
        assert_eq!(exposed_label_name("a:b"), "a_b");
    }

    #[test]
    fn schemes_have_names() {
        for escaping in Escaping::ALL {
            assert_eq!(Escaping::from_name(escaping.name()), Some(escaping));
        }
        assert_eq!(Escaping::from_name("Dots"), Some(Escaping::Dots));
        assert_eq!(Escaping::from_name(""), None);
        assert_eq!(Escaping::default(), Escaping::Underscores);
    }

    #[test]
    fn metric_names_are_shown_under_every_scheme() {
        // Name, then underscores, dots, values: those of the tests of Prometheus common among them.
        let cases: &[(&str, &str, &str, &str)] = &[
            ("", "", "", ""),
            ("no:escaping_required", "no:escaping_required", "no:escaping__required", "no:escaping_required"),
            ("up", "up", "up", "up"),
            (
                "mysystem.prod.west.cpu.load",
                "mysystem_prod_west_cpu_load",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load",
            ),
            (
                "mysystem.prod.west.cpu.load_total",
                "mysystem_prod_west_cpu_load_total",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load__total",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load__total",
            ),
            ("http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
            ("label with 😱", "label_with__", "label__with____", "U__label_20_with_20__1f631_"),
            ("花火", "__", "____", "U___82b1__706b_"),
            ("1st", "_st", "__st", "U___31_st"),
            ("_x", "_x", "__x", "_x"),
            ("U__a_2e_b", "U__a_2e_b", "U____a__2e__b", "U__U____a__2e__b"),
            ("U__U____a__2e__b", "U__U____a__2e__b", "U____U________a____2e____b", "U__U____U________a____2e____b"),
            ("U__a", "U__a", "U____a", "U__U____a"),
            ("U__a_b", "U__a_b", "U____a__b", "U__a_b"),
            ("\u{10ffff}", "_", "__", "U___10ffff_"),
        ];
        for (name, underscores, dots, values) in cases {
            let shown = |escaping| escaped_metric_name(name, escaping);
            assert_eq!(shown(Escaping::AllowUtf8), *name);
            assert_eq!(shown(Escaping::Underscores), *underscores);
            assert_eq!(shown(Escaping::Dots), *dots);
            assert_eq!(shown(Escaping::Values), *values);
        }
        assert_eq!(escaped_label_name("a:b", Escaping::Dots), "a__b");
        assert_eq!(escaped_label_name("a:b", Escaping::Values), "U__a_3a_b");
        assert_eq!(escaped_label_name("a_b", Escaping::Values), "a_b");
    }

    #[test]
    fn escapes_of_values_are_undone_or_none() {
        let cases: &[(&str, Option<&str>)] = &[
            ("a_2e_b", None),
            ("U_a", None),
            ("U__", Some("")),
            ("U__a_2e_b", Some("a.b")),
            ("U__a_2E_b", Some("a.b")),
            ("U__a__b", Some("a_b")),
            ("U___1f631_", Some("😱")),
            ("U___10ffff_", Some("\u{10ffff}")),
            ("U___00002e_", Some(".")),
            ("U___000002e_", None),
            ("U___110000_", None),
            ("U___d800_", None),
            ("U__a_2e", None),
            ("U__a_", None),
            ("U__a_2g_", None),
            ("U__a_+2_", None),
            ("U__a_é_", None),
        ];
        for (name, plain) in cases {
            assert_eq!(unescape_values(name).as_deref(), *plain, "{name}");
        }
    }

    /// Names that collide more often than random ones.
    fn names() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[a_.:1é-]{0,6}", "(U__)?(_2e_|_dot_|__|_|a|2e|\\.){0,6}"]
    }

    proptest! {
        #[test]
        fn values_are_undone_for_any_name(name in names()) {
            for shown in [escaped_metric_name(&name, Escaping::Values), escaped_label_name(&name, Escaping::Values)] {
                prop_assert!(name.is_empty() || is_legacy_metric_name(&shown), "{}", shown);
                prop_assert_eq!(unescape_values(&shown).unwrap_or(shown.into_owned()), name.as_str());
            }
        }

        #[test]
        fn other_schemes_give_legacy_names(name in names()) {
            for escaping in [Escaping::Underscores, Escaping::Dots] {
                prop_assert!(name.is_empty() || is_legacy_metric_name(&escaped_metric_name(&name, escaping)));
                prop_assert!(name.is_empty() || is_legacy_label_name(&escaped_label_name(&name, escaping)));
            }
        }

        #[test]
        fn names_that_dots_make_one_are_one_underscored_too(one in "[a_.:1é-]{1,4}", other in "[a_.:1é-]{1,4}") {
            if escaped_metric_name(&one, Escaping::Dots) == escaped_metric_name(&other, Escaping::Dots) {
                prop_assert_eq!(exposed_metric_name(&one), exposed_metric_name(&other));
            }
            if escaped_label_name(&one, Escaping::Dots) == escaped_label_name(&other, Escaping::Dots) {
                prop_assert_eq!(exposed_label_name(&one), exposed_label_name(&other));
            }
        }
    }
}
