//! How rows travel into a statement: as one JSON text each. The engines differ only in how they take such a text apart.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

/// The statement for both engines, Postgres first. `rows`: a table `item` with one column `value`, an object or a list;
/// `texts`: the same for a list of texts. Each reads the parameter `$1`.
// SQLite would write each object out as text again, and read it for each field, with `json_each`.
macro_rules! statement {
    ($begin:expr, rows, $end:expr) => {
        (
            concat!($begin, " jsonb_array_elements($1::JSONB) AS item (value) ", $end),
            concat!($begin, " jsonb_each($1) AS item ", $end),
        )
    };
    ($begin:expr, texts, $end:expr) => {
        (
            concat!($begin, " jsonb_array_elements_text($1::JSONB) AS item (value) ", $end),
            concat!($begin, " json_each($1) AS item ", $end),
        )
    };
}

pub(crate) use statement;

/// What carriers send may hold the character zero, which Postgres can't keep: one such text must not hold up the stream.
struct WithoutZero;

impl Formatter for WithoutZero {
    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => writer.write_all("\u{fffd}".as_bytes()),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }
}

pub fn text<T: Serialize>(rows: &[T]) -> Result<String, sqlx::Error> {
    let encode = |error: serde_json::Error| sqlx::Error::Encode(Box::new(error));
    let mut bytes = Vec::with_capacity(256 * rows.len());
    rows.serialize(&mut Serializer::with_formatter(&mut bytes, WithoutZero))
        .map_err(encode)?;
    String::from_utf8(bytes).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
