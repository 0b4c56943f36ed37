//! Reads the text of selectors and matchers.

use super::{LabelMatcher, MOST_MATCHERS, MatchOperator, NAME_LABEL, SelectorError};
use crate::model::name::{label_name_length, metric_name_length};

/// Characters that an error shows.
pub(super) const MOST_SHOWN: usize = 32;

const QUOTES: [char; 3] = ['"', '\'', '`'];

type Result<T> = std::result::Result<T, SelectorError>;

/// What is left of a text.
pub(super) struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    /// A whole selector: `name`, `name{…}` or `{…}`.
    pub(super) fn selector(&mut self) -> Result<Vec<LabelMatcher>> {
        self.skip_blanks();
        let name = self.bare(metric_name_length).map(str::to_owned);
        self.skip_blanks();
        let matchers = match (self.take("{"), name) {
            (true, name) => self.matchers(name)?,
            (false, Some(name)) => vec![name_matcher(name)?],
            (false, None) => return Err(self.expected("a metric name or {")),
        };
        self.end("the end of the selector")?;
        Ok(matchers)
    }

    /// What stands between braces, and the one that closes.
    fn matchers(&mut self, mut name: Option<String>) -> Result<Vec<LabelMatcher>> {
        let mut matchers: Vec<LabelMatcher> = Vec::new();
        loop {
            self.skip_blanks();
            if self.take("}") {
                break;
            }
            if matchers.len() == MOST_MATCHERS {
                return Err(SelectorError::TooMany);
            }
            let is_quoted = self.rest.starts_with(QUOTES);
            let label = self.label_name()?;
            self.skip_blanks();
            match &name {
                Some(before) if is_quoted && self.is_at_separator() => {
                    return Err(SelectorError::NameTwice(before.clone(), label));
                }
                None if is_quoted && self.is_at_separator() => name = Some(label),
                _ => matchers.push(self.condition(label)?),
            }
            self.skip_blanks();
            if !self.take(",") && !self.rest.starts_with('}') {
                return Err(self.expected("a comma or }"));
            }
        }
        with_name(name, matchers)
    }

    /// Whether a text in quotes that ended here is the metric name.
    fn is_at_separator(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with([',', '}'])
    }

    /// The name of a label, bare or in quotes.
    pub(super) fn label_name(&mut self) -> Result<String> {
        if self.rest.starts_with(QUOTES) {
            return self.quoted();
        }
        let name = self.bare(label_name_length).map(str::to_owned);
        name.ok_or_else(|| self.expected("a label name"))
    }

    /// The operator and the value behind a label's name.
    pub(super) fn condition(&mut self, name: String) -> Result<LabelMatcher> {
        if name.is_empty() {
            return Err(self.expected("a label name that is not empty before this"));
        }
        self.skip_blanks();
        let operator = MatchOperator::ALL.into_iter().find(|operator| self.take(operator.as_str()));
        let operator = operator.ok_or_else(|| self.expected("=, !=, =~ or !~"))?;
        self.skip_blanks();
        if !self.rest.starts_with(QUOTES) {
            return Err(self.expected("a value in quotes"));
        }
        let value = self.quoted()?;
        LabelMatcher::new(name, operator, value)
    }

    pub(super) fn end(&mut self, expected: &'static str) -> Result<()> {
        self.skip_blanks();
        if self.rest.is_empty() { Ok(()) } else { Err(self.expected(expected)) }
    }

    pub(super) fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, token: &str) -> bool {
        let behind = self.rest.strip_prefix(token);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn take_character(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    /// A name without quotes, whose length a function tells.
    fn bare(&mut self, length: fn(&[u8]) -> usize) -> Option<&'a str> {
        let (name, rest) = self.rest.split_at_checked(length(self.rest.as_bytes()))?;
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    /// A text in quotes, with the escapes of Go; between backticks there are none.
    fn quoted(&mut self) -> Result<String> {
        let start = self.rest;
        let quote = self.take_character();
        let mut text = Vec::new();
        loop {
            let here = self.rest;
            match self.take_character() {
                end if end == quote => break,
                Some('\\') if quote != Some('`') => self.escape(here, quote, &mut text)?,
                None => return Err(self.expected_at(start, "a closing quote for what opens")),
                Some('\n') if quote != Some('`') => return Err(self.expected_at(here, "a closing quote or \\n")),
                Some(_) => text.extend_from_slice(&here.as_bytes()[..here.len() - self.rest.len()]),
            }
        }
        // Escapes may write any bytes.
        String::from_utf8(text).map_err(|_| self.expected_at(start, "escapes that give UTF-8"))
    }

    /// What stands behind a backslash, which `start` begins with.
    fn escape(&mut self, start: &'a str, quote: Option<char>, text: &mut Vec<u8>) -> Result<()> {
        let byte = match self.take_character() {
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('f') => 0x0c,
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('v') => 0x0b,
            Some('\\') => b'\\',
            Some('x') => self.byte(start, 2, 16)?,
            Some('u') => return self.code_point(start, 4, text),
            Some('U') => return self.code_point(start, 8, text),
            Some('0'..='7') => {
                self.rest = &start[1..];
                self.byte(start, 3, 8)?
            }
            Some(escaped @ ('"' | '\'')) if Some(escaped) == quote => escaped as u8,
            _ => return Err(self.expected_at(start, "an escape that Go knows")),
        };
        text.push(byte);
        Ok(())
    }

    fn byte(&mut self, start: &'a str, digits: usize, radix: u32) -> Result<u8> {
        let number = self.digits(start, digits, radix)?;
        u8::try_from(number).map_err(|_| self.expected_at(start, "an escape of at most \\377"))
    }

    fn code_point(&mut self, start: &'a str, digits: usize, text: &mut Vec<u8>) -> Result<()> {
        let number = self.digits(start, digits, 16)?;
        let character = char::from_u32(number).ok_or_else(|| self.expected_at(start, "an escape of a character"))?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn digits(&mut self, start: &'a str, number: usize, radix: u32) -> Result<u32> {
        let digits = self.rest.get(..number).filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok());
        let value = value.ok_or_else(|| self.expected_at(start, "an escape with all its digits"))?;
        self.rest = &self.rest[number..];
        Ok(value)
    }

    fn expected(&self, expected: &'static str) -> SelectorError {
        self.expected_at(self.rest, expected)
    }

    /// An error at a part of the text that goes to its end.
    fn expected_at(&self, rest: &str, expected: &'static str) -> SelectorError {
        let before = &self.text[..self.text.len() - rest.len()];
        let got = match rest.chars().take(MOST_SHOWN).collect::<String>() {
            shown if shown.is_empty() => "the end".to_owned(),
            shown => format!("{shown:?}"),
        };
        SelectorError::Syntax { expected, got, at: before.chars().count() + 1 }
    }
}

fn name_matcher(name: String) -> Result<LabelMatcher> {
    LabelMatcher::new(NAME_LABEL.to_owned(), MatchOperator::Equal, name)
}

/// The name is the first matcher. With one, there is none of `__name__`: it could only say the same, or make the selector empty.
fn with_name(name: Option<String>, mut matchers: Vec<LabelMatcher>) -> Result<Vec<LabelMatcher>> {
    let Some(name) = name else { return Ok(matchers) };
    if let Some(other) = matchers.iter().find(|matcher| matcher.name == NAME_LABEL) {
        return Err(SelectorError::NameTwice(name, other.value.clone()));
    }
    matchers.insert(0, name_matcher(name)?);
    Ok(matchers)
}
