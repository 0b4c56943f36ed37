//! Reads the lines that begin with `#`: HELP, TYPE, and comments, which are passed over.

use super::Decoder;
use crate::exposition::decoded::{Metadata, MetadataContent};
use crate::exposition::line::Result;
use crate::model::family::MetricKind;

impl Decoder<'_, '_> {
    /// `#` begins HELP, TYPE, or a comment.
    pub(super) fn comment(&mut self, after_hash: usize) -> Result<usize> {
        let line_end = memchr::memchr(b'\n', &self.reader.body[after_hash..])
            .map_or(self.reader.body.len(), |end| after_hash + end);
        let next_line = (line_end + 1).min(self.reader.body.len());
        let text_end = match self.reader.body[after_hash..line_end] {
            [.., b'\r'] => line_end - 1,
            _ => line_end,
        };
        let keyword = self.reader.skip_blanks(after_hash);
        let is_help = match self.reader.body.get(keyword..(keyword + 4).min(text_end)) {
            Some(b"HELP") => true,
            Some(b"TYPE") => false,
            _ => return Ok(next_line),
        };
        let name_start = self.reader.skip_blanks(keyword + 4);
        if name_start >= text_end || name_start == keyword + 4 {
            return Ok(next_line);
        }
        let (name, name_end) = self.reader.metadata_name(name_start)?;
        let content_start = self.reader.skip_blanks(name_end).min(text_end);
        if content_start == name_end && name_end < text_end {
            return Err(self.reader.error("a blank after the metric name", name_end));
        }
        let content = if is_help {
            MetadataContent::Help(self.reader.help(content_start, text_end)?)
        } else if content_start == text_end {
            return Ok(next_line);
        } else {
            self.kind(content_start, text_end)?
        };
        if self.reader.decoded.metadata.len() == self.reader.limits.samples {
            return Err(self.reader.too_many("HELP and TYPE lines in a push", self.reader.limits.samples));
        }
        self.reader.decoded.metadata.push(Metadata { name, content });
        Ok(next_line)
    }

    fn kind(&self, start: usize, end: usize) -> Result<MetadataContent> {
        let word = std::str::from_utf8(&self.reader.body[start..end]).unwrap_or_default();
        match MetricKind::from_text(word.trim_end_matches([' ', '\t'])) {
            Some(kind) => Ok(MetadataContent::Type(kind)),
            None => Err(self.reader.error("a type (counter, gauge, histogram, summary or untyped)", start)),
        }
    }
}
