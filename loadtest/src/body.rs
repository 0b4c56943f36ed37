//! A push's content as bytes, in each format that gateways read.

mod protobuf;
mod text;

use std::io::Write;

use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::content::Content;

/// A format of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The text format 0.0.4, which every gateway reads.
    Text,
    /// Delimited protobuf.
    Protobuf,
    /// OpenMetrics 1.0.
    Openmetrics,
}

impl Format {
    /// The value of the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
            Format::Openmetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Renders a pusher's body at a step of the run.
pub fn render(content: &Content, format: Format, pusher: u64, step: u64) -> Vec<u8> {
    match format {
        Format::Text => text::render(content, text::Dialect::Classic, pusher, step),
        Format::Openmetrics => text::render(content, text::Dialect::OpenMetrics, pusher, step),
        Format::Protobuf => protobuf::render(content, pusher, step),
    }
}

/// Compresses a body, at the level that clients use who care for their own time.
pub fn gzipped(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
