//! Bodies of pushes that come again and again, made of the input's bytes: what stays the same, and values that change.

mod choices;
mod lines;
mod messages;

use catchment::exposition::format::PushFormat;

pub use choices::Choices;

/// A part of a body.
#[derive(Clone, Debug)]
enum Part {
    Same(Vec<u8>),
    /// A value of text.
    Decimal,
    /// A `double` of protobuf.
    Double,
    /// A whole count of protobuf.
    Count,
    /// A message of protobuf behind its tag.
    Message(Vec<Part>),
}

/// A body that may be written with other values each time.
#[derive(Clone, Debug)]
pub struct Body {
    parts: Vec<Part>,
}

const DECIMALS: [&str; 22] = [
    "1",
    "2",
    "0",
    "7",
    "-1",
    "-0",
    "NaN",
    "+Inf",
    "-Inf",
    "1e3",
    "0.5",
    "9007199254740992",
    "9007199254740993",
    "35184372088832",
    "35184372088833",
    "1e400",
    "x",
    "1 5",
    "1\t",
    "1 # {} 1",
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
    "1\r",
];

/// Markers stand where values were, so what looks like one is of interest.
const FIRST_MARKER: u64 = 1 << 45;

const DOUBLES: [f64; 12] =
    [1.0, 0.0, 2.5, -1.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, (1u64 << 45) as f64, 3e13, 5e-324];

const COUNTS: [u64; 11] = [1, 0, 2, 127, 128, 70_000, 1 << 53, (1 << 53) + 1, u64::MAX, FIRST_MARKER, FIRST_MARKER + 1];

impl Body {
    /// A body by the grammar of its format, which is one of those that come with whole families; now and then it is not valid.
    pub fn new(format: PushFormat, choices: &mut Choices<'_>) -> Self {
        let mut parts = Vec::new();
        for _ in 0..1 + choices.below(5) {
            match format {
                PushFormat::Protobuf => parts.push(messages::family(choices)),
                _ => lines::lines(format, choices, &mut parts),
            }
        }
        if format == PushFormat::OpenMetrics {
            parts.push(same("# EOF\n"));
        }
        Self { parts }
    }

    /// A body of any bytes, which has no values to be changed.
    pub fn raw(bytes: &[u8]) -> Self {
        Self { parts: vec![Part::Same(bytes.to_vec())] }
    }

    /// Writes it with values as they are chosen.
    pub fn write(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        write_parts(&self.parts, choices, &mut out);
        out
    }
}

fn write_parts(parts: &[Part], choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Same(bytes) => out.extend_from_slice(bytes),
            Part::Decimal => out.extend_from_slice(choices.pick(&DECIMALS).as_bytes()),
            Part::Double => out.extend_from_slice(&choices.pick(&DOUBLES).to_le_bytes()),
            Part::Count => write_varint(out, choices.pick(&COUNTS)),
            Part::Message(parts) => {
                let mut message = Vec::new();
                write_parts(parts, choices, &mut message);
                write_varint(out, message.len() as u64);
                out.append(&mut message);
            }
        }
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn same(text: impl AsRef<[u8]>) -> Part {
    Part::Same(text.as_ref().to_vec())
}

const NAMES: [&str; 8] = ["a", "b", "a_sum", "a_count", "a_bucket", "b_total", "\"a.b\"", "a_b"];

/// Changes a body's bytes: a few edits that may well make it invalid.
pub fn mutated(mut body: Vec<u8>, choices: &mut Choices<'_>) -> Vec<u8> {
    for _ in 0..1 + choices.below(3) {
        let at = (choices.below(256) << 8 | choices.below(256)) % body.len().max(1);
        match choices.below(8) {
            0 if !body.is_empty() => body[at] ^= 1 << choices.below(8),
            1 if !body.is_empty() => body[at] = choices.byte(),
            2 => body.truncate(at),
            3 => drop(body.splice(at.min(body.len())..at.min(body.len()), choices.bytes().iter().copied())),
            4 if !body.is_empty() => drop(body.drain(at..(at + 1 + choices.below(8)).min(body.len()))),
            5 => swap_lines(&mut body, choices),
            6 => {
                let end = (at + choices.below(64)).min(body.len());
                let again = body[at.min(end)..end].to_vec();
                drop(body.splice(end..end, again));
            }
            _ => body.extend_from_slice(choices.pick(&[&b"\n"[..], b"a 1\n", b"a 1", b"# EOF\n", b"\0", b"#"])),
        }
    }
    if choices.is() && body.len() > 4096 {
        body.truncate(4096);
    }
    body
}

fn swap_lines(body: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let mut lines: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').collect();
    if !lines.is_empty() {
        let (one, other) = (choices.below(lines.len()), choices.below(lines.len()));
        lines.swap(one, other);
        *body = lines.concat();
    }
}
