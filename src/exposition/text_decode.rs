//! Reads the Prometheus text format 0.0.4, with the quoted names of 1.0.0 ("Text-based format" in the Prometheus
//! documentation, and the reference reader `expfmt` where that is silent).
//!
//! Pure: bytes in, spans and values out, nothing copied, the caller's scratch reused. What a sample means (its family,
//! its series) is not known here. More lenient than the reference where real pushes stumble: CRLF, blanks at the end of
//! a line, a missing last line end, TYPE after samples. OpenMetrics is another format and not read here.

mod comments;

use super::decoded::{Decoded, Places};
use super::error::{DecodeError, Limits, not_utf8};
use super::line::{Blanks, LineReader, Result};
use crate::model::labels::LabelHasher;

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
    decoded.start(Places::Lines);
    let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
    let mut decoder = Decoder { reader: LineReader::new(body, limits, hasher, Blanks::Anywhere, decoded) };
    decoder.run().map_err(|error| *error)?;
    Ok(text)
}

struct Decoder<'b, 'd> {
    reader: LineReader<'b, 'd>,
}

impl Decoder<'_, '_> {
    fn run(&mut self) -> Result<()> {
        let mut at = 0;
        while at < self.reader.body.len() {
            let start = at;
            at = self.reader.skip_blanks(at);
            at = match self.reader.peek(at) {
                Some(b'\n') => at + 1,
                None | Some(b'\r') => self.end_of_line(at)?,
                Some(b'#') => self.comment(at + 1)?,
                Some(_) => self.sample(at)?,
            };
            if at - start > self.reader.limits.line_length {
                self.reader.check_line_length(&self.reader.body[start..at])?;
            }
            self.reader.line += 1;
        }
        Ok(())
    }

    #[inline]
    fn sample(&mut self, start: usize) -> Result<usize> {
        let end = self.reader.sample(start)?;
        if self.reader.peek(end) == Some(b'\n') { Ok(end + 1) } else { self.timestamp(end) }
    }

    /// Reads what may follow a value: an integer timestamp, blanks, the line's end.
    fn timestamp(&mut self, at: usize) -> Result<usize> {
        let start = self.reader.skip_blanks(at);
        if start == at || matches!(self.reader.peek(start), None | Some(b'\n' | b'\r')) {
            return self.end_of_line(start);
        }
        let mut end = start;
        while self.reader.peek(end).is_some_and(|byte| byte > b' ') {
            end += 1;
        }
        let digits = std::str::from_utf8(&self.reader.body[start..end]).unwrap_or_default();
        if digits.parse::<i64>().is_err() {
            return Err(self.reader.error("a timestamp in whole milliseconds, or the end of the line", start));
        }
        self.reader.decoded.timestamps += 1;
        self.end_of_line(self.reader.skip_blanks(end))
    }

    fn end_of_line(&self, at: usize) -> Result<usize> {
        match self.reader.body[at..] {
            [] => Ok(at),
            [b'\n', ..] => Ok(at + 1),
            [b'\r'] | [b'\r', b'\n', ..] => Ok((at + 2).min(self.reader.body.len())),
            _ => Err(self.reader.error("the end of the line", at)),
        }
    }
}

#[cfg(test)]
mod tests;
