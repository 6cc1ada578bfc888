//! What the declared types of SQLite's columns stand for.

use sora_core::{Result, Type};

/// Returns the logical type of a declared type of a table that Sora did not make.
pub(crate) fn column_type(declared: &str) -> Type {
    let name = declared.split('(').next().unwrap_or_default();
    let words: Vec<String> = name.split_whitespace().map(str::to_ascii_uppercase).collect();
    match words.join(" ").as_str() {
        "BOOL" | "BOOLEAN" => Type::Bool,
        "INT" | "INTEGER" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "BIGINT" | "INT2" | "INT4"
        | "INT8" | "BIG INT" => Type::I64,
        "REAL" | "DOUBLE" | "DOUBLE PRECISION" | "FLOAT" => Type::F64,
        "TEXT" | "CLOB" | "CHAR" | "CHARACTER" | "VARCHAR" | "NCHAR" | "NVARCHAR"
        | "VARYING CHARACTER" | "CHARACTER VARYING" | "NATIVE CHARACTER" => Type::Text,
        "BLOB" => Type::Bytes,
        _ => Type::Unknown,
    }
}

/// Returns the other types that an entity may read a column as.
pub(crate) fn readable_as(column_type: Type, declared: &str) -> Vec<Type> {
    // All decimals are one type here; the digits are checked cell by cell.
    let decimal = Type::Decimal { precision: 28, scale: 0 };
    match column_type {
        Type::Bool => vec![Type::I64],
        Type::I64 => vec![Type::Bool],
        Type::Text => vec![Type::Timestamp, Type::Date, decimal, Type::Json],
        Type::Bytes => vec![Type::Uuid],
        Type::Unknown => {
            let mut types = vec![
                Type::Bool,
                Type::I64,
                Type::F64,
                Type::Bytes,
                Type::Timestamp,
                Type::Date,
                Type::Uuid,
            ];
            // Elsewhere SQLite would turn a text of digits into a number as it is written.
            if keeps_text(declared) {
                types.extend([Type::Text, decimal, Type::Json]);
            }
            types
        }
        _ => Vec::new(),
    }
}

/// Whether a declared type gives its column an affinity that leaves text as it is
/// (<https://sqlite.org/datatype3.html#determination_of_column_affinity>).
fn keeps_text(declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    let contains = |part: &str| declared.contains(part);
    if contains("INT") {
        return false;
    }
    declared.is_empty()
        || declared == "ANY"
        || ["CHAR", "CLOB", "TEXT", "BLOB"].into_iter().any(contains)
}

/// What Sora remembers of a column whose type SQLite lacks: `date`, or `i64 0 255`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Logical {
    pub(crate) column_type: Type,
    pub(crate) range: Option<(i64, i64)>,
}

impl Logical {
    /// Returns what must be remembered of a column; `None` if its declared type says it.
    pub(crate) fn of(column_type: Type, range: Option<(i64, i64)>) -> Option<Self> {
        let plain = matches!(column_type, Type::I64 | Type::F64 | Type::Text | Type::Bytes);
        (!plain || range.is_some()).then_some(Self { column_type, range })
    }

    pub(crate) fn text(self) -> String {
        match self.range {
            Some((min, max)) => format!("{} {min} {max}", self.column_type),
            None => self.column_type.to_string(),
        }
    }

    /// Reads what [`text`](Self::text) gave, if the column is still declared as Sora does.
    pub(crate) fn parse(text: &str, declared: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let column_type: Result<Type> = words.next()?.parse();
        let column_type = column_type.ok()?;
        let range = match (words.next(), words.next()) {
            (Some(min), Some(max)) => Some((min.parse().ok()?, max.parse().ok()?)),
            _ => None,
        };
        let fits = sora_sql::Sqlite::declared(column_type).eq_ignore_ascii_case(declared);
        fits.then_some(Self { column_type, range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_stand_for_logical_ones() {
        for (declared, expected) in [
            ("INTEGER", Type::I64),
            ("bigint", Type::I64),
            ("int(11)", Type::I64),
            ("double  precision", Type::F64),
            ("VARCHAR(255)", Type::Text),
            ("nvarchar (10)", Type::Text),
            ("BLOB", Type::Bytes),
            ("Boolean", Type::Bool),
            ("", Type::Unknown),
            ("ANY", Type::Unknown),
            ("DATE", Type::Unknown),
            ("DATETIME", Type::Unknown),
            ("NUMERIC", Type::Unknown),
            ("DECIMAL(10,2)", Type::Unknown),
            // Its affinity is INTEGER, because it contains INT; nobody means that.
            ("POINT", Type::Unknown),
        ] {
            assert_eq!(column_type(declared), expected, "{declared}");
        }
    }

    #[test]
    fn text_is_written_only_where_it_stays_text() {
        let reads =
            |declared: &str, expected| readable_as(Type::Unknown, declared).contains(&expected);
        assert!(reads("", Type::Text) && reads("ANY", Type::Json));
        assert!(!reads("NUMERIC", Type::Text) && !reads("DATETIME", Type::Json));
        assert!(reads("DATETIME", Type::Timestamp));
    }

    #[test]
    fn what_is_remembered_is_believed_while_it_fits() {
        for (column_type, range, declared) in [
            (Type::Date, None, "TEXT"),
            (Type::Decimal { precision: 10, scale: 2 }, None, "TEXT"),
            (Type::I64, Some((-128, 127)), "INTEGER"),
            (Type::Uuid, None, "BLOB"),
        ] {
            let logical = Logical::of(column_type, range).expect("remembered");
            assert_eq!(Logical::parse(&logical.text(), declared), Some(logical));
            assert_eq!(Logical::parse(&logical.text(), "ANY"), None);
        }
        assert_eq!(Logical::of(Type::Text, None), None);
    }
}
