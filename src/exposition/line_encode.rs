//! The lines that text and OpenMetrics write alike: HELP and TYPE, and a sample's name and labels.

use std::borrow::Cow;

use super::shown::ShownFamily;
use crate::model::labels::{escape_value, needs_escaping, write_escaped};

/// Appends `# <keyword> <name> `.
pub(super) fn begin_metadata(out: &mut Vec<u8>, keyword: &str, family: &ShownFamily) {
    out.extend_from_slice(b"# ");
    out.extend_from_slice(keyword.as_bytes());
    out.push(b' ');
    if family.is_quoted {
        write_quoted(out, &family.name, "");
    } else {
        out.extend_from_slice(family.name.as_bytes());
    }
    out.push(b' ');
}

/// Appends the HELP line, if there is a help. `escaped` are the bytes that the format escapes there.
pub(super) fn write_help(out: &mut Vec<u8>, family: &ShownFamily, escaped: &[u8]) {
    let Some(help) = family.family.help() else { return };
    begin_metadata(out, "HELP", family);
    for byte in help.bytes() {
        if escaped.contains(&byte) {
            out.push(b'\\');
        }
        out.push(if byte == b'\n' { b'n' } else { byte });
    }
    out.push(b'\n');
}

fn write_quoted(out: &mut Vec<u8>, name: &str, suffix: &str) {
    out.push(b'"');
    out.extend_from_slice(escape_value(name).as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    out.push(b'"');
}

/// The samples of one series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    family: &'a ShownFamily,
    /// As shown.
    labels: &'a str,
}

impl<'a> Lines<'a> {
    /// Lines of a series whose labels are shown as `labels`.
    pub fn new(family: &'a ShownFamily, labels: &'a str) -> Self {
        Self { family, labels }
    }

    /// Appends a sample's name, its labels and a blank.
    #[inline]
    pub fn begin(self, out: &mut Vec<u8>, suffix: &str) {
        if self.family.is_quoted {
            self.begin_quoted(out, suffix);
            if !self.labels.is_empty() {
                out.push(b',');
            }
        } else {
            out.extend_from_slice(self.family.name.as_bytes());
            out.extend_from_slice(suffix.as_bytes());
            if self.labels.is_empty() {
                out.push(b' ');
                return;
            }
            out.push(b'{');
        }
        out.extend_from_slice(self.labels.as_bytes());
        out.extend_from_slice(b"} ");
    }

    /// The same for a bucket or a quantile, whose place among those of its series is the last label's value.
    pub fn begin_at(self, out: &mut Vec<u8>, suffix: &str, label: &str, position: impl FnOnce(&mut Vec<u8>)) {
        if self.family.is_quoted {
            self.begin_quoted(out, suffix);
            out.push(b',');
        } else {
            out.extend_from_slice(self.family.name.as_bytes());
            out.extend_from_slice(suffix.as_bytes());
            out.push(b'{');
        }
        out.extend_from_slice(self.labels.as_bytes());
        if !self.labels.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(b"=\"");
        position(out);
        out.extend_from_slice(b"\"} ");
    }

    fn begin_quoted(self, out: &mut Vec<u8>, suffix: &str) {
        out.push(b'{');
        write_quoted(out, &self.family.name, suffix);
    }
}

/// Label text as the family's page shows it.
#[inline]
pub(super) fn shown_labels<'a>(family: &ShownFamily, labels: &'a str) -> Cow<'a, str> {
    if !needs_escaping(labels, family.escaping) {
        return Cow::Borrowed(labels);
    }
    let mut shown = String::with_capacity(labels.len());
    write_escaped(&mut shown, labels, family.escaping);
    Cow::Owned(shown)
}
