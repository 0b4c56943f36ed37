//! The shape of a label set: its names, and how long each value is. Most series of a family have one of a few shapes, and for a
//! known shape label pairs need not be looked for in the text: all but the values stands ready.

use smallvec::SmallVec;

use super::{LABEL, METRIC, NAME, VALUE, number_message};
use crate::model::labels::{Label, Labels};

/// What is the same in the label pairs of all label sets of one shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelShape {
    /// Most on the stack: a shape is made for each new series, and memory that is freed at once leaves gaps between the keys.
    pairs: SmallVec<[PairShape; 8]>,
    /// Bytes of the label pairs.
    length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PairShape {
    /// Everything before the value.
    head: [u8; PairShape::MOST],
    head_length: u8,
    /// Where the value stands in the text.
    value_start: u8,
    value_length: u8,
}

impl PairShape {
    /// A head is copied at once, whatever its length.
    const MOST: usize = 32;

    fn new(name: &str, value_start: usize, value_length: usize) -> Option<Self> {
        let mut head = [0; Self::MOST];
        let length = 4 + name.len();
        let pair_length = 2 + name.len() + 2 + value_length;
        head[..4].copy_from_slice(&[LABEL, u8::try_from(pair_length).ok()?, NAME, u8::try_from(name.len()).ok()?]);
        head.get_mut(4..length)?.copy_from_slice(name.as_bytes());
        head.get_mut(length..length + 2)?.copy_from_slice(&[VALUE, u8::try_from(value_length).ok()?]);
        Some(Self {
            head,
            head_length: length as u8 + 2,
            value_start: u8::try_from(value_start).ok()?,
            value_length: value_length as u8,
        })
    }
}

impl LabelShape {
    /// Beyond this not all lengths are written in one byte.
    const LONGEST_TEXT: usize = 120;

    /// Written beyond what is kept, at the most.
    const SLACK: usize = 2 * PairShape::MOST;

    /// The shape of canonical label text; `None` for one that is long, or not written as it is meant.
    pub fn of(labels: &str) -> Option<Self> {
        if labels.len() > Self::LONGEST_TEXT || labels.starts_with('"') || labels.contains('\\') {
            return None;
        }
        let mut at = 0;
        let pair = |label: Label<'_>| {
            let value_start = at + label.name.len() + 2;
            at = value_start + label.value.len() + 2;
            PairShape::new(label.name, value_start, label.value.len())
        };
        let pairs: SmallVec<[PairShape; 8]> = Labels::new(labels).map(pair).collect::<Option<_>>()?;
        let length = pairs.iter().map(|pair| usize::from(pair.head_length) + usize::from(pair.value_length)).sum();
        Some(Self { pairs, length })
    }

    /// Appends a metric with a number. `labels` are of this shape.
    #[inline]
    pub(super) fn write_number(&self, out: &mut Vec<u8>, labels: &str, field: u8, number: f64) {
        let message = number_message(field, number);
        let length = self.length + message.len();
        let head = if length < 0x80 { 2 } else { 3 };
        let start = out.len();
        let end = start + head + length;
        out.resize(end + Self::SLACK, 0);
        let metric = &mut out[start..];
        if head == 2 {
            metric[..2].copy_from_slice(&[METRIC, length as u8]);
        } else {
            metric[..3].copy_from_slice(&[METRIC, length as u8 | 0x80, (length >> 7) as u8]);
        }
        let number = self.write_pairs(&mut metric[head..], labels.as_bytes());
        number[..message.len()].copy_from_slice(&message);
        out.truncate(end);
    }

    /// Writes the label pairs and returns what is behind them. Each write may go beyond its end, where the next one follows.
    #[inline]
    fn write_pairs<'o>(&self, mut out: &'o mut [u8], labels: &[u8]) -> &'o mut [u8] {
        for pair in &self.pairs {
            out[..PairShape::MOST].copy_from_slice(&pair.head);
            out = &mut out[usize::from(pair.head_length)..];
            let length = usize::from(pair.value_length);
            copy(out, &labels[usize::from(pair.value_start)..], length);
            out = &mut out[length..];
        }
        out
    }
}

/// Copies `length` bytes, or a few more where both sides have them: whole blocks are faster.
#[inline]
fn copy(to: &mut [u8], from: &[u8], length: usize) {
    const BLOCK: usize = 16;
    if let (true, Some(to), Some(from)) = (length <= BLOCK, to.first_chunk_mut::<BLOCK>(), from.first_chunk()) {
        *to = *from;
    } else if let (true, Some(to), Some(from)) =
        (length <= 2 * BLOCK, to.first_chunk_mut::<{ 2 * BLOCK }>(), from.first_chunk())
    {
        *to = *from;
    } else if let (true, Some(to), Some(from)) = (length <= 4, to.first_chunk_mut::<4>(), from.first_chunk()) {
        *to = *from;
    } else {
        to[..length].copy_from_slice(&from[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_number;
    use super::*;
    use crate::model::labels::escape_value;
    use proptest::prelude::*;

    const FIELD: u8 = 3 << 3 | 2;

    fn shaped(labels: &str, number: f64) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        LabelShape::of(labels)?.write_number(&mut out, labels, FIELD, number);
        Some(out)
    }

    fn plain(labels: &str, number: f64) -> Vec<u8> {
        let mut out = b"before".to_vec();
        write_number(&mut out, labels, FIELD, number);
        out
    }

    #[test]
    fn long_and_escaped_texts_have_no_shape() {
        let long_value = format!("a=\"{}\"", "x".repeat(120));
        let long_name = format!("{}=\"x\"", "a".repeat(27));
        for labels in ["a=\"\\n\"", "\"a.b\"=\"1\"", &long_value, &long_name] {
            assert_eq!(LabelShape::of(labels), None, "{labels}");
        }
        assert_ne!(LabelShape::of("a=\"1\""), LabelShape::of("a=\"10\""));
        assert_eq!(LabelShape::of("a=\"1\",b=\"x\""), LabelShape::of("a=\"2\",b=\"y\""));
    }

    proptest! {
        #[test]
        fn what_is_shaped_is_what_is_written_plainly(
            labels in proptest::collection::btree_map("[a-z_]{1,30}", "[ -~é\n]{1,40}", 0..12),
            number in any::<f64>(),
        ) {
            let pairs: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape_value(value))).collect();
            let labels = pairs.join(",");
            if let Some(shaped) = shaped(&labels, number) {
                prop_assert_eq!(shaped, plain(&labels, number));
            }
        }
    }
}
