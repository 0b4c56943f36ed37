//! Reads JSON (RFC 8259) as programs write it, and as people print it in documents: keys without quotes or in single ones, a
//! comma before the end, and numbers such as `.5`, `+Inf` and `NaN`, bare or in quotes.
//!
//! A pull reader: nothing is built, the caller takes the members that it knows and passes over the others.

use std::borrow::Cow;

use wide::u8x16;

use super::number::parse_float;

/// Reads one value after the other.
#[derive(Clone, Debug)]
pub(super) struct JsonReader<'t> {
    text: &'t str,
    at: usize,
}

/// What should have stood at a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonFault {
    pub expected: Cow<'static, str>,
    pub at: usize,
}

type Result<T> = std::result::Result<T, JsonFault>;

/// An object or an array that is being read, before its first item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items {
    close: u8,
    is_begun: bool,
}

impl<'t> JsonReader<'t> {
    /// Values within values that are passed over, at the most.
    const DEEPEST: usize = 32;

    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no blank; `None` at the end.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Begins an object; its members are read with [`Self::next_key`].
    pub fn object(&mut self, expected: &'static str) -> Result<Items> {
        self.begin(b'{', b'}', expected)
    }

    /// Begins an array; its elements are read with [`Self::next_item`].
    pub fn array(&mut self, expected: &'static str) -> Result<Items> {
        self.begin(b'[', b']', expected)
    }

    fn begin(&mut self, open: u8, close: u8, expected: &'static str) -> Result<Items> {
        if self.peek() != Some(open) {
            return Err(self.fault(expected));
        }
        self.at += 1;
        Ok(Items { close, is_begun: false })
    }

    /// Goes on to the next item, if there is one; then its value is to be read.
    #[inline]
    pub fn next_item(&mut self, items: &mut Items) -> Result<bool> {
        if std::mem::replace(&mut items.is_begun, true) {
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == items.close => {}
                _ => return Err(self.fault(if items.close == b'}' { "',' or '}'" } else { "',' or ']'" })),
            }
        }
        let is_end = self.peek() == Some(items.close);
        self.at += usize::from(is_end);
        Ok(!is_end)
    }

    /// Goes on to the next member of an object, if there is one, and reads its key; then its value is to be read.
    #[inline]
    pub fn next_key(&mut self, members: &mut Items) -> Result<Option<Cow<'t, str>>> {
        if !self.next_item(members)? {
            return Ok(None);
        }
        let key = match self.peek() {
            Some(b'"' | b'\'') => self.quoted()?,
            _ => Cow::Borrowed(self.bare_key()?),
        };
        if self.peek() != Some(b':') {
            return Err(self.fault("':' behind a key"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    fn bare_key(&mut self) -> Result<&'t str> {
        let rest = &self.text[self.at..];
        let is_of_key = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
        let length = rest.bytes().position(|byte| !is_of_key(byte)).unwrap_or(rest.len());
        if length == 0 || rest.as_bytes()[0].is_ascii_digit() {
            return Err(self.fault("a key"));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// Reads a string.
    pub fn string(&mut self, expected: &'static str) -> Result<Cow<'t, str>> {
        match self.peek() {
            Some(b'"' | b'\'') => self.quoted(),
            _ => Err(self.fault(expected)),
        }
    }

    /// Reads a string, a number or a boolean, as text.
    pub fn scalar(&mut self, expected: &'static str) -> Result<Cow<'t, str>> {
        if let Some(b'"' | b'\'') = self.peek() {
            return self.quoted();
        }
        let word = self.word();
        if !matches!(word, "true" | "false") && parse_float(word.as_bytes()).is_none() {
            return Err(self.fault(expected));
        }
        self.at += word.len();
        Ok(Cow::Borrowed(word))
    }

    /// Reads a number, in quotes or not: strict JSON has no other way to write an infinite one.
    #[inline]
    pub fn number(&mut self, expected: &'static str) -> Result<f64> {
        let is_quoted = matches!(self.peek(), Some(b'"' | b'\''));
        let start = self.at;
        let value = match is_quoted {
            true => parse_float(self.quoted()?.as_bytes()),
            false => {
                let word = self.word();
                self.at += word.len();
                parse_float(word.as_bytes())
            }
        };
        value.ok_or(JsonFault { expected: Cow::Borrowed(expected), at: start })
    }

    /// Passes over `null`, if that is the value.
    pub fn null(&mut self) -> bool {
        let is_null = self.peek() == Some(b'n') && self.word() == "null";
        self.at += if is_null { "null".len() } else { 0 };
        is_null
    }

    /// Passes over a value, whatever it is.
    pub fn skip(&mut self) -> Result<()> {
        self.skip_within(Self::DEEPEST)
    }

    fn skip_within(&mut self, depth: usize) -> Result<()> {
        let next = self.peek();
        if depth == 0 && matches!(next, Some(b'{' | b'[')) {
            return Err(self.fault("values not as deep within others"));
        }
        match next {
            Some(b'{') => {
                let mut members = self.object("an object")?;
                while self.next_key(&mut members)?.is_some() {
                    self.skip_within(depth - 1)?;
                }
                Ok(())
            }
            Some(b'[') => {
                let mut items = self.array("an array")?;
                while self.next_item(&mut items)? {
                    self.skip_within(depth - 1)?;
                }
                Ok(())
            }
            _ if self.null() => Ok(()),
            _ => self.scalar("a value").map(drop),
        }
    }

    /// What stands there up to a blank or a byte that ends a value.
    #[inline]
    fn word(&self) -> &'t str {
        let rest = &self.text[self.at..];
        let is_end = |byte: u8| byte <= b' ' || matches!(byte, b',' | b'}' | b']' | b':' | b'{' | b'[' | b'"');
        &rest[..rest.bytes().position(is_end).unwrap_or(rest.len())]
    }

    /// Reads the string at whose quote the reader stands.
    #[inline]
    fn quoted(&mut self) -> Result<Cow<'t, str>> {
        let (text, start) = (self.text, self.at + 1);
        let quote = text.as_bytes()[self.at];
        let Some(length) = string_mark(&text.as_bytes()[start..], quote) else {
            return Err(self.fault("a quote at the end of the string"));
        };
        if text.as_bytes()[start + length] == quote {
            self.at = start + length + 1;
            return Ok(Cow::Borrowed(&text[start..start + length]));
        }
        self.escaped(start, quote).map(Cow::Owned)
    }

    #[cold]
    fn escaped(&mut self, start: usize, quote: u8) -> Result<String> {
        let bytes = self.text.as_bytes();
        let (mut at, mut plain) = (start, String::new());
        loop {
            let Some(length) = memchr::memchr2(quote, b'\\', &bytes[at..]) else {
                return Err(self.fault("a quote at the end of the string"));
            };
            plain.push_str(&self.text[at..at + length]);
            at += length;
            if bytes[at] == quote {
                self.at = at + 1;
                return Ok(plain);
            }
            let (character, length) = escape(&bytes[at + 1..])
                .ok_or(JsonFault { expected: "an escape such as \\n or \\u00e9 of a character".into(), at })?;
            plain.push(character);
            at += 1 + length;
        }
    }

    /// Nothing but blanks may follow.
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(self.fault("nothing more")) }
    }

    pub fn fault(&self, expected: impl Into<Cow<'static, str>>) -> JsonFault {
        JsonFault { expected: expected.into(), at: self.at }
    }
}

/// Where the string that `text` begins with ends, or has its first escape.
#[inline]
fn string_mark(text: &[u8], quote: u8) -> Option<usize> {
    // Most strings are in the first block; a search of all bytes takes longer to begin.
    const BLOCK: usize = size_of::<u8x16>();
    let Some((first, rest)) = text.split_first_chunk::<BLOCK>() else {
        return text.iter().position(|byte| *byte == quote || *byte == b'\\');
    };
    let block = u8x16::new(*first);
    let marks = block.simd_eq(u8x16::splat(quote)) | block.simd_eq(u8x16::splat(b'\\'));
    match marks.to_bitmask() {
        0 => memchr::memchr2(quote, b'\\', rest).map(|at| BLOCK + at),
        marks => Some(marks.trailing_zeros() as usize),
    }
}

/// The character of an escape, and the escape's length; `text` begins behind its backslash.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.first()? {
        b'"' => '"',
        b'\'' => '\'',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text),
        _ => return None,
    };
    Some((character, 1))
}

/// `uXXXX`, or two of them that are a pair of surrogates.
fn unicode_escape(text: &[u8]) -> Option<(char, usize)> {
    const LENGTH: usize = "uXXXX".len();
    let unit = |text: &[u8]| {
        let digits = text.strip_prefix(b"u")?.first_chunk::<4>()?;
        let is_hexadecimal = digits.iter().all(u8::is_ascii_hexdigit);
        u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok().filter(|_| is_hexadecimal)
    };
    let first = unit(text)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some((char::from_u32(first)?, LENGTH));
    }
    let second = unit(text[LENGTH..].strip_prefix(b"\\")?).filter(|unit| (0xDC00..0xE000).contains(unit))?;
    let character = char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))?;
    Some((character, 2 * LENGTH + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What passes for a value, as strict JSON.
    fn strict(text: &str) -> Result<String> {
        let mut reader = JsonReader::new(text);
        let shown = show(&mut reader)?;
        reader.end().map(|()| shown)
    }

    fn show(reader: &mut JsonReader<'_>) -> Result<String> {
        match reader.peek() {
            Some(b'{') => {
                let (mut members, mut shown) = (reader.object("an object")?, Vec::new());
                while let Some(key) = reader.next_key(&mut members)? {
                    shown.push(format!("{key:?}:{}", show(reader)?));
                }
                Ok(format!("{{{}}}", shown.join(",")))
            }
            Some(b'[') => {
                let (mut items, mut shown) = (reader.array("an array")?, Vec::new());
                while reader.next_item(&mut items)? {
                    shown.push(show(reader)?);
                }
                Ok(format!("[{}]", shown.join(",")))
            }
            Some(b'"' | b'\'') => Ok(format!("{:?}", reader.string("a string")?)),
            _ if reader.null() => Ok("null".to_owned()),
            _ => reader.scalar("a value").map(Cow::into_owned),
        }
    }

    #[test]
    fn strict_and_lenient_texts_are_read() {
        let cases = [
            (r#"{"a": 1, "b": [true, null, "x"]}"#, r#"{"a":1,"b":[true,null,"x"]}"#),
            ("{a: .5, $b_1: 5., c: +Inf, d: NaN, e: -inf}", r#"{"a":.5,"$b_1":5.,"c":+Inf,"d":NaN,"e":-inf}"#),
            ("{'a': 'it\\'s',}", r#"{"a":"it's"}"#),
            ("[1,2,]", "[1,2]"),
            ("[]", "[]"),
            ("{}", "{}"),
            (" \r\n\t[ { } ] ", "[{}]"),
            (r#""\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t""#, "\"é😀\\\"\\\\/\\u{8}\\u{c}\\n\\r\\t\""),
        ];
        for (text, expected) in cases {
            assert_eq!(strict(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let cases = [
            ("", "a value", 0),
            ("{", "a key", 1),
            ("{a}", "':' behind a key", 2),
            ("{1a: 1}", "a key", 1),
            ("{a: 1 b: 2}", "',' or '}'", 6),
            ("[1 2]", "',' or ']'", 3),
            ("[,]", "a value", 1),
            ("{a: 1,, b: 2}", "a key", 6),
            ("[1] 2", "nothing more", 4),
            ("\"a", "a quote at the end of the string", 0),
            (r#""a\"#, "an escape such as \\n or \\u00e9 of a character", 2),
            (r#""\x""#, "an escape such as \\n or \\u00e9 of a character", 1),
            (r#""\ud800""#, "an escape such as \\n or \\u00e9 of a character", 1),
            (r#""\udc00""#, "an escape such as \\n or \\u00e9 of a character", 1),
            (r#""\u+123""#, "an escape such as \\n or \\u00e9 of a character", 1),
            ("hello", "a value", 0),
            ("1e400", "a value", 0),
        ];
        for (text, expected, at) in cases {
            assert_eq!(strict(text), Err(JsonFault { expected: expected.into(), at }), "{text}");
        }
    }

    #[test]
    fn numbers_may_stand_in_quotes() {
        for (text, expected) in
            [("1.5", 1.5), ("\"+Inf\"", f64::INFINITY), ("'2'", 2.0), (".005", 0.005), ("-1e3", -1e3)]
        {
            assert_eq!(JsonReader::new(text).number("a number"), Ok(expected), "{text}");
        }
        for text in ["", "true", "\"\"", "\"1 \"", "{}", "0x10", "1_000"] {
            assert!(JsonReader::new(text).number("a number").is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_passed_over_is_not_too_deep() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        for (depth, is_passed) in
            [(1, true), (JsonReader::DEEPEST, true), (JsonReader::DEEPEST + 1, false), (100_000, false)]
        {
            assert_eq!(JsonReader::new(&nested(depth)).skip().is_ok(), is_passed, "{depth}");
        }
    }

    proptest! {
        #[test]
        fn strict_json_is_read_as_another_reader_does(value in values()) {
            let text = value.to_string();
            let shown = strict(&text).expect("what is written is read");
            prop_assert_eq!(shown.parse::<serde_json::Value>().ok(), Some(value), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,64}", marks in "[\\[\\]{}\"':,\\\\ua0 ]{0,64}") {
            for text in [text, marks] {
                if let Err(fault) = strict(&text) {
                    prop_assert!(fault.at <= text.len());
                }
                let _ = JsonReader::new(&text).skip();
            }
        }
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        // Without what Rust and JSON spell differently.
        let string = "[a-zé\"\\\\/ \n\t]{0,8}";
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            string.prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(string, inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
