//! The protobuf messages of Prometheus, written and read by an implementation that shares no code with Catchment's.

mod generated {
    include!(concat!(env!("OUT_DIR"), "/generated/mod.rs"));
}

pub use generated::metrics::*;
pub use protobuf::well_known_types::timestamp::Timestamp;
pub use protobuf::{EnumOrUnknown, Message, MessageField, text_format};

/// Families as a push or a page carries them: each behind its length.
pub fn write_delimited<'f>(families: impl IntoIterator<Item = &'f MetricFamily>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for family in families {
        family.write_length_delimited_to_vec(&mut bytes).expect("a family that has all it needs");
    }
    bytes
}

/// The families of such bytes; an error if they are not whole.
pub fn read_delimited(bytes: &[u8]) -> protobuf::Result<Vec<MetricFamily>> {
    let mut input = protobuf::CodedInputStream::from_bytes(bytes);
    let mut families = Vec::new();
    while !input.eof()? {
        families.push(input.read_message()?);
    }
    Ok(families)
}

/// A family as protobuf's text form, a line for each field.
pub fn print(family: &MetricFamily) -> String {
    text_format::print_to_string_pretty(family)
}

/// A family from protobuf's text form, in which tests are easiest to read.
pub fn family(text: &str) -> MetricFamily {
    text_format::parse_from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}
