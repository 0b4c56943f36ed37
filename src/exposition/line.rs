//! A sample line, which text and OpenMetrics write alike: a name, labels, a value. The fast way of both; what stands between
//! sample lines, and what follows a value, is their own.

mod canonical;
mod scan;

use super::decoded::{Decoded, Name, NameOwner, Sample, SeriesText, Span};
use super::error::{DecodeError, Excerpt, Limits, Place};
use super::number::read_float;
use crate::model::labels::LabelHasher;
use crate::model::name::{label_name_length, metric_name_length};
use canonical::CanonicalReader;
use scan::string_mark;

/// Boxed, so that the way of a good line carries one pointer.
pub(super) type Result<T, E = Box<DecodeError>> = std::result::Result<T, E>;

/// Where blanks may stand within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blanks {
    /// Spaces and tabs between all parts, as text has it.
    Anywhere,
    /// One space before a value and nowhere else, as OpenMetrics has it.
    One,
}

/// Reads the parts of lines and puts samples into the scratch.
pub(super) struct LineReader<'b, 'd> {
    pub body: &'b [u8],
    pub limits: &'d Limits,
    pub line: u32,
    pub decoded: &'d mut Decoded,
    hasher: &'d LabelHasher,
    blanks: Blanks,
    /// The name of the sample before, as written; empty if it was in quotes.
    last_name: &'b [u8],
    canonical: CanonicalReader,
}

impl<'b, 'd> LineReader<'b, 'd> {
    /// A reader at the first line.
    pub fn new(
        body: &'b [u8],
        limits: &'d Limits,
        hasher: &'d LabelHasher,
        blanks: Blanks,
        decoded: &'d mut Decoded,
    ) -> Self {
        Self { body, limits, line: 1, decoded, hasher, blanks, last_name: b"", canonical: CanonicalReader::default() }
    }

    /// Ends the run of samples of one name: the next sample begins a new one, even of the same name.
    pub fn end_run(&mut self) {
        self.last_name = b"";
    }

    /// Reads up to the end of the value, and returns where that is.
    #[inline]
    pub fn sample(&mut self, start: usize) -> Result<usize> {
        let (mut at, in_braces) = self.sample_name(start)?;
        at = self.skip_blanks(at);
        let mut labels = Span::default();
        let mut canonical_hash = None;
        if in_braces {
            (labels, at) = self.labels(at, true)?;
        } else if self.peek(at) != Some(b'{') {
            canonical_hash = Some(self.hasher.hash(b""));
        } else if let Some(length) = self.canonical.labels(&self.body[at + 1..], self.limits) {
            labels = Span::new(at + 1, at + 1 + length);
            canonical_hash = Some(self.hasher.hash(&self.body[at + 1..at + 1 + length]));
            at += length + 2;
        } else {
            (labels, at) = self.labels(at + 1, false)?;
        }
        at = self.before_value(at)?;
        let Some((value, length)) = read_float(&self.body[at..]) else { return Err(self.error("a number", at)) };
        if self.decoded.samples.len() == self.limits.samples {
            return Err(self.too_many("samples in a push", self.limits.samples));
        }
        let name = self.decoded.names.len() as u32 - 1;
        let series = SeriesText { labels, name, place: self.line, canonical_hash };
        self.decoded.samples.push(Sample { series, value });
        Ok(at + length)
    }

    #[inline]
    fn before_value(&self, at: usize) -> Result<usize> {
        match self.blanks {
            Blanks::Anywhere => Ok(self.skip_blanks(at)),
            Blanks::One if self.peek(at) == Some(b' ') => Ok(at + 1),
            Blanks::One => Err(self.error("a space before the value", at)),
        }
    }

    /// Reads the name before or, in quotes, within the braces; the flag tells which.
    #[inline]
    fn sample_name(&mut self, start: usize) -> Result<(usize, bool)> {
        let text = &self.body[start..];
        let known = self.last_name.len();
        if known > 0 && text.starts_with(self.last_name) && metric_name_goes_on(text, known) == known {
            return Ok((start + known, false));
        }
        let length = metric_name_length(text);
        if length > 0 {
            self.limit_length("a metric name", self.limits.name_length, length)?;
            self.last_name = &text[..length];
            let text = Span::new(start, start + length);
            self.decoded.names.push(self.name(text, false));
            return Ok((start + length, false));
        }
        if text[0] != b'{' {
            return Err(self.error("a metric name", start));
        }
        let quote = self.skip_blanks(start + 1);
        if self.peek(quote) != Some(b'"') {
            return Err(self.error("a metric name in quotes", quote));
        }
        let name = self.quoted_metric_name(quote)?;
        self.last_name = b"";
        self.decoded.names.push(name);
        Ok((name.text.end() + 1, true))
    }

    fn quoted_metric_name(&self, quote: usize) -> Result<Name> {
        let end = self.string_end(quote + 1)?;
        if end == quote + 1 {
            return Err(self.error("a metric name that is not empty", quote));
        }
        self.limit_length("a metric name", self.limits.name_length, end - quote - 1)?;
        Ok(self.name(Span::new(quote + 1, end), true))
    }

    fn name(&self, text: Span, is_quoted: bool) -> Name {
        Name { text, is_quoted, place: self.line, owner: NameOwner::ByName }
    }

    /// Reads a metric name in a metadata line, quoted or not, and returns its end.
    pub fn metadata_name(&self, start: usize) -> Result<(Name, usize)> {
        if self.peek(start) == Some(b'"') {
            let name = self.quoted_metric_name(start)?;
            return Ok((name, name.text.end() + 1));
        }
        let length = metric_name_length(&self.body[start..]);
        if length == 0 {
            return Err(self.error("a metric name", start));
        }
        self.limit_length("a metric name", self.limits.name_length, length)?;
        Ok((self.name(Span::new(start, start + length), false), start + length))
    }

    /// Checks the escapes of a help text.
    pub fn help(&self, start: usize, end: usize) -> Result<Span> {
        let mut at = start;
        while let Some(backslash) = memchr::memchr(b'\\', &self.body[at..end]) {
            at += backslash;
            if !matches!(self.body[at + 1..end].first(), Some(b'\\' | b'n' | b'"')) {
                return Err(self.error(r"one of the escapes \\ and \n", at));
            }
            at += 2;
        }
        Ok(Span::new(start, end))
    }

    /// Reads labels in any spelling, and the closing brace. `after_name`: a quoted metric name stands before, so a comma
    /// must follow it.
    pub fn labels(&self, mut at: usize, after_name: bool) -> Result<(Span, usize)> {
        if after_name {
            match self.peek(at) {
                Some(b',') => at += 1,
                Some(b'}') => {}
                _ => return Err(self.error("',' or '}' after the metric name", at)),
            }
        }
        let start = at;
        for count in 0.. {
            at = self.skip_blanks(at);
            if self.peek(at) == Some(b'}') {
                if self.blanks == Blanks::One && self.body[..at].ends_with(b",") {
                    return Err(self.error("a label name", at));
                }
                break;
            }
            if count == self.limits.labels {
                return Err(self.too_many("labels", self.limits.labels));
            }
            at = self.skip_blanks(self.label(at)?);
            match self.peek(at) {
                Some(b',') => at += 1,
                Some(b'}') => break,
                _ => return Err(self.error("',' or '}' after a label", at)),
            }
        }
        Ok((Span::new(start, at), at + 1))
    }

    /// Reads `name="value"` and returns its end.
    fn label(&self, start: usize) -> Result<usize> {
        let equals = self.skip_blanks(self.label_name(start)?);
        if self.peek(equals) != Some(b'=') {
            return Err(self.error("'=' after a label name", equals));
        }
        let quote = self.skip_blanks(equals + 1);
        if self.peek(quote) != Some(b'"') {
            return Err(self.error("'\"' before a label value", quote));
        }
        let end = self.string_end(quote + 1)?;
        self.limit_length("a label value", self.limits.value_length, end - quote - 1)?;
        Ok(end + 1)
    }

    fn label_name(&self, start: usize) -> Result<usize> {
        let length = label_name_length(&self.body[start..]);
        let (name, end) = if length > 0 {
            (&self.body[start..start + length], start + length)
        } else if self.peek(start) == Some(b'"') {
            let end = self.string_end(start + 1)?;
            (&self.body[start + 1..end], end + 1)
        } else {
            return Err(self.error("a label name", start));
        };
        self.limit_length("a label name", self.limits.name_length, name.len())?;
        if name.is_empty() {
            return Err(self.error("a label name that is not empty", start));
        }
        if name.starts_with(b"__") {
            return Err(self.error("a label name that does not begin with \"__\"", start));
        }
        Ok(end)
    }

    /// Finds the quote that ends a string; `start` is behind the opening one. Checks the escapes.
    fn string_end(&self, start: usize) -> Result<usize> {
        let mut at = start;
        loop {
            at = string_mark(self.body, at);
            match self.peek(at) {
                Some(b'"') => return Ok(at),
                Some(b'\\') => match self.peek(at + 1) {
                    Some(b'\\' | b'"' | b'n') => at += 2,
                    _ => return Err(self.error(r#"one of the escapes \\, \" and \n"#, at)),
                },
                _ => return Err(self.error("'\"' at the end of a quoted string", at)),
            }
        }
    }

    #[inline]
    pub fn peek(&self, at: usize) -> Option<u8> {
        self.body.get(at).copied()
    }

    #[inline]
    pub fn skip_blanks(&self, mut at: usize) -> usize {
        if self.blanks == Blanks::One {
            return at;
        }
        while matches!(self.peek(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        at
    }

    #[inline]
    pub fn limit_length(&self, what: &str, limit: usize, got: usize) -> Result<()> {
        if got <= limit { Ok(()) } else { Err(self.too_long(what, limit, got)) }
    }

    /// A line's end does not count.
    #[cold]
    pub fn check_line_length(&self, line: &[u8]) -> Result<()> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.limit_length("a line", self.limits.line_length, line.len())
    }

    #[cold]
    pub fn error(&self, expected: &str, at: usize) -> Box<DecodeError> {
        let got = Excerpt::of(&self.body[at.min(self.body.len())..]);
        Box::new(DecodeError { place: Place::Line(self.line), expected: expected.to_owned(), got })
    }

    /// As [`Self::error`], said in words.
    #[cold]
    pub fn fault(&self, expected: &str, got: String) -> Box<DecodeError> {
        let place = Place::Line(self.line);
        Box::new(DecodeError { place, expected: expected.to_owned(), got: Excerpt::words(got) })
    }

    #[cold]
    pub fn too_long(&self, what: &str, limit: usize, got: usize) -> Box<DecodeError> {
        let expected = format!("{what} of at most {limit} bytes");
        Box::new(DecodeError { place: Place::Line(self.line), expected, got: Excerpt::words(format!("{got}")) })
    }

    #[cold]
    pub fn too_many(&self, what: &str, limit: usize) -> Box<DecodeError> {
        let expected = format!("at most {limit} {what}");
        Box::new(DecodeError { place: Place::Line(self.line), expected, got: Excerpt::words("more") })
    }
}

/// The length of a name that is known to reach `known`.
#[inline]
fn metric_name_goes_on(text: &[u8], known: usize) -> usize {
    match text.get(known) {
        Some(b'{' | b' ') => known,
        _ => metric_name_length(text),
    }
}
