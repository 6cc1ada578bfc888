//! A Rust struct as the row of a table.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use crate::{CellSink, ColumnType, Operand, Result, Row, Schema};

/// A struct whose values are the rows of a table; derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an entity",
    note = "derive it: `#[derive(sora::Entity)]`"
)]
pub trait Entity: Sized + Send + Sync + 'static {
    /// The type of the key: of one column its type, of several a tuple.
    type Key: Key;

    /// The table, its columns, key and indexes.
    ///
    /// # Errors
    ///
    /// What [`SchemaBuilder::build`](crate::SchemaBuilder::build) refuses and the derive cannot see.
    fn schema() -> Result<&'static Arc<Schema>>;

    /// Returns the key of the row.
    fn key(&self) -> Self::Key;

    /// Writes the cells of all columns, in the schema's order.
    fn encode(&self, out: &mut dyn CellSink) -> Result<()>;

    /// Reads the row from the cells of all columns, in the schema's order.
    fn decode<R: Row + ?Sized>(row: &R) -> Result<Self>;
}

/// A struct that some columns of an entity are read into; derive it with `#[derive(Projection)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not read columns of `{E}`",
    note = "derive it: `#[derive(sora::Projection)]` with `#[sora(entity = {E})]`"
)]
pub trait Projection<E: Entity>: Sized + Send + 'static {
    /// The columns to read, in the order in which [`decode`](Projection::decode) expects them.
    const COLUMNS: &'static [u16];

    /// Reads the struct from cells in the order of [`COLUMNS`](Projection::COLUMNS).
    fn decode<R: Row + ?Sized>(row: &R) -> Result<Self>;
}

/// A struct that a new row of an entity is made from.
///
/// An entity is its own if the caller gives every column its value. Where the store gives some
/// (identity, default), derive a struct of the others with `#[derive(Insert)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be inserted as a row of `{E}`",
    note = "the store assigns some of its columns: write a struct of the others with `#[derive(sora::Insert)]` and `#[sora(entity = {E})]`"
)]
pub trait Insert<E: Entity> {
    /// The columns that are given, in the order in which [`encode`](Insert::encode) writes them.
    const COLUMNS: &'static [u16];

    /// Writes the cells in the order of [`COLUMNS`](Insert::COLUMNS).
    fn encode(&self, out: &mut dyn CellSink) -> Result<()>;
}

impl<E: Entity, T: Insert<E>> Insert<E> for &T {
    const COLUMNS: &'static [u16] = T::COLUMNS;

    fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
        T::encode(self, out)
    }
}

/// What a key can be: a column type, or a tuple of two to four.
pub trait Key: Clone + Debug + Eq + Hash + Send + Sync + 'static {}

impl<K: Clone + Debug + Eq + Hash + Send + Sync + 'static> Key for K {}

/// What a row is looked up by: the key itself, a reference to it, or, for text, a `&str`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the key `{K}`",
    label = "expected `{K}`, a reference to it, or `&str` in place of `String`"
)]
pub trait AsKey<K> {
    /// Writes one cell for each column of the key.
    fn encode_key(&self, out: &mut dyn CellSink) -> Result<()>;

    /// The key, if it is one text that can be lent.
    #[inline]
    fn text_key(&self) -> Option<&str> {
        None
    }
}

impl<K: ColumnType, T: Operand<K>> AsKey<K> for T {
    fn encode_key(&self, out: &mut dyn CellSink) -> Result<()> {
        self.encode(out)
    }

    #[inline]
    fn text_key(&self) -> Option<&str> {
        self.text()
    }
}

/// Keys of several columns.
macro_rules! composite_key {
    ($($name:ident $operand:ident $at:tt),*) => {
        impl<$($name: ColumnType, $operand: Operand<$name>),*> AsKey<($($name,)*)> for ($($operand,)*) {
            fn encode_key(&self, out: &mut dyn CellSink) -> Result<()> {
                $(self.$at.encode(out)?;)*
                Ok(())
            }
        }

        impl<$($name: ColumnType, $operand: Operand<$name>),*> AsKey<($($name,)*)> for &($($operand,)*) {
            fn encode_key(&self, out: &mut dyn CellSink) -> Result<()> {
                (**self).encode_key(out)
            }
        }
    };
}

composite_key!(A X 0, B Y 1);
composite_key!(A X 0, B Y 1, C Z 2);
composite_key!(A X 0, B Y 1, C Z 2, D W 3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[expect(clippy::needless_pass_by_value, reason = "keys are given in place")]
    fn key<K>(key: impl AsKey<K>) -> Vec<Value> {
        let mut out: Vec<Value> = Vec::new();
        key.encode_key(&mut out).expect("encodes");
        out
    }

    #[test]
    fn keys_are_given_by_reference_or_parts() {
        let text = Value::Text("NY".into());
        assert_eq!(key::<String>("NY"), std::slice::from_ref(&text));
        assert_eq!(key::<String>(&String::from("NY")), std::slice::from_ref(&text));
        assert_eq!(key::<i64>(5), [Value::I64(5)]);
        assert_eq!(key::<(String, i64)>(("NY", 5)), [text.clone(), Value::I64(5)]);
        assert_eq!(key::<(String, i64)>(&(String::from("NY"), 5)), [text, Value::I64(5)]);
    }
}
