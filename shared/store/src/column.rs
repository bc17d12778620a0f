//! Text columns with the variants of an enum as values. Each enum names its table and column once, here or beside its type.

/// A value of a text column that the program never writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("table {table}, column {column}: unknown value {value:?}")]
pub struct UnknownValue {
    pub table: &'static str,
    pub column: &'static str,
    pub value: String,
}

/// Implements the decoding of a text column for an enum that derives `strum::EnumString`. Not `#[sqlx(try_from = "String")]`:
/// sqlx replaces the error of that conversion by "unprintable error", without the value.
macro_rules! text_column {
    ($type:ty, $table:literal, $column:literal) => {
        impl<DB: sqlx::Database> sqlx::Type<DB> for $type
        where
            String: sqlx::Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <String as sqlx::Type<DB>>::type_info()
            }

            fn compatible(info: &DB::TypeInfo) -> bool {
                <String as sqlx::Type<DB>>::compatible(info)
            }
        }

        impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for $type
        where
            String: sqlx::Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                let value = <String as sqlx::Decode<'r, DB>>::decode(value)?;
                Ok(value.parse().map_err(|_| $crate::column::UnknownValue {
                    table: $table,
                    column: $column,
                    value,
                })?)
            }
        }
    };
}

pub(crate) use text_column;
