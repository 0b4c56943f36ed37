//! The exposition formats: bytes to samples and back. Pure: no actor, no clock, no input or output.

pub mod error;
pub mod number;
pub mod text_decode;
pub mod text_encode;

/// Protobuf messages of the `io.prometheus.client` schema, generated from `proto/`.
#[allow(missing_docs, reason = "generated; the schema carries the comments")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/io.prometheus.client.rs"));
}
