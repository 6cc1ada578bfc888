//! The types that derived structs may give to a column and read from it.

use serde::Serialize;

use crate::json::{self, Json};
use crate::{Cell, CellSink, ColumnType, Result};

/// What a column of type `T` of a new row is given.
///
/// Unlike an [`Operand`](crate::Operand), it is a value of the column's own type: what a filter may compare with an
/// integer column, such as a float, cannot be stored in it.
#[diagnostic::on_unimplemented(
    message = "a field of type `{T}` cannot be given a `{Self}`",
    label = "not the type of the entity's field",
    note = "it takes `{T}` or a reference to it, `&str` for `String`, `&[u8]` for `Vec<u8>`, and a value or an `Option` where it is optional"
)]
pub trait ToColumn<T> {
    /// Writes the value as one cell.
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()>;
}

/// What a column of type `T` is read into: `T`, or what is inside its [`Json`].
#[diagnostic::on_unimplemented(
    message = "a field of type `{T}` cannot be read into a `{Self}`",
    label = "not the type of the entity's field",
    note = "give this field the type of the entity's field, `{T}`"
)]
pub trait FromColumn<T> {
    /// Takes the value out of what the column was decoded as.
    fn from_column(value: T) -> Self;
}

impl<T: ColumnType> ToColumn<T> for T {
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
        self.encode(out)
    }
}

impl<T: ColumnType> ToColumn<T> for &T {
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
        T::encode(self, out)
    }
}

impl<T: ColumnType> ToColumn<Option<T>> for T {
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
        self.encode(out)
    }
}

impl<T: ColumnType> ToColumn<Option<T>> for &T {
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
        T::encode(self, out)
    }
}

impl<T: ColumnType> ToColumn<Option<T>> for Option<&T> {
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
        match self {
            Some(value) => value.encode(out),
            None => out.cell(Cell::Null),
        }
    }
}

impl<T: Serialize> ToColumn<Json<T>> for T {
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
        json::encode(self, out)
    }
}

impl<T: Serialize> ToColumn<Option<Json<T>>> for T {
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
        json::encode(self, out)
    }
}

impl<T: Serialize> ToColumn<Option<Json<T>>> for Option<T> {
    fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
        match self {
            Some(value) => json::encode(value, out),
            None => out.cell(Cell::Null),
        }
    }
}

/// Text and bytes are given without making a `String` or a `Vec` of them.
macro_rules! borrowed {
    ($($borrowed:ty as $cell:ident: $($column:ty)*;)*) => {$($(
        impl ToColumn<$column> for &$borrowed {
            fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
                out.cell(Cell::$cell(self))
            }
        }

        impl ToColumn<Option<$column>> for &$borrowed {
            fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
                out.cell(Cell::$cell(self))
            }
        }

        impl ToColumn<Option<$column>> for Option<&$borrowed> {
            fn to_column(&self, out: &mut dyn CellSink) -> Result<()> {
                out.cell(self.map_or(Cell::Null, Cell::$cell))
            }
        }
    )*)*};
}

borrowed! {
    str as Text: String Box<str>;
    [u8] as Bytes: Vec<u8> Box<[u8]>;
}

impl<T> FromColumn<T> for T {
    fn from_column(value: T) -> Self {
        value
    }
}

impl<T> FromColumn<Json<T>> for T {
    fn from_column(value: Json<T>) -> Self {
        value.0
    }
}

impl<T> FromColumn<Option<Json<T>>> for Option<T> {
    fn from_column(value: Option<Json<T>>) -> Self {
        value.map(|Json(value)| value)
    }
}
