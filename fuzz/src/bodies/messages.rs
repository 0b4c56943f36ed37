//! Families as protobuf, mostly valid: fields may be missing, come twice, or be of another kind.

use super::{Choices, DOUBLES, NAMES, Part, same, write_varint};

/// A tag of protobuf.
fn tag(number: u8, wire_type: u8) -> Part {
    same([number << 3 | wire_type])
}

fn text_field(number: u8, text: &str) -> Part {
    let mut field = vec![number << 3 | 2];
    write_varint(&mut field, text.len() as u64);
    field.extend_from_slice(text.as_bytes());
    Part::Same(field)
}

fn message(number: u8, parts: Vec<Part>) -> [Part; 2] {
    [tag(number, 2), Part::Message(parts)]
}

fn double(number: u8) -> [Part; 2] {
    [tag(number, 1), Part::Double]
}

fn count(number: u8) -> [Part; 2] {
    [tag(number, 0), Part::Count]
}

/// A `double` that stays the same.
fn same_double(number: u8, choices: &mut Choices<'_>) -> Part {
    let mut field = vec![number << 3 | 1];
    field.extend_from_slice(&choices.pick(&DOUBLES).to_le_bytes());
    Part::Same(field)
}

/// A `MetricFamily`, delimited.
pub(super) fn family(choices: &mut Choices<'_>) -> Part {
    let kind = choices.pick(&[0u8, 1, 4, 2, 3, 5]);
    let mut header = vec![text_field(1, choices.pick(&NAMES).trim_matches('"')), same([3 << 3, kind])];
    let said = choices.byte();
    if said & 1 == 1 {
        header.push(text_field(2, "Help"));
    }
    if said & 2 == 2 {
        header.push(text_field(5, "s"));
    }
    if said & 4 == 4 {
        header.push(unknown(choices));
    }
    let mut metrics = Vec::new();
    for _ in 0..choices.below(4) {
        metrics.extend(message(4, metric(kind, choices)));
    }
    // The fields may come in any order.
    let parts = if said & 24 == 24 { [metrics, header].concat() } else { [header, metrics].concat() };
    Part::Message(parts)
}

fn metric(kind: u8, choices: &mut Choices<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    let labels = choices.byte();
    for (bit, name, value) in
        [(1, "a", "1"), (2, "a", "2"), (4, "b", "\n\"\\"), (8, "clearmode", "replace"), (16, "x.y", "")]
    {
        if labels & bit == bit && labels & 192 != 0 {
            parts.extend(message(1, vec![text_field(1, name), text_field(2, value)]));
        }
    }
    let odd = choices.byte();
    let (field, value) = match kind {
        0 => (3, counter(odd, choices)),
        2 => (4, summary(odd, choices)),
        4 | 5 => (7, histogram(odd, choices)),
        1 => (2, double(1).to_vec()),
        _ => (5, double(1).to_vec()),
    };
    match odd >> 4 {
        // None; twice; of another kind besides; a timestamp; something unknown.
        0 => {}
        1 => parts.extend([message(field, value.clone()), message(field, value)].concat()),
        2 => parts.extend([message(field, value), message(2, double(1).to_vec())].concat()),
        3 => parts.extend(message(field, value).into_iter().chain([same([6 << 3, 1])])),
        4 => parts.extend([unknown(choices)].into_iter().chain(message(field, value))),
        5 => parts.extend(message(field, Vec::new())),
        _ => parts.extend(message(field, value)),
    }
    parts
}

fn counter(odd: u8, choices: &mut Choices<'_>) -> Vec<Part> {
    let created = || message(3, vec![same([1 << 3, 100, 2 << 3, 5])]);
    match odd & 15 {
        0 => [double(1), double(1)].concat(),
        1 => [double(1), created()].concat(),
        2 => [created(), double(1)].concat(),
        3 => double(1).into_iter().chain([unknown(choices)]).collect(),
        4 => [double(1), message(2, double(2).to_vec())].concat(),
        5 => vec![same_double(1, choices)],
        _ => double(1).to_vec(),
    }
}

fn summary(odd: u8, choices: &mut Choices<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    if odd & 1 == 0 {
        parts.extend(count(1));
    }
    if odd & 2 == 0 {
        parts.extend(double(2));
    }
    for _ in 0..choices.below(3) {
        parts.extend(message(3, vec![same_double(1, choices), tag(2, 1), Part::Double]));
    }
    if odd & 12 == 12 {
        parts.extend(count(1));
    }
    parts
}

fn histogram(odd: u8, choices: &mut Choices<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    if odd & 1 == 0 {
        parts.extend(count(1));
    }
    if odd & 2 == 0 {
        parts.extend(double(2));
    }
    for _ in 0..choices.below(4) {
        let mut bucket = count(1).to_vec();
        match choices.byte() {
            0..8 => bucket.push(same_double(4, choices)),
            8..16 => bucket.extend(count(1)),
            16..20 => bucket = vec![same_double(4, choices)],
            20..24 => bucket.extend(message(3, double(2).to_vec())),
            _ => {}
        }
        bucket.push(same_double(2, choices));
        parts.extend(message(3, bucket));
    }
    if odd & 12 == 12 {
        let field = choices.byte();
        match field % 8 {
            0 => parts.push(same_double(4, choices)),
            1 => parts.extend(count(7)),
            2 => parts.push(same_double(6, choices)),
            3 => parts.push(same_double(8, choices)),
            4 => parts.push(same([5 << 3, field])),
            5 => parts.push(same([15 << 3 | 2, 2, 1 << 3, field & 127])),
            6 => parts.extend(double(4)),
            _ => parts.extend([same([12 << 3 | 2, 4, 1 << 3, 0, 2 << 3, 1]), same([13 << 3, 2])]),
        }
    }
    parts
}

/// A field that no schema has, or one in another wire type.
fn unknown(choices: &mut Choices<'_>) -> Part {
    let number = choices.byte() % 16;
    Part::Same(match choices.below(4) {
        0 => vec![number << 3, 1],
        1 => [vec![number << 3 | 1], vec![1; 8]].concat(),
        2 => vec![number << 3 | 2, 1, 65],
        _ => vec![number << 3 | 5, 1, 2, 3, 4],
    })
}
