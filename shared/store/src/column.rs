//! Text columns with the variants of an enum as values. Each enum names its table and column once, here or beside its type.

/// A value of a text column that the program never writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("table {table}, column {column}: unknown value {value:?}")]
pub struct UnknownValue {
    pub table: &'static str,
    pub column: &'static str,
    pub value: String,
}

/// Implements the decoding of a text column (`#[sqlx(try_from = "String")]`) for an enum that derives `strum::EnumString`.
macro_rules! text_column {
    ($type:ty, $table:literal, $column:literal) => {
        impl TryFrom<String> for $type {
            type Error = $crate::column::UnknownValue;

            fn try_from(value: String) -> Result<Self, Self::Error> {
                value.parse().map_err(|_| $crate::column::UnknownValue {
                    table: $table,
                    column: $column,
                    value,
                })
            }
        }
    };
}

pub(crate) use text_column;
