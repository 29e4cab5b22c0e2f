//! Reading JSON text front to back, without building values of it.
//!
//! Invariant: a scanner passes over JSON no deeper than its limit and over nothing else; it reads each byte once, texts
//! with escapes twice.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::limits;

/// A position in JSON text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// Why a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("byte {0} is not what JSON has there")]
    Syntax(usize),
    #[error("it is nested deeper than {}", limits::JSON_DEPTH)]
    TooDeep,
}

/// The type of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

/// Reads the one value that the bytes hold; around it is whitespace only.
pub(super) fn whole<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Scanner<'a>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| Malformed::Syntax(error.valid_up_to()))?;
    let mut scanner = Scanner::new(text);
    let read = read(&mut scanner)?;
    scanner.space();
    match scanner.peek() {
        None => Ok(read),
        Some(_) => Err(scanner.syntax()),
    }
}

/// The type of the value that a text begins with.
pub(super) fn kind(text: &str) -> Result<Kind, Malformed> {
    Scanner::new(text).kind()
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Scanner<'a> {
        Scanner {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// The type of the value that comes next.
    pub(super) fn kind(&mut self) -> Result<Kind, Malformed> {
        self.space();
        match self.peek() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Boolean),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            Some(_) | None => Err(self.syntax()),
        }
    }

    /// The text of the value that comes next, which is passed over.
    pub(super) fn value(&mut self) -> Result<&'a str, Malformed> {
        self.space();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Passes over the value that comes next.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        match self.kind()? {
            Kind::Null => self.literal("null"),
            Kind::Boolean => self.boolean().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::String => self.string().map(drop),
            Kind::Array => self.array(|scanner, _| scanner.skip()),
            Kind::Object => self.object(|scanner, _| scanner.skip()),
        }
    }

    /// Passes over an array; `item` reads each element, given its position.
    pub(super) fn array(
        &mut self,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.enter(b'[')?;
        let mut position = 0;
        while position > 0 || !self.takes(b']') {
            item(self, position)?;
            position += 1;
            if !self.takes(b',') {
                self.take(b']')?;
                break;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over an object; `field` reads each field's value, given its name. Names may come twice.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.enter(b'{')?;
        let mut first = true;
        while !first || !self.takes(b'}') {
            first = false;
            self.space();
            let name = self.string()?;
            self.take(b':')?;
            field(self, name)?;
            if !self.takes(b',') {
                self.take(b'}')?;
                break;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over `null`, or another word, at this very position.
    pub(super) fn literal(&mut self, word: &str) -> Result<(), Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(())
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Malformed> {
        let is_true = self.peek() == Some(b't');
        self.literal(if is_true { "true" } else { "false" })?;
        Ok(is_true)
    }

    /// The text between the quotes, escapes resolved.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let start = self.at;
        self.literal("\"")?;
        let mut escaped = false;
        loop {
            let plain = self.text.as_bytes()[self.at..]
                .iter()
                .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f));
            self.at += plain.count();
            match self.peek() {
                Some(b'"') => break,
                // What is escaped may be the first byte of a longer character: then it is no JSON, which shows below.
                Some(b'\\') => {
                    escaped = true;
                    self.at = self.text.len().min(self.at + 2);
                }
                Some(_) | None => return Err(self.syntax()),
            }
        }
        self.at += 1;
        let quoted = &self.text[start..self.at];
        if !escaped {
            return Ok(Cow::Borrowed(&quoted[1..quoted.len() - 1]));
        }
        serde_json::from_str(quoted)
            .map(Cow::Owned)
            .map_err(|_| Malformed::Syntax(start))
    }

    /// The number as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(_) | None => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest.iter().take_while(|byte| byte.is_ascii_digit()).count() {
            0 => Err(self.syntax()),
            digits => {
                self.at += digits;
                Ok(())
            }
        }
    }

    fn enter(&mut self, bracket: u8) -> Result<(), Malformed> {
        self.take(bracket)?;
        if self.depth == limits::JSON_DEPTH {
            return Err(Malformed::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    /// Passes over whitespace and this byte.
    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.takes(byte) {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// Passes over whitespace, and over this byte if it is there.
    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn syntax(&self) -> Malformed {
        Malformed::Syntax(self.at)
    }
}

impl Kind {
    /// The type of a value that serde has read.
    pub(super) fn of(value: &Value) -> Kind {
        match value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Boolean,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::eval::samples;

    fn is_json(bytes: &[u8]) -> bool {
        whole(bytes, Scanner::skip).is_ok()
    }

    #[test]
    fn what_is_no_json_is_told_with_its_position() {
        for (text, at) in [
            ("", 0),
            (" ", 1),
            ("nul", 0),
            ("truex", 4),
            ("[1,]", 3),
            ("[,]", 1),
            ("[1 2]", 3),
            ("{\"a\" 1}", 5),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            ("1e+", 3),
            (".5", 0),
            ("+1", 0),
            ("\"a\nb\"", 2),
            ("\"open", 5),
            ("\"open\\", 6),
            ("\"\\é\"", 0),
            ("[\"\\q\"]", 1),
            ("\"\\ud800\"", 0),
            ("1 2", 2),
            ("[1", 2),
            ("\u{feff}1", 0),
        ] {
            let found = whole(text.as_bytes(), Scanner::skip);
            assert_eq!(found, Err(Malformed::Syntax(at)), "{text}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
        assert_eq!(
            whole(b"\"a\xff\"", Scanner::skip),
            Err(Malformed::Syntax(2))
        );
    }

    #[test]
    fn nesting_is_read_to_its_limit_and_no_deeper() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let deepest = nested(limits::JSON_DEPTH);
            assert!(is_json(deepest.as_bytes()));
            assert!(serde_json::from_str::<Value>(&deepest).is_ok());
            let found = whole(nested(limits::JSON_DEPTH + 1).as_bytes(), Scanner::skip);
            assert_eq!(found, Err(Malformed::TooDeep));
        }
        assert!(is_json(format!("[{}[]]", "[],".repeat(1_000)).as_bytes()));
    }

    #[test]
    fn numbers_beyond_every_float_are_json() {
        assert!(is_json(b"-12345678901234567890123.5e+999999999999"));
    }

    proptest! {
        #[test]
        fn it_passes_over_what_serde_reads_however_it_is_laid_out(text in samples::text()) {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
            let value = whole(text.as_bytes(), Scanner::value);
            prop_assert_eq!(value, Ok(text.trim_matches([' ', '\n', '\r', '\t'])));
        }

        #[test]
        fn it_stops_where_serde_does(text in samples::text(), at in any::<proptest::sample::Index>(), byte in samples::byte()) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let read = serde_json::from_slice::<Value>(&bytes);
            // Serde stops at numbers that no float holds, which are JSON.
            let float = read.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
            prop_assert!(float || is_json(&bytes) == read.is_ok());
        }
    }
}
