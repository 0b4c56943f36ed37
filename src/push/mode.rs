//! What a series asks for by a label of its own: the modes that gravel's clients put into `clearmode`.

use crate::aggregate::NumberRule;
use crate::model::family::MetricKind;
use crate::model::value::{GaugePolicy, GaugeRule, Millis};

/// How a series is merged with what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// It is added.
    Add,
    /// It takes the stored one's place.
    Replace,
    /// All that is stored of its family goes first.
    ReplaceFamily,
    /// What was pushed within a window is shown; of the configured length, if none is given.
    Window { policy: GaugePolicy, length: Option<Millis> },
}

impl Mode {
    /// Reads a label's value.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "sum" | "aggregate" => return Some(Self::Add),
            "replace" => return Some(Self::Replace),
            "family" | "info" => return Some(Self::ReplaceFamily),
            _ => {}
        }
        let policies = [
            ("min", GaugePolicy::Min),
            ("max", GaugePolicy::Max),
            ("mean", GaugePolicy::Mean),
            ("sum", GaugePolicy::Sum),
        ];
        let (policy, length) =
            policies.into_iter().find_map(|(word, policy)| Some((policy, text.strip_prefix(word)?)))?;
        let length = if length.is_empty() { None } else { Some(parse_length(length)?) };
        Some(Self::Window { policy, length })
    }

    /// Whether a series of this kind can be merged so: a window is one of numbers, and states are not added.
    pub fn suits(self, kind: MetricKind) -> bool {
        match self {
            Self::Replace | Self::ReplaceFamily => true,
            Self::Add => !matches!(kind, MetricKind::Info | MetricKind::StateSet),
            Self::Window { .. } => matches!(kind, MetricKind::Untyped | MetricKind::Counter | MetricKind::Gauge),
        }
    }

    /// The modes that suit a kind, for people.
    pub fn words(kind: MetricKind) -> &'static str {
        match kind {
            MetricKind::Untyped | MetricKind::Counter | MetricKind::Gauge => {
                "sum, aggregate, replace, family, info, min, max, mean, or one of sum, min, max, mean with a length as in \
                 mean5m"
            }
            MetricKind::Histogram | MetricKind::GaugeHistogram | MetricKind::Summary => {
                "sum, aggregate, replace, family or info"
            }
            MetricKind::Info | MetricKind::StateSet => "replace, family or info",
        }
    }

    /// What becomes of the series' values; `window` is that of the configuration. Histograms and summaries are added to
    /// what is left of a replaced family: so those that fall together in one push are not lost.
    pub fn numbers(self, kind: MetricKind, window: Millis) -> NumberRule {
        let is_number = !kind.is_histogram() && kind != MetricKind::Summary;
        match self {
            Self::Add => NumberRule::Add,
            Self::ReplaceFamily if !is_number => NumberRule::Add,
            Self::Replace | Self::ReplaceFamily => NumberRule::Last,
            Self::Window { policy, length } => {
                NumberRule::Window(GaugeRule { policy, window: length.unwrap_or(window) })
            }
        }
    }
}

/// A length as `90`, in seconds, or with one of the units `s`, `m` and `h`. None is zero.
fn parse_length(text: &str) -> Option<Millis> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<Millis>().ok().filter(|number| is_number && *number > 0)?;
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read() {
        let window = |policy, length| Some(Mode::Window { policy, length });
        let cases = [
            ("sum", Some(Mode::Add)),
            ("aggregate", Some(Mode::Add)),
            ("replace", Some(Mode::Replace)),
            ("family", Some(Mode::ReplaceFamily)),
            ("info", Some(Mode::ReplaceFamily)),
            ("min", window(GaugePolicy::Min, None)),
            ("mean", window(GaugePolicy::Mean, None)),
            ("mean5m", window(GaugePolicy::Mean, Some(300_000))),
            ("max30s", window(GaugePolicy::Max, Some(30_000))),
            ("min1h", window(GaugePolicy::Min, Some(3_600_000))),
            ("sum90", window(GaugePolicy::Sum, Some(90_000))),
            ("", None),
            ("Sum", None),
            ("last", None),
            ("mean0", None),
            ("mean5d", None),
            ("mean5ms", None),
            ("mean5.5m", None),
            ("mean+5m", None),
            ("mean m", None),
            ("means", None),
            ("replace5m", None),
            ("mean99999999999999999999", None),
            ("mean18446744073709551615h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Mode::parse(text), expected, "{text}");
        }
    }
}
