//! What can be added.

use crate::{ColumnType, Decimal};

/// A column type whose values can be added.
///
/// Implement it for a newtype of a number to sum fields of its type.
#[diagnostic::on_unimplemented(
    message = "fields of type `{Self}` cannot be added",
    note = "numbers can; implement `Summable` for a newtype of one"
)]
pub trait Summable: ColumnType {
    /// What their sum is read into.
    type Sum: ColumnType + Send + 'static;
}

macro_rules! summable {
    ($($number:ty => $sum:ty;)*) => {
        $(impl Summable for $number {
            type Sum = $sum;
        })*
    };
}

summable! {
    i8 => i64;
    i16 => i64;
    i32 => i64;
    i64 => i64;
    u8 => i64;
    u16 => i64;
    u32 => i64;
    f32 => f64;
    f64 => f64;
    Decimal => Decimal;
}

#[cfg(feature = "rust_decimal")]
summable! { rust_decimal::Decimal => rust_decimal::Decimal; }
