//! Reads the Prometheus text format 0.0.4, with the quoted names of 1.0.0 ("Text-based format" in the Prometheus
//! documentation, and the reference reader `expfmt` where that is silent).
//!
//! Pure: bytes in, spans and values out, nothing copied, the caller's scratch reused. What a sample means (its family,
//! its series) is not known here. More lenient than the reference where real pushes stumble: CRLF, blanks at the end of
//! a line, a missing last line end, TYPE after samples. OpenMetrics is another format and not read here.

mod canonical;
mod comments;
mod scan;

use std::num::NonZeroU64;

use super::error::{DecodeError, Excerpt, Limits};
use super::number::read_float;
use crate::model::family::MetricKind;
use crate::model::labels::LabelHasher;
use crate::model::name::{label_name_length, metric_name_length};
use canonical::CanonicalReader;
use scan::string_mark;

/// A piece of the body. Bodies are below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The text in the body that the span was made from; empty for another body that is too short.
    #[inline]
    pub fn of(self, body: &str) -> &str {
        body.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// One sample line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The text between the braces; a metric name in quotes is not part of it.
    pub labels: Span,
    /// As written; may be NaN or infinite.
    pub value: f64,
    /// Index into [`Decoded::names`].
    pub name: u32,
    /// Counted from 1.
    pub line: u32,
    /// The labels' hash, if they are written as a series key is: names ascending, compact, unquoted (`model::labels`).
    pub canonical_hash: Option<NonZeroU64>,
}

/// A metric name as written, without its quotes but with their escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Without quotes, escapes as written.
    pub text: Span,
    /// Whether it stood in quotes and may hold anything.
    pub is_quoted: bool,
    /// Where it stood first, counted from 1.
    pub line: u32,
}

/// A HELP or TYPE line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Whose metadata it is.
    pub name: Name,
    /// What it says.
    pub content: MetadataContent,
}

/// What a HELP or TYPE line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataContent {
    /// The help as written, with the escapes `\\` and `\n`.
    Help(Span),
    /// What the family is.
    Type(MetricKind),
}

/// A decoded body; the scratch of one worker, reused push after push.
#[derive(Debug, Default)]
pub struct Decoded {
    /// In the order of the body.
    pub samples: Vec<Sample>,
    /// One entry for each run of samples with the same name.
    pub names: Vec<Name>,
    /// In the order of the body.
    pub metadata: Vec<Metadata>,
    /// Samples that came with a timestamp.
    pub timestamps: u64,
}

impl Decoded {
    /// Forgets the push, and gives memory back that one of usual size does not need.
    pub fn shrink(&mut self) {
        const USUAL_SAMPLES: usize = 16 * 1024;
        self.clear();
        self.samples.shrink_to(USUAL_SAMPLES);
        self.names.shrink_to(USUAL_SAMPLES);
        self.metadata.shrink_to(USUAL_SAMPLES);
    }

    fn clear(&mut self) {
        self.samples.clear();
        self.names.clear();
        self.metadata.clear();
        self.timestamps = 0;
    }
}

/// Decodes a whole body into `decoded` and returns the body as text, for the spans.
///
/// # Errors
/// The first line that is not the format's, or is beyond a limit. `decoded` then holds nothing of use.
pub fn decode<'b>(
    body: &'b [u8],
    limits: &Limits,
    hasher: &LabelHasher,
    decoded: &mut Decoded,
) -> Result<&'b str, DecodeError> {
    decoded.clear();
    let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
    let mut decoder =
        Decoder { body, limits, hasher, line: 1, last_name: b"", canonical: CanonicalReader::default(), decoded };
    decoder.run().map_err(|error| *error)?;
    Ok(text)
}

fn not_utf8(body: &[u8], at: usize) -> DecodeError {
    let line = memchr::memchr_iter(b'\n', &body[..at]).count() as u32 + 1;
    DecodeError { line, expected: "UTF-8".to_owned(), got: Excerpt::words(format!("byte 0x{:02x}", body[at])) }
}

/// Boxed, so that the way of a good line carries one pointer.
type Result<T, E = Box<DecodeError>> = std::result::Result<T, E>;

struct Decoder<'b, 'd> {
    body: &'b [u8],
    limits: &'d Limits,
    hasher: &'d LabelHasher,
    line: u32,
    /// The name of the sample before, as written; empty if it was in quotes.
    last_name: &'b [u8],
    canonical: CanonicalReader,
    decoded: &'d mut Decoded,
}

impl<'b> Decoder<'b, '_> {
    fn run(&mut self) -> Result<()> {
        let mut at = 0;
        while at < self.body.len() {
            let start = at;
            at = self.skip_blanks(at);
            at = match self.peek(at) {
                Some(b'\n') => at + 1,
                None | Some(b'\r') => self.end_of_line(at)?,
                Some(b'#') => self.comment(at + 1)?,
                Some(_) => self.sample(at)?,
            };
            if at - start > self.limits.line_length {
                self.check_line_length(&self.body[start..at])?;
            }
            self.line += 1;
        }
        Ok(())
    }

    #[inline]
    fn sample(&mut self, start: usize) -> Result<usize> {
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
        at = self.skip_blanks(at);
        let Some((value, length)) = read_float(&self.body[at..]) else { return Err(self.error("a number", at)) };
        let end = at + length;
        if self.decoded.samples.len() == self.limits.samples {
            return Err(self.too_many("samples in a push", self.limits.samples));
        }
        let name = self.decoded.names.len() as u32 - 1;
        self.decoded.samples.push(Sample { labels, value, name, line: self.line, canonical_hash });
        if self.peek(end) == Some(b'\n') { Ok(end + 1) } else { self.timestamp(end) }
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
            self.decoded.names.push(Name { text, is_quoted: false, line: self.line });
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
        Ok((name.text.end as usize + 1, true))
    }

    fn quoted_metric_name(&self, quote: usize) -> Result<Name> {
        let end = self.string_end(quote + 1)?;
        if end == quote + 1 {
            return Err(self.error("a metric name that is not empty", quote));
        }
        self.limit_length("a metric name", self.limits.name_length, end - quote - 1)?;
        Ok(Name { text: Span::new(quote + 1, end), is_quoted: true, line: self.line })
    }

    /// Reads labels in any spelling, and the closing brace. `after_name`: a quoted metric name stands before, so a comma
    /// must follow it.
    fn labels(&self, mut at: usize, after_name: bool) -> Result<(Span, usize)> {
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

    /// Reads what may follow a value: an integer timestamp, blanks, the line's end.
    fn timestamp(&mut self, at: usize) -> Result<usize> {
        let start = self.skip_blanks(at);
        if start == at || matches!(self.peek(start), None | Some(b'\n' | b'\r')) {
            return self.end_of_line(start);
        }
        let mut end = start;
        while self.peek(end).is_some_and(|byte| byte > b' ') {
            end += 1;
        }
        let digits = std::str::from_utf8(&self.body[start..end]).unwrap_or_default();
        if digits.parse::<i64>().is_err() {
            return Err(self.error("a timestamp in whole milliseconds, or the end of the line", start));
        }
        self.decoded.timestamps += 1;
        self.end_of_line(self.skip_blanks(end))
    }

    fn end_of_line(&self, at: usize) -> Result<usize> {
        match self.body[at..] {
            [] => Ok(at),
            [b'\n', ..] => Ok(at + 1),
            [b'\r'] | [b'\r', b'\n', ..] => Ok((at + 2).min(self.body.len())),
            _ => Err(self.error("the end of the line", at)),
        }
    }

    #[inline]
    fn peek(&self, at: usize) -> Option<u8> {
        self.body.get(at).copied()
    }

    #[inline]
    fn skip_blanks(&self, mut at: usize) -> usize {
        while matches!(self.peek(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        at
    }

    #[inline]
    fn limit_length(&self, what: &str, limit: usize, got: usize) -> Result<()> {
        if got <= limit { Ok(()) } else { Err(self.too_long(what, limit, got)) }
    }

    /// A line's end does not count.
    #[cold]
    fn check_line_length(&self, line: &[u8]) -> Result<()> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.limit_length("a line", self.limits.line_length, line.len())
    }

    #[cold]
    fn error(&self, expected: &str, at: usize) -> Box<DecodeError> {
        let got = Excerpt::of(&self.body[at.min(self.body.len())..]);
        Box::new(DecodeError { line: self.line, expected: expected.to_owned(), got })
    }

    #[cold]
    fn too_long(&self, what: &str, limit: usize, got: usize) -> Box<DecodeError> {
        let expected = format!("{what} of at most {limit} bytes");
        Box::new(DecodeError { line: self.line, expected, got: Excerpt::words(format!("{got}")) })
    }

    #[cold]
    fn too_many(&self, what: &str, limit: usize) -> Box<DecodeError> {
        let expected = format!("at most {limit} {what}");
        Box::new(DecodeError { line: self.line, expected, got: Excerpt::words("more") })
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

#[cfg(test)]
mod tests;
