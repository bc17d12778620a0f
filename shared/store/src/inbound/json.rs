//! Rows as statement parameters: one JSON array, which the statement expands. Postgres expands it with
//! `jsonb_array_elements`; SQLite with `jsonb_each`, because `json_each` writes each object as text and parses it again for
//! every field.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

/// Replaces the NUL character, which Postgres cannot store: one such text of a carrier must not block the stream.
struct WithoutNul;

impl Formatter for WithoutNul {
    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => writer.write_all("\u{fffd}".as_bytes()),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }
}

/// Serializes rows to a JSON array without NUL characters.
pub fn text<T: Serialize>(rows: &[T]) -> Result<String, sqlx::Error> {
    let encode = |error: serde_json::Error| sqlx::Error::Encode(Box::new(error));
    let mut bytes = Vec::with_capacity(256 * rows.len());
    rows.serialize(&mut Serializer::with_formatter(&mut bytes, WithoutNul))
        .map_err(encode)?;
    String::from_utf8(bytes).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
