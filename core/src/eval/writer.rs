//! Putting JSON text together from JSON texts.
//!
//! Invariant: what comes out is JSON if every part is; parts stay untouched.

use crate::payload::Payload;

/// An array in the making.
#[derive(Debug, Default)]
pub(super) struct ArrayWriter(Vec<u8>);

impl ArrayWriter {
    /// Appends an element.
    pub(super) fn item(&mut self, json: &[u8]) {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        self.0.extend_from_slice(json);
    }

    pub(super) fn finish(mut self) -> Payload {
        if self.0.is_empty() {
            self.0.push(b'[');
        }
        self.0.push(b']');
        Payload::new(self.0)
    }
}

/// An object in the making.
#[derive(Debug, Default)]
pub(super) struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    /// Appends a field; its name must not have come before.
    pub(super) fn field(&mut self, name: &str, json: &[u8]) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.extend(text(name));
        self.0.push(b':');
        self.0.extend_from_slice(json);
    }

    /// Appends a field with a text, or `null`.
    pub(super) fn text(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.field(name, &text(value)),
            None => self.field(name, b"null"),
        }
    }

    /// Appends a field with a payload, or `null`.
    pub(super) fn payload(&mut self, name: &str, payload: Option<&Payload>) {
        self.field(name, payload.map_or(b"null", Payload::bytes));
    }

    pub(super) fn finish(mut self) -> Payload {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        Payload::new(self.0)
    }
}

/// A text as JSON.
pub(super) fn text(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a text is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_as_they_are_and_names_escaped() {
        let mut array = ArrayWriter::default();
        assert_eq!(ArrayWriter::default().finish().bytes(), b"[]");
        array.item(b" 1.0 ");
        array.item(b"[ ]");
        assert_eq!(array.finish().bytes(), b"[ 1.0 ,[ ]]");
        let mut object = ObjectWriter::default();
        assert_eq!(ObjectWriter::default().finish().bytes(), b"{}");
        object.field("a\"", b" 2");
        object.text("b", Some("\n"));
        object.text("c", None);
        object.payload("d", Some(&Payload::new(*b"{ }")));
        object.payload("e", None);
        let expected: &[u8] = br#"{"a\"": 2,"b":"\n","c":null,"d":{ },"e":null}"#;
        assert_eq!(object.finish().bytes(), expected);
    }
}
