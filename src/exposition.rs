//! The exposition formats: bytes to samples and back. Pure: no actor, no clock, no input or output.
//!
//! [`decode`], [`write_header`] and [`write_series`] are the ways in and out for every format; each format has a file of its own
//! behind them.

pub mod datagram_decode;
pub mod decoded;
pub mod error;
mod exemplar;
pub mod format;
mod json;
mod line;
mod line_encode;
pub mod number;
pub mod observation_decode;
mod observations;
mod openmetrics_decode;
mod openmetrics_encode;
mod proto_decode;
pub mod proto_encode;
pub mod shown;
mod text_decode;
mod text_encode;

use crate::model::labels::LabelHasher;
use crate::model::value::{Millis, Value};
use decoded::Decoded;
use error::{DecodeError, Limits};
use format::{Format, FormatKind, PushFormat};
use proto_encode::LabelShape;
use shown::ShownFamily;

/// Protobuf messages of the `io.prometheus.client` schema, generated from `proto/`.
#[allow(missing_docs, reason = "generated; the schema carries the comments")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/io.prometheus.client.rs"));
}

/// Decodes a whole body into `decoded` and returns the text that its spans point into: the body, or what is written to `arena`
/// where the format is no text.
///
/// # Errors
/// The first thing that is not the format's, or is beyond a limit. `decoded` then holds nothing of use.
pub fn decode<'t>(
    format: PushFormat,
    body: &'t [u8],
    limits: &Limits,
    hasher: &LabelHasher,
    arena: &'t mut Vec<u8>,
    decoded: &mut Decoded,
) -> Result<&'t str, DecodeError> {
    match format {
        PushFormat::Text => text_decode::decode(body, limits, hasher, decoded),
        PushFormat::OpenMetrics => openmetrics_decode::decode(body, limits, hasher, decoded),
        PushFormat::Protobuf => proto_decode::decode(body, limits, hasher, arena, decoded),
        PushFormat::Observations(kind) => observation_decode::decode(kind, body, limits, hasher, arena, decoded),
    }
}

/// Appends what stands before a family's series. Protobuf's header comes with the length of all that follows, so it is not
/// written here: see [`proto_encode::begin_family`].
pub fn write_header(out: &mut Vec<u8>, format: Format, family: &ShownFamily) {
    match format.kind {
        FormatKind::Text0_0_4 | FormatKind::Text1_0_0 => text_encode::write_header(out, family),
        FormatKind::OpenMetrics0_0_1 | FormatKind::OpenMetrics1_0_0 => openmetrics_encode::write_header(out, family),
        FormatKind::Protobuf => {}
    }
}

/// The labels of a series as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct SeriesLabels<'a> {
    /// Canonical label text.
    pub text: &'a str,
    /// Its shape, if it is known.
    pub shape: Option<&'a LabelShape>,
}

/// Appends one series. A windowed gauge without a recent push has none.
#[inline]
pub fn write_series(
    out: &mut Vec<u8>,
    format: Format,
    family: &ShownFamily,
    labels: SeriesLabels<'_>,
    value: &Value,
    now: Millis,
) {
    match format.kind {
        FormatKind::Text0_0_4 | FormatKind::Text1_0_0 => {
            text_encode::write_series(out, family, labels.text, value, now);
        }
        FormatKind::OpenMetrics0_0_1 | FormatKind::OpenMetrics1_0_0 => {
            openmetrics_encode::write_series(out, family, labels.text, value, now);
        }
        FormatKind::Protobuf => proto_encode::write_series(out, family, labels, value, now),
    }
}

/// What stands at a page's end.
pub fn end_mark(format: Format) -> &'static [u8] {
    match format.kind {
        FormatKind::OpenMetrics0_0_1 | FormatKind::OpenMetrics1_0_0 => b"# EOF\n",
        FormatKind::Text0_0_4 | FormatKind::Text1_0_0 | FormatKind::Protobuf => b"",
    }
}
