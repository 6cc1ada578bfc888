//! The opaque token of a place in a query's result.
//!
//! A token is the unpadded base64url of: version (1 byte), fingerprint of the schema (8 bytes), hash
//! of filter and sort (8 bytes), number of values (2 bytes), and the values of the sort columns of
//! the last row. It grants nothing that the query itself does not, so it is not signed.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::schema::fnv1a;
use crate::{
    Cell, Date, Decimal, Error, ErrorKind, Predicate, Result, Schema, Sort, Timestamp, Type, Value,
};

/// The place behind a row of a sorted query; pass it on to get the next page.
///
/// It displays as text that is safe in URLs, and is read back by [`str::parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    schema: u64,
    query: u64,
    values: Vec<Value>,
}

impl Cursor {
    /// The longest token in bytes.
    pub const BYTES_MAX: usize = 64 * 1024;
    const VERSION: u8 = 1;

    /// Returns the place behind a row with these values of the sort columns.
    pub fn new(schema: &Schema, filter: &Predicate, sort: &[Sort], values: Vec<Value>) -> Self {
        Self { schema: schema.fingerprint(), query: query_hash(schema, filter, sort), values }
    }

    /// Returns the values, after checking that the token belongs to this query.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it came from another table, filter or sort.
    pub fn values(&self, schema: &Schema, filter: &Predicate, sort: &[Sort]) -> Result<&[Value]> {
        let fits = |(sort, value): (&Sort, &Value)| {
            let column = schema.column(sort.column);
            type_of(value.cell())
                .map_or(column.nullable, |found| same_type(found, column.column_type))
        };
        if self.schema != schema.fingerprint() {
            return Err(refused("it belongs to another table, or the table has changed"));
        }
        if self.query != query_hash(schema, filter, sort)
            || self.values.len() != sort.len()
            || !sort.iter().zip(&self.values).all(fits)
        {
            return Err(refused("it belongs to a query with another filter or sort"));
        }
        Ok(&self.values)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        bytes.extend(self.schema.to_le_bytes());
        bytes.extend(self.query.to_le_bytes());
        // A sort has at most as many columns as a table.
        bytes.extend(u16::try_from(self.values.len()).unwrap_or(u16::MAX).to_le_bytes());
        for value in &self.values {
            encode_cell(value.cell(), &mut bytes);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        if rest.array::<1>()? != [Self::VERSION] {
            return None;
        }
        let schema = u64::from_le_bytes(rest.array()?);
        let query = u64::from_le_bytes(rest.array()?);
        let count = usize::from(u16::from_le_bytes(rest.array()?));
        let values = (0..count).map(|_| rest.value()).collect::<Option<Vec<_>>>()?;
        rest.0.is_empty().then_some(Self { schema, query, values })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64_encode(&self.encode()))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(token: &str) -> Result<Self> {
        if token.len() > Self::BYTES_MAX {
            return Err(refused("it is longer than any token"));
        }
        base64_decode(token)
            .and_then(|bytes| Self::decode(&bytes))
            .ok_or_else(|| refused("it is damaged; use the token of a page as it was given"))
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("the cursor cannot be used: {why}"))
}

/// The display of a bound predicate says all of it, literals too.
fn query_hash(schema: &Schema, filter: &Predicate, sort: &[Sort]) -> u64 {
    let mut hash = Hash(crate::schema::FNV_START);
    // A hash takes all text.
    let _ = write!(hash, "{}", filter.display(schema));
    sort.iter().fold(hash.0, |hash, Sort { column, descending }| {
        fnv1a(fnv1a(hash, &column.to_le_bytes()), &[u8::from(*descending)])
    })
}

/// The hash of what is written to it.
struct Hash(u64);

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = fnv1a(self.0, text.as_bytes());
        Ok(())
    }
}

fn type_of(cell: Cell<'_>) -> Option<Type> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Bool(_) => Type::Bool,
        Cell::I64(_) => Type::I64,
        Cell::F64(_) => Type::F64,
        Cell::Decimal(_) => Type::Decimal { precision: 1, scale: 0 },
        Cell::Text(_) => Type::Text,
        Cell::Bytes(_) => Type::Bytes,
        Cell::Timestamp(_) => Type::Timestamp,
        Cell::Date(_) => Type::Date,
        Cell::Uuid(_) => Type::Uuid,
        Cell::Json(_) => Type::Json,
    })
}

fn same_type(found: Type, expected: Type) -> bool {
    std::mem::discriminant(&found) == std::mem::discriminant(&expected)
}

fn encode_cell(cell: Cell<'_>, out: &mut Vec<u8>) {
    let mut put = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend(bytes);
    };
    match cell {
        Cell::Null | Cell::Json(_) => put(0, &[]),
        Cell::Bool(value) => put(1, &[u8::from(value)]),
        Cell::I64(value) => put(2, &value.to_le_bytes()),
        Cell::F64(value) => put(3, &value.to_bits().to_le_bytes()),
        Cell::Decimal(value) => {
            put(4, &value.mantissa().to_le_bytes());
            out.push(value.scale());
        }
        Cell::Text(value) => encode_bytes(5, value.as_bytes(), out),
        Cell::Bytes(value) => encode_bytes(6, value, out),
        Cell::Timestamp(value) => put(7, &value.micros().to_le_bytes()),
        Cell::Date(value) => put(8, &value.days().to_le_bytes()),
        Cell::Uuid(value) => put(9, &value),
    }
}

fn encode_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    // What is longer than the longest token makes a token that `from_str` refuses.
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(bytes);
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn value(&mut self) -> Option<Value> {
        let [tag] = self.array()?;
        Some(match tag {
            0 => Value::Null,
            1 => match self.array()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            2 => Value::I64(i64::from_le_bytes(self.array()?)),
            3 => Value::F64(f64::from_bits(u64::from_le_bytes(self.array()?))),
            4 => {
                let mantissa = i128::from_le_bytes(self.array()?);
                let [scale] = self.array()?;
                Value::Decimal(Decimal::new(mantissa, scale)?)
            }
            5 => Value::Text(std::str::from_utf8(self.bytes()?).ok()?.into()),
            6 => Value::Bytes(self.bytes()?.into()),
            7 => Value::Timestamp(Timestamp::from_micros(i64::from_le_bytes(self.array()?))?),
            8 => Value::Date(Date::from_days(i32::from_le_bytes(self.array()?))?),
            9 => Value::Uuid(self.array()?),
            _ => return None,
        })
    }
}

/// RFC 4648 §5, without padding.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..=chunk.len() {
            // Six bits index 64 letters.
            let letter = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(ALPHABET[letter as usize]));
        }
    }
    text
}

fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0;
        for place in 0..4 {
            let letter = match chunk.get(place) {
                Some(letter) => ALPHABET.iter().position(|other| other == letter)?,
                None => 0,
            };
            bits = bits << 6 | u32::try_from(letter).ok()?;
        }
        let whole = &bits.to_be_bytes()[1..];
        let (kept, spare) = whole.split_at(chunk.len().checked_sub(1).filter(|len| *len > 0)?);
        // One text for each token: spare bits are zero.
        spare.iter().all(|byte| *byte == 0).then_some(())?;
        bytes.extend(kept);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    fn schema() -> Schema {
        Schema::builder("t")
            .column(Column::new("name", Type::Text).nullable())
            .column(Column::new("id", Type::I64))
            .key(["id"])
            .build()
            .expect("a schema")
    }

    const SORT: [Sort; 2] =
        [Sort { column: 0, descending: false }, Sort { column: 1, descending: false }];

    #[test]
    fn a_token_comes_back_as_it_was() {
        let values = vec![
            Value::Null,
            Value::Bool(true),
            Value::I64(i64::MIN),
            Value::F64(f64::NEG_INFINITY),
            Value::Decimal("-1.50".parse().expect("a decimal")),
            Value::Text("東京 'x'".into()),
            Value::Bytes([0, 1, 2].into()),
            Value::Timestamp(Timestamp::MAX),
            Value::Date(Date::MIN),
            Value::Uuid([9; 16]),
        ];
        let cursor = Cursor { schema: 1, query: u64::MAX, values };
        let token = cursor.to_string();
        assert!(token.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_eq!(token.parse::<Cursor>().expect("a cursor"), cursor);
    }

    #[test]
    fn a_token_belongs_to_its_query() {
        let schema = schema();
        let values = vec![Value::Null, Value::I64(5)];
        let cursor = Cursor::new(&schema, &Predicate::ALL, &SORT, values.clone());
        assert_eq!(cursor.values(&schema, &Predicate::ALL, &SORT).expect("fits"), values);
        assert!(cursor.values(&schema, &Predicate::IsNull(0), &SORT).is_err());
        let mut other = SORT;
        other[0].descending = true;
        assert!(cursor.values(&schema, &Predicate::ALL, &other).is_err());
        let wrong =
            Cursor::new(&schema, &Predicate::ALL, &SORT, vec![Value::I64(5), Value::I64(5)]);
        assert!(wrong.values(&schema, &Predicate::ALL, &SORT).is_err());
        let null_key = Cursor::new(&schema, &Predicate::ALL, &SORT, vec![Value::Null, Value::Null]);
        assert!(null_key.values(&schema, &Predicate::ALL, &SORT).is_err());
    }

    #[test]
    fn a_damaged_token_is_an_error() {
        let token = Cursor::new(&schema(), &Predicate::ALL, &SORT, vec![Value::Null]).to_string();
        for end in 0..token.len() {
            assert!(token[..end].parse::<Cursor>().is_err(), "{end}");
        }
        for token in
            ["", "A", "!!!!", "'; DROP TABLE t; --", &(token.clone() + "A"), &"A".repeat(70_000)]
        {
            assert!(token.parse::<Cursor>().is_err(), "{token}");
        }
    }
}
