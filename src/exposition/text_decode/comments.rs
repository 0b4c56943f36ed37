//! Reads the lines that begin with `#`: HELP, TYPE, and comments, which are passed over.

use super::{Decoder, Metadata, MetadataContent, Name, Result, Span};
use crate::model::family::MetricKind;
use crate::model::name::metric_name_length;

impl Decoder<'_, '_> {
    /// `#` begins HELP, TYPE, or a comment.
    pub(super) fn comment(&mut self, after_hash: usize) -> Result<usize> {
        let line_end = memchr::memchr(b'\n', &self.body[after_hash..]).map_or(self.body.len(), |end| after_hash + end);
        let next_line = (line_end + 1).min(self.body.len());
        let text_end = match self.body[after_hash..line_end] {
            [.., b'\r'] => line_end - 1,
            _ => line_end,
        };
        let keyword = self.skip_blanks(after_hash);
        let is_help = match self.body.get(keyword..(keyword + 4).min(text_end)) {
            Some(b"HELP") => true,
            Some(b"TYPE") => false,
            _ => return Ok(next_line),
        };
        let name_start = self.skip_blanks(keyword + 4);
        if name_start >= text_end || name_start == keyword + 4 {
            return Ok(next_line);
        }
        let (name, name_end) = self.metadata_name(name_start)?;
        let content_start = self.skip_blanks(name_end).min(text_end);
        if content_start == name_end && name_end < text_end {
            return Err(self.error("a blank after the metric name", name_end));
        }
        let content = if is_help {
            self.help(content_start, text_end)?
        } else if content_start == text_end {
            return Ok(next_line);
        } else {
            self.kind(content_start, text_end)?
        };
        self.decoded.metadata.push(Metadata { name, content });
        Ok(next_line)
    }

    fn metadata_name(&self, start: usize) -> Result<(Name, usize)> {
        if self.peek(start) == Some(b'"') {
            let name = self.quoted_metric_name(start)?;
            return Ok((name, name.text.end as usize + 1));
        }
        let length = metric_name_length(&self.body[start..]);
        if length == 0 {
            return Err(self.error("a metric name", start));
        }
        self.limit_length("a metric name", self.limits.name_length, length)?;
        Ok((Name { text: Span::new(start, start + length), is_quoted: false, line: self.line }, start + length))
    }

    fn help(&self, start: usize, end: usize) -> Result<MetadataContent> {
        let mut at = start;
        while let Some(backslash) = memchr::memchr(b'\\', &self.body[at..end]) {
            at += backslash;
            if !matches!(self.body[at + 1..end].first(), Some(b'\\' | b'n' | b'"')) {
                return Err(self.error(r"one of the escapes \\ and \n", at));
            }
            at += 2;
        }
        Ok(MetadataContent::Help(Span::new(start, end)))
    }

    fn kind(&self, start: usize, end: usize) -> Result<MetadataContent> {
        let word = std::str::from_utf8(&self.body[start..end]).unwrap_or_default();
        match MetricKind::from_name(word.trim_end_matches([' ', '\t'])) {
            Some(kind) => Ok(MetadataContent::Type(kind)),
            None => Err(self.error("a type (counter, gauge, histogram, summary or untyped)", start)),
        }
    }
}
