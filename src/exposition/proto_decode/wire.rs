//! The protobuf wire format ("Encoding" in the Protocol Buffers documentation): fields of a message, one after the other, each
//! checked to lie within it. Nothing is copied, and nothing is allocated by a length that was only claimed.

use crate::exposition::error::{DecodeError, Excerpt, Place};

/// Boxed, so that the way of a good field carries one pointer.
pub(super) type Result<T, E = Box<DecodeError>> = std::result::Result<T, E>;

/// The tag of a field: its number, and how its value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(pub u32);

/// Tags of fields by number.
impl Tag {
    const VARINT: u32 = 0;
    const FIXED64: u32 = 1;
    const BYTES: u32 = 2;
    const FIXED32: u32 = 5;

    /// A varint field.
    pub const fn varint(number: u32) -> Self {
        Self(number << 3 | Self::VARINT)
    }

    /// A double.
    pub const fn double(number: u32) -> Self {
        Self(number << 3 | Self::FIXED64)
    }

    /// Text, a message, or packed values.
    pub const fn bytes(number: u32) -> Self {
        Self(number << 3 | Self::BYTES)
    }

    fn number(self) -> u32 {
        self.0 >> 3
    }
}

/// The fields of one message that are yet to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'b> {
    body: &'b [u8],
    at: usize,
    end: usize,
}

impl<'b> Fields<'b> {
    /// All of the body.
    pub fn new(body: &'b [u8]) -> Self {
        Self { body, at: 0, end: body.len() }
    }

    /// Where the next byte stands in the body.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub fn len(&self) -> usize {
        self.end - self.at
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// The next field's tag; its value is to be read next.
    #[inline]
    pub fn tag(&mut self) -> Result<Option<Tag>> {
        if self.is_empty() {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        match u32::try_from(tag) {
            Ok(tag) if tag >> 3 > 0 => Ok(Some(Tag(tag))),
            _ => Err(self.fault(start, "a protobuf field", format!("the tag {tag}"))),
        }
    }

    /// A value of up to ten bytes, seven bits each.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        match self.bytes() {
            [byte, ..] if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            [low, high, ..] if *high < 0x80 => {
                self.at += 2;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[cold]
    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for (index, &byte) in self.body[self.at..self.end].iter().take(10).enumerate() {
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        let got = if self.len() < 10 { "the end of the message" } else { "more bits" };
        Err(self.fault(self.at, "a number of at most 64 bits", got.to_owned()))
    }

    /// A signed number in zigzag.
    pub fn zigzag(&mut self) -> Result<i64> {
        let coded = self.varint()?;
        Ok((coded >> 1) as i64 ^ -((coded & 1) as i64))
    }

    /// Eight bytes.
    #[inline]
    pub fn double(&mut self) -> Result<f64> {
        match self.body[self.at..self.end].first_chunk() {
            Some(bytes) => {
                self.at += 8;
                Ok(f64::from_le_bytes(*bytes))
            }
            None => Err(self.fault(self.at, "eight bytes of a number", "the end of the message".to_owned())),
        }
    }

    /// The fields of a message within this one.
    #[inline]
    pub fn message(&mut self) -> Result<Fields<'b>> {
        let start = self.at;
        let length = self.varint()?;
        if length > self.len() as u64 {
            let expected = format!("a length of at most {}", self.len());
            return Err(self.fault(start, &expected, length.to_string()));
        }
        let at = self.at;
        self.at += length as usize;
        Ok(Fields { body: self.body, at, end: self.at })
    }

    /// All that is left.
    #[inline]
    pub fn bytes(&self) -> &'b [u8] {
        &self.body[self.at..self.end]
    }

    /// The fields of a message that comes next under this tag, if its length is written in a byte or two and is sound. Says the
    /// same as [`Self::tag`] and [`Self::message`], and says it faster.
    #[inline]
    pub fn next_message(&mut self, tag: u8) -> Option<Fields<'b>> {
        let [first, low, high] = *self.bytes().first_chunk()?;
        let (start, length) = match (low, high) {
            (0..0x80, _) => (self.at + 2, usize::from(low)),
            (_, 0..0x80) => (self.at + 3, usize::from(low & 0x7f) | usize::from(high) << 7),
            _ => return None,
        };
        let end = start + length;
        if first != tag || end > self.end {
            return None;
        }
        self.at = end;
        Some(Fields { body: self.body, at: start, end })
    }

    /// All that is left, as text.
    pub fn text(&self, what: &str) -> Result<&'b str> {
        std::str::from_utf8(self.bytes()).map_err(|error| {
            let at = self.at + error.valid_up_to();
            let byte = self.body.get(at).copied().unwrap_or_default();
            self.fault(at, &format!("UTF-8 in {what}"), format!("byte 0x{byte:02x}"))
        })
    }

    /// A message without fields, at the same place.
    pub fn empty(&self) -> Self {
        Self { end: self.at, ..*self }
    }

    /// All that is left, and what stands behind it in the body.
    #[inline]
    pub fn tail(&self) -> &'b [u8] {
        &self.body[self.at..]
    }

    /// Goes on behind these bytes.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.end);
    }

    /// Passes over a field that is not known: newer senders may have more. `known` is the highest number that is.
    pub fn skip(&mut self, tag: Tag, message: &str, known: u32) -> Result<()> {
        if tag.number() <= known {
            return Err(self.unexpected(tag, message));
        }
        self.pass(tag, message)
    }

    /// Passes over the value of any field.
    #[inline]
    pub fn pass(&mut self, tag: Tag, message: &str) -> Result<()> {
        match tag.0 & 7 {
            Tag::VARINT => self.varint().map(drop),
            Tag::FIXED64 => self.double().map(drop),
            Tag::BYTES => self.message().map(drop),
            Tag::FIXED32 if self.len() >= 4 => {
                self.at += 4;
                Ok(())
            }
            _ => Err(self.unexpected(tag, message)),
        }
    }

    #[cold]
    fn unexpected(&self, tag: Tag, message: &str) -> Box<DecodeError> {
        let got = format!("field {} with wire type {}", tag.number(), tag.0 & 7);
        self.fault(self.at, &format!("a field of {message}"), got)
    }

    /// A fault at a byte of the body.
    #[cold]
    pub fn fault(&self, at: usize, expected: &str, got: String) -> Box<DecodeError> {
        Box::new(DecodeError { place: Place::Byte(at), expected: expected.to_owned(), got: Excerpt::words(got) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_read_up_to_64_bits() {
        let cases: &[(&[u8], u64)] = &[
            (&[0], 0),
            (&[0x7f], 127),
            (&[0x80, 1], 128),
            (&[0xac, 2], 300),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], u64::MAX),
        ];
        for (bytes, expected) in cases {
            let mut fields = Fields::new(bytes);
            assert_eq!((fields.varint().ok(), fields.len()), (Some(*expected), 0));
        }
        for bytes in
            [&[][..], &[0x80], &[0xff; 9], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
        {
            assert!(Fields::new(bytes).varint().is_err(), "{bytes:?}");
        }
        assert_eq!(Fields::new(&[1]).zigzag().ok(), Some(-1));
        assert_eq!(Fields::new(&[4]).zigzag().ok(), Some(2));
    }

    #[test]
    fn lengths_stay_within_their_message() {
        assert_eq!(Fields::new(&[2, b'a', b'b']).message().map(|inner| inner.len()).ok(), Some(2));
        let error = Fields::new(&[3, b'a', b'b']).message().expect_err("it is too long");
        assert_eq!(error.to_string(), "byte 0: expected a length of at most 2, got 3");
    }

    #[test]
    fn unknown_fields_are_passed_over_and_wrong_ones_not() {
        for bytes in [&[0x78, 5][..], &[0x79, 1, 2, 3, 4, 5, 6, 7, 8], &[0x7a, 1, 0], &[0x7d, 1, 2, 3, 4]] {
            let mut fields = Fields::new(bytes);
            let tag = fields.tag().expect("a tag").expect("a field");
            assert!(fields.skip(tag, "Metric", 7).is_ok() && fields.is_empty(), "{bytes:?}");
        }
        for bytes in [&[0x7b][..], &[0x7c], &[0x7d, 1], &[0x08, 1]] {
            let mut fields = Fields::new(bytes);
            let tag = fields.tag().expect("a tag").expect("a field");
            assert!(fields.skip(tag, "Metric", 7).is_err(), "{bytes:?}");
        }
        assert!(Fields::new(&[0]).tag().is_err(), "there is no field 0");
    }
}
