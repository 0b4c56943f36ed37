//! Header values that are lists of clauses with parameters: `Accept`, `Accept-Encoding` and, of one clause,
//! `Content-Type`.
//!
//! Written here because no crate fits: a clause that cannot be read must cost no more than itself, blanks stand in odd
//! places, and `q` is one parameter among others of the format. `mime` reads single types only, and strictly.

/// One clause: `value;name=value;…;q=0.5`.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause<'a> {
    /// What stands before the first semicolon.
    pub value: &'a str,
    /// How much it is wanted: 1 if nothing is said, 0 if what is said is no number.
    pub q: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    /// Reads one clause. A part without `=` is no parameter.
    pub fn new(text: &'a str) -> Self {
        let mut parts = split(text, b';');
        let value = parts.next().unwrap_or_default().trim();
        let parameters: Vec<_> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim(), unquoted(value.trim())))
            .collect();
        let mut clause = Self { value, q: 1.0, parameters };
        if let Some(q) = clause.parameter("q") {
            clause.q = q.parse().ok().filter(|q: &f32| !q.is_nan()).unwrap_or(0.0);
        }
        clause
    }

    /// Whether that is its value, in any case.
    pub fn is(&self, value: &str) -> bool {
        self.value.eq_ignore_ascii_case(value)
    }

    /// The value of a parameter, without its quotes.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Whether a parameter has that value, in any case.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.parameter(name).is_some_and(|it| it.eq_ignore_ascii_case(value))
    }
}

/// The clauses of a header, as they are written.
pub fn clauses(header: &str) -> impl Iterator<Item = Clause<'_>> {
    split(header, b',').map(Clause::new).filter(|clause| !clause.value.is_empty())
}

/// Splits at a mark, but not within quotes.
fn split(text: &str, mark: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = end_of_part(text.as_bytes(), mark);
        rest = text.get(end + 1..);
        text.get(..end)
    })
}

fn end_of_part(text: &[u8], mark: u8) -> usize {
    let mut is_quoted = false;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => at += 1,
            byte if byte == mark && !is_quoted => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Escapes within the quotes stay: no value that means something here has one.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clauses_are_read() {
        let header = r#"text/plain ; Version = "0.0.4" ;Q=0.5,, a;x="1,2;\"3",b;q=0,c;q=x,d;flag;y=1=2,*/*;q=1e-1"#;
        let read: Vec<_> = clauses(header).collect();
        let values: Vec<_> = read.iter().map(|clause| (clause.value, clause.q)).collect();
        assert_eq!(values, [("text/plain", 0.5), ("a", 1.0), ("b", 0.0), ("c", 0.0), ("d", 1.0), ("*/*", 0.1)]);
        assert!(read[0].is("TEXT/plain") && read[0].has("version", "0.0.4"));
        assert_eq!(read[1].parameter("X"), Some(r#"1,2;\"3"#));
        assert_eq!((read[4].parameter("flag"), read[4].parameter("y")), (None, Some("1=2")));
        assert_eq!(clauses("").count(), 0);
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in any::<String>(), odd in r#"[a",;=\\é ]{0,20}"#) {
            prop_assert!(clauses(&header).count() <= header.len());
            prop_assert_eq!(split(&odd, b',').collect::<Vec<_>>().join(","), odd.as_str());
        }
    }
}
