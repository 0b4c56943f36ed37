//! The formats by their media types: which one a scraper wants, and which one a pusher sends.

pub mod header;

use std::borrow::Cow;

use super::observation_decode::ObservationKind;
use crate::model::name::Escaping;
use header::{Clause, clauses};

const TEXT: &str = "text/plain";
const OPEN_METRICS: &str = "application/openmetrics-text";
const PROTOBUF: &str = "application/vnd.google.protobuf";
const PROTOBUF_MESSAGE: &str = "io.prometheus.client.MetricFamily";
const PROTOBUF_ENCODING: &str = "delimited";

/// A format and its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FormatKind {
    /// The Prometheus text format of old.
    #[default]
    Text0_0_4,
    /// The same with names in quotes.
    Text1_0_0,
    /// OpenMetrics as first drafted; written as the next.
    OpenMetrics0_0_1,
    /// OpenMetrics.
    OpenMetrics1_0_0,
    /// Delimited messages of the `io.prometheus.client` schema.
    Protobuf,
}

/// What a page is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Format {
    /// The format.
    pub kind: FormatKind,
    /// How names are shown in it.
    pub escaping: Escaping,
}

impl Format {
    /// The page's media type. The formats of old tell of their escaping only if it is not the one of old.
    pub fn content_type(self) -> Cow<'static, str> {
        let plain = match self.kind {
            FormatKind::Text0_0_4 => "text/plain; version=0.0.4; charset=utf-8",
            FormatKind::Text1_0_0 => "text/plain; version=1.0.0; charset=utf-8",
            FormatKind::OpenMetrics0_0_1 => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            FormatKind::OpenMetrics1_0_0 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            FormatKind::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        let always_tells = matches!(self.kind, FormatKind::Text1_0_0 | FormatKind::OpenMetrics1_0_0);
        if !always_tells && self.escaping == Escaping::Underscores {
            return Cow::Borrowed(plain);
        }
        Cow::Owned(format!("{plain}; escaping={}", self.escaping.name()))
    }
}

/// The format that an `Accept` header asks for; the text format of old if it asks for none that is known.
///
/// As `expfmt.NegotiateIncludingOpenMetrics` of the Go library (`prometheus/common` 0.67) does it, which also takes the
/// escaping of a clause that it goes on to pass over: the first known clause wins, in the order of `q`, and a wildcard
/// is no known clause.
pub fn negotiate(accept: &str) -> Format {
    let mut clauses: Vec<Clause<'_>> = clauses(accept).filter(|clause| clause.q > 0.0).collect();
    clauses.sort_by(|one, other| other.q.total_cmp(&one.q).then(wildness(one).cmp(&wildness(other))));
    let mut escaping = Escaping::default();
    for clause in &clauses {
        escaping = clause.parameter("escaping").and_then(Escaping::from_name).unwrap_or(escaping);
        if let Some(kind) = kind_of(clause) {
            return Format { kind, escaping };
        }
    }
    Format { kind: FormatKind::default(), escaping }
}

/// Whether the type and the subtype are `*`.
fn wildness(clause: &Clause<'_>) -> (bool, bool) {
    let (kind, subtype) = clause.value.split_once('/').unwrap_or((clause.value, ""));
    (kind.trim() == "*", subtype.trim() == "*")
}

fn kind_of(clause: &Clause<'_>) -> Option<FormatKind> {
    let version = clause.parameter("version").unwrap_or_default();
    if clause.is(TEXT) {
        match version {
            "" | "0.0.4" => Some(FormatKind::Text0_0_4),
            "1.0.0" => Some(FormatKind::Text1_0_0),
            _ => None,
        }
    } else if clause.is(OPEN_METRICS) {
        match version {
            "" | "0.0.1" => Some(FormatKind::OpenMetrics0_0_1),
            "1.0.0" => Some(FormatKind::OpenMetrics1_0_0),
            _ => None,
        }
    } else {
        is_delimited_protobuf(clause).then_some(FormatKind::Protobuf)
    }
}

fn is_delimited_protobuf(clause: &Clause<'_>) -> bool {
    clause.is(PROTOBUF) && clause.has("proto", PROTOBUF_MESSAGE) && clause.has("encoding", PROTOBUF_ENCODING)
}

/// What a pusher sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PushFormat {
    /// The Prometheus text format, any version.
    Text,
    /// OpenMetrics, any version.
    OpenMetrics,
    /// Delimited messages of the `io.prometheus.client` schema.
    Protobuf,
    /// Observations in JSON.
    Observations(ObservationKind),
}

/// A media type of a known format in an unknown form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {got}")]
pub struct MediaTypeError {
    /// The forms of it that are taken.
    pub expected: &'static str,
    /// What the pusher said.
    pub got: String,
}

impl PushFormat {
    /// Any type but that of another format is taken for text: many clients send none, or their language's default.
    ///
    /// # Errors
    /// Protobuf of another message or in another encoding, or OpenMetrics of another version.
    pub fn of_content_type(content_type: &str) -> Result<Self, MediaTypeError> {
        let refused = |expected| Err(MediaTypeError { expected, got: content_type.trim().to_owned() });
        let clause = Clause::new(content_type);
        if clause.is(PROTOBUF) {
            if is_delimited_protobuf(&clause) {
                return Ok(Self::Protobuf);
            }
            return refused("protobuf with proto=io.prometheus.client.MetricFamily and encoding=delimited");
        }
        if clause.is(OPEN_METRICS) {
            return match clause.parameter("version").unwrap_or_default() {
                "" | "0.0.1" | "1.0.0" => Ok(Self::OpenMetrics),
                _ => refused("OpenMetrics in version 0.0.1 or 1.0.0"),
            };
        }
        Ok(Self::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Escaping::{AllowUtf8, Dots, Underscores, Values};
    use FormatKind::{OpenMetrics0_0_1, OpenMetrics1_0_0, Protobuf, Text0_0_4, Text1_0_0};

    const PROTO: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    /// In each header `PROTO` stands for the media type of protobuf.
    fn negotiated(accept: &str) -> (FormatKind, Escaping) {
        let format = negotiate(&accept.replace("PROTO", PROTO));
        (format.kind, format.escaping)
    }

    #[test]
    fn prometheus_gets_the_best_it_asks_for() {
        let cases = [
            // 2.42, without and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                (OpenMetrics1_0_0, Underscores),
            ),
            (
                "PROTO,application/openmetrics-text;version=1.0.0;q=0.8,\
                 application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                (Protobuf, Underscores),
            ),
            // 2.53.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                (OpenMetrics1_0_0, Underscores),
            ),
            (
                "PROTO;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,\
                 application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                (Protobuf, Underscores),
            ),
            // 3.5.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                (OpenMetrics1_0_0, AllowUtf8),
            ),
            (
                "PROTO;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                (Protobuf, Underscores),
            ),
            // 3.5, only the text formats wanted.
            (
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                (Text1_0_0, AllowUtf8),
            ),
        ];
        for (accept, expected) in cases {
            assert_eq!(negotiated(accept), expected, "{accept}");
        }
    }

    #[test]
    fn other_headers_are_negotiated_as_the_go_library_does() {
        let cases = [
            ("", (Text0_0_4, Underscores)),
            ("*/*", (Text0_0_4, Underscores)),
            ("text/*;q=0.9,PROTO;q=0.1", (Protobuf, Underscores)),
            ("application/*", (Text0_0_4, Underscores)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", (Text0_0_4, Underscores)),
            ("application/json, */*", (Text0_0_4, Underscores)),
            ("text/plain", (Text0_0_4, Underscores)),
            ("text/plain;version=0.0.4;escaping=allow-utf-8", (Text0_0_4, AllowUtf8)),
            ("text/plain;version=0.0.5", (Text0_0_4, Underscores)),
            ("text/plain;version=1.0.0", (Text1_0_0, Underscores)),
            ("application/openmetrics-text", (OpenMetrics0_0_1, Underscores)),
            ("application/openmetrics-text;version=0.0.1; escaping=dots", (OpenMetrics0_0_1, Dots)),
            ("application/openmetrics-text;version=1.0.0; escaping=values;", (OpenMetrics1_0_0, Values)),
            ("application/openmetrics-text;version=0.0.4", (Text0_0_4, Underscores)),
            ("application/openmetrics-text;version=2.0.0", (Text0_0_4, Underscores)),
            ("PROTO; escaping=allow-utf-8;", (Protobuf, AllowUtf8)),
            ("PROTO; escaping=unheard-of", (Protobuf, Underscores)),
            ("application/vnd.google.protobuf", (Text0_0_4, Underscores)),
            ("application/vnd.google.protobuf;proto=x.Y;encoding=delimited", (Text0_0_4, Underscores)),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text,\
                 application/openmetrics-text;version=1.0.0;q=0.5",
                (OpenMetrics1_0_0, Underscores),
            ),
            (
                r#"APPLICATION/vnd.google.protobuf; Encoding = "Delimited"; Proto="io.prometheus.client.MetricFamily""#,
                (Protobuf, Underscores),
            ),
            // Equal `q`: as written.
            ("text/plain,PROTO", (Text0_0_4, Underscores)),
            ("PROTO,text/plain", (Protobuf, Underscores)),
            ("text/plain;q=0.4,PROTO;q=0.5", (Protobuf, Underscores)),
            // What is not wanted, or not readable, is passed over.
            ("PROTO;q=0,application/openmetrics-text;version=1.0.0;q=0.1", (OpenMetrics1_0_0, Underscores)),
            ("PROTO;q=x,application/openmetrics-text;version=1.0.0;q=0.1", (OpenMetrics1_0_0, Underscores)),
            ("text/plain;q=0", (Text0_0_4, Underscores)),
            // The escaping of a clause that is passed over stays.
            ("application/json;escaping=dots,text/plain;q=0.5", (Text0_0_4, Dots)),
            ("application/json;escaping=dots,text/plain;escaping=values;q=0.5", (Text0_0_4, Values)),
            ("application/json;escaping=values", (Text0_0_4, Values)),
            ("*/*;escaping=dots,text/plain", (Text0_0_4, Underscores)),
            ("application/json;escaping=dots;q=0,text/plain", (Text0_0_4, Underscores)),
        ];
        for (accept, expected) in cases {
            assert_eq!(negotiated(accept), expected, "{accept}");
        }
    }

    #[test]
    fn every_format_has_a_content_type() {
        let proto = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        let cases = [
            (Text0_0_4, Underscores, "text/plain; version=0.0.4; charset=utf-8"),
            (Text0_0_4, Values, "text/plain; version=0.0.4; charset=utf-8; escaping=values"),
            (Text1_0_0, AllowUtf8, "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
            (Text1_0_0, Underscores, "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
            (OpenMetrics0_0_1, Underscores, "application/openmetrics-text; version=0.0.1; charset=utf-8"),
            (OpenMetrics0_0_1, Dots, "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=dots"),
            (
                OpenMetrics1_0_0,
                Underscores,
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            ),
            (Protobuf, Underscores, proto),
            (Protobuf, AllowUtf8, &format!("{proto}; escaping=allow-utf-8")),
        ];
        for (kind, escaping, expected) in cases {
            let format = Format { kind, escaping };
            assert_eq!(format.content_type(), expected);
            assert_eq!(negotiate(expected), format, "it is accepted as it is named");
        }
        assert_eq!(Format::default(), Format { kind: Text0_0_4, escaping: Underscores });
    }

    #[test]
    fn pushes_are_known_by_their_content_type() {
        let protobuf = "protobuf with proto=io.prometheus.client.MetricFamily and encoding=delimited";
        let version = "OpenMetrics in version 0.0.1 or 1.0.0";
        let cases = [
            ("", Ok(PushFormat::Text)),
            ("text/plain; version=0.0.4", Ok(PushFormat::Text)),
            ("application/x-www-form-urlencoded", Ok(PushFormat::Text)),
            ("application/openmetrics-text", Ok(PushFormat::OpenMetrics)),
            ("Application/OpenMetrics-Text ;charset=utf-8; VERSION=\"1.0.0\"", Ok(PushFormat::OpenMetrics)),
            ("application/openmetrics-text; version=0.0.1", Ok(PushFormat::OpenMetrics)),
            ("application/openmetrics-text; version=2.0.0", Err(version)),
            (PROTO, Ok(PushFormat::Protobuf)),
            (
                "application/vnd.google.protobuf; ENCODING=delimited ; proto=\"IO.prometheus.client.metricfamily\"",
                Ok(PushFormat::Protobuf),
            ),
            ("application/vnd.google.protobuf", Err(protobuf)),
            ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily", Err(protobuf)),
            ("application/vnd.google.protobuf; encoding=delimited; proto=x.Y", Err(protobuf)),
        ];
        for (content_type, expected) in cases {
            let error = |expected: &str| format!("expected {expected}, got {content_type}");
            let read = PushFormat::of_content_type(content_type).map_err(|error| error.to_string());
            assert_eq!(read, expected.map_err(error), "{content_type}");
        }
    }
}
