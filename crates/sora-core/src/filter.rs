//! Typed filters, sorts and assignments of one entity, by constants for its fields.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitOr, Not};

use crate::{Cell, CellSink, ColumnType, Comparison, Pattern, Predicate, Result, Value};

/// A field of an entity, as `#[derive(Entity)]` declares it: `City::POPULATION`.
pub struct Field<E, T> {
    column: u16,
    marker: PhantomData<fn() -> (E, T)>,
}

/// A condition on the fields of an entity.
///
/// Conditions are joined by `&`, `|` and `!`, by SQL's three-valued logic. A literal that cannot be
/// used is an error of the operation that the filter is given to.
pub struct Filter<E> {
    predicate: Result<Predicate>,
    marker: PhantomData<fn() -> E>,
}

/// A column to sort by, and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sort {
    /// The column.
    pub column: u16,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// A field of an entity to sort by: `City::POPULATION.desc()`.
pub struct SortBy<E> {
    sort: Sort,
    marker: PhantomData<fn() -> E>,
}

/// A change of one field: `City::POPULATION.add(1)`.
pub struct Assign<E> {
    assignment: Result<Assignment>,
    marker: PhantomData<fn() -> E>,
}

/// A change of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The column.
    pub column: u16,
    /// Whether the value is added to what is stored; beside null the sum is null.
    pub add: bool,
    /// The value to store or to add.
    pub value: Value,
}

/// A value that a field of type `T` can be compared with or set to.
///
/// Text fields take `&str`, numbers take other numbers: what is exact decides, not the Rust type.
#[diagnostic::on_unimplemented(
    message = "a field of type `{T}` cannot be compared with `{Self}`",
    label = "not a literal of `{T}`"
)]
pub trait Operand<T> {
    /// Writes the value as one cell.
    fn encode(&self, out: &mut dyn CellSink) -> Result<()>;

    /// The text, if the value is one that can be lent: what is looked up by it is spared a copy.
    #[inline]
    fn text(&self) -> Option<&str> {
        None
    }
}

impl<E, T> Field<E, T> {
    /// Returns the field at a position of the entity's schema; for the derive.
    #[doc(hidden)]
    pub const fn new(column: u16) -> Self {
        Self { column, marker: PhantomData }
    }

    /// The position of its column in the entity's schema.
    pub const fn column(&self) -> u16 {
        self.column
    }
}

#[expect(clippy::needless_pass_by_value, reason = "literals are given by value")]
impl<E, T: ColumnType> Field<E, T> {
    /// Equals.
    pub fn eq(&self, value: impl Operand<T::Base>) -> Filter<E> {
        self.compare(Comparison::Equal, value)
    }

    /// Does not equal.
    pub fn ne(&self, value: impl Operand<T::Base>) -> Filter<E> {
        self.compare(Comparison::NotEqual, value)
    }

    /// Is less than.
    pub fn lt(&self, value: impl Operand<T::Base>) -> Filter<E> {
        self.compare(Comparison::Less, value)
    }

    /// Is less than, or equals.
    pub fn le(&self, value: impl Operand<T::Base>) -> Filter<E> {
        self.compare(Comparison::LessOrEqual, value)
    }

    /// Is greater than.
    pub fn gt(&self, value: impl Operand<T::Base>) -> Filter<E> {
        self.compare(Comparison::Greater, value)
    }

    /// Is greater than, or equals.
    pub fn ge(&self, value: impl Operand<T::Base>) -> Filter<E> {
        self.compare(Comparison::GreaterOrEqual, value)
    }

    /// Is neither less than the first nor greater than the second.
    pub fn between(&self, low: impl Operand<T::Base>, high: impl Operand<T::Base>) -> Filter<E> {
        self.ge(low) & self.le(high)
    }

    /// Equals one of a list; an empty list holds for no row.
    pub fn is_in<V: Operand<T::Base>>(&self, values: impl IntoIterator<Item = V>) -> Filter<E> {
        let values: Result<Vec<Value>> = values.into_iter().map(|value| to_value(&value)).collect();
        Filter::new(values.map(|values| Predicate::In {
            column: self.column,
            values: values.into(),
            null: false,
        }))
    }

    /// Is a text that starts with this one.
    pub fn starts_with(&self, text: impl AsRef<str>) -> Filter<E> {
        self.like(Pattern::starts_with(text.as_ref()), false)
    }

    /// Is a text that contains this one.
    pub fn contains(&self, text: impl AsRef<str>) -> Filter<E> {
        self.like(Pattern::contains(text.as_ref()), false)
    }

    /// Is a text that ends with this one.
    pub fn ends_with(&self, text: impl AsRef<str>) -> Filter<E> {
        self.like(Pattern::ends_with(text.as_ref()), false)
    }

    /// Is a text that matches a pattern of SQL's `LIKE`: `_` is one character, `%` any number.
    pub fn matches(&self, pattern: impl AsRef<str>) -> Filter<E> {
        self.like(Pattern::parse(pattern.as_ref(), None), false)
    }

    /// Is a text that matches a pattern, with ASCII letters in either case.
    pub fn matches_ignoring_case(&self, pattern: impl AsRef<str>) -> Filter<E> {
        self.like(Pattern::parse(pattern.as_ref(), None), true)
    }

    /// Has no value.
    pub fn is_null(&self) -> Filter<E> {
        Filter::new(Ok(Predicate::IsNull(self.column)))
    }

    /// Has a value.
    pub fn is_not_null(&self) -> Filter<E> {
        !self.is_null()
    }

    /// Is a bool that is true; of null it is unknown.
    pub fn is_true(&self) -> Filter<E> {
        Filter::new(Ok(Predicate::Bool(self.column)))
    }

    /// Is a bool that is false; of null it is unknown.
    pub fn is_false(&self) -> Filter<E> {
        !self.is_true()
    }

    /// Sorts by the field, smallest first and null before it.
    pub fn asc(&self) -> SortBy<E> {
        SortBy { sort: Sort { column: self.column, descending: false }, marker: PhantomData }
    }

    /// Sorts by the field, largest first and null behind the last.
    pub fn desc(&self) -> SortBy<E> {
        SortBy { sort: Sort { column: self.column, descending: true }, marker: PhantomData }
    }

    /// Sets the field.
    pub fn set(&self, value: impl Operand<T::Base>) -> Assign<E> {
        self.assign(false, to_value(&value))
    }

    /// Sets the field to no value.
    pub fn set_null(&self) -> Assign<E> {
        self.assign(false, Ok(Value::Null))
    }

    /// Adds to the field; an overflow is an error, and null stays null.
    pub fn add(&self, value: impl Operand<T::Base>) -> Assign<E> {
        self.assign(true, to_value(&value))
    }

    fn compare(self, comparison: Comparison, value: impl Operand<T::Base>) -> Filter<E> {
        Filter::new(to_value(&value).map(|value| Predicate::Compare {
            column: self.column,
            comparison,
            value,
        }))
    }

    fn like(self, pattern: Result<Pattern>, fold: bool) -> Filter<E> {
        Filter::new(pattern.map(|pattern| Predicate::Like { column: self.column, pattern, fold }))
    }

    fn assign(self, add: bool, value: Result<Value>) -> Assign<E> {
        let assignment = value.map(|value| Assignment { column: self.column, add, value });
        Assign { assignment, marker: PhantomData }
    }
}

impl<E> Filter<E> {
    /// Keeps every row.
    pub fn all() -> Self {
        Self::new(Ok(Predicate::ALL))
    }

    /// Returns the condition without the entity's type, not yet checked against a schema.
    pub fn into_predicate(self) -> Result<Predicate> {
        self.predicate
    }

    /// Returns a filter of a condition on the entity's schema.
    pub fn from_predicate(predicate: Predicate) -> Self {
        Self::new(Ok(predicate))
    }

    fn new(predicate: Result<Predicate>) -> Self {
        Self { predicate, marker: PhantomData }
    }

    fn join(self, other: Self, join: fn(Vec<Predicate>) -> Predicate) -> Self {
        let parts = self.predicate.and_then(|left| Ok(vec![left, other.predicate?]));
        Self::new(parts.map(join))
    }
}

impl<E> BitAnd for Filter<E> {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.join(other, Predicate::And)
    }
}

impl<E> BitOr for Filter<E> {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.join(other, Predicate::Or)
    }
}

impl<E> Not for Filter<E> {
    type Output = Self;

    fn not(self) -> Self {
        Self::new(self.predicate.map(|operand| match operand {
            Predicate::Constant(truth) => Predicate::Constant(!truth),
            operand => Predicate::Not(Box::new(operand)),
        }))
    }
}

impl<E> SortBy<E> {
    /// The column and direction without the entity's type.
    pub fn sort(&self) -> Sort {
        self.sort
    }
}

impl<E> Assign<E> {
    /// Returns the change without the entity's type.
    pub fn into_assignment(self) -> Result<Assignment> {
        self.assignment
    }
}

/// Returns the value of an operand.
pub(crate) fn to_value<T>(operand: &impl Operand<T>) -> Result<Value> {
    let mut one = OneValue(Value::Null);
    operand.encode(&mut one)?;
    Ok(one.0)
}

struct OneValue(Value);

impl CellSink for OneValue {
    fn cell(&mut self, cell: Cell<'_>) -> Result<()> {
        self.0 = cell.to_value();
        Ok(())
    }
}

impl<T: ColumnType> Operand<T> for T {
    fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
        ColumnType::encode(self, out)
    }
}

impl<T: ColumnType> Operand<T> for &T {
    fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
        ColumnType::encode(*self, out)
    }
}

/// Text that is lent.
macro_rules! text_operand {
    ($($column:ty)*) => {$(
        impl Operand<$column> for &str {
            fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
                out.cell(Cell::Text(self))
            }

            #[inline]
            fn text(&self) -> Option<&str> {
                Some(self)
            }
        }
    )*};
}

text_operand!(String Box<str>);

/// Lets fields of some types be compared with another type.
macro_rules! operand {
    ($($operand:ty as $($column:ty)*, $cell:expr;)*) => {$($(
        impl Operand<$column> for $operand {
            fn encode(&self, out: &mut dyn CellSink) -> Result<()> {
                let cell: for<'a> fn(&'a $operand) -> Cell<'a> = $cell;
                out.cell(cell(self))
            }
        }
    )*)*};
}

operand! {
    String as Box<str>, |text| Cell::Text(text);
    &[u8] as Vec<u8> Box<[u8]>, |bytes| Cell::Bytes(bytes);
    Vec<u8> as Box<[u8]>, |bytes| Cell::Bytes(bytes);
    i8 as i16 i32 i64 u8 u16 u32 f32 f64, |value| Cell::I64((*value).into());
    i16 as i8 i32 i64 u8 u16 u32 f32 f64, |value| Cell::I64((*value).into());
    i32 as i8 i16 i64 u8 u16 u32 f32 f64, |value| Cell::I64((*value).into());
    i64 as i8 i16 i32 u8 u16 u32 f32 f64, |value| Cell::I64(*value);
    u8 as i8 i16 i32 i64 u16 u32 f32 f64, |value| Cell::I64((*value).into());
    u16 as i8 i16 i32 i64 u8 u32 f32 f64, |value| Cell::I64((*value).into());
    u32 as i8 i16 i32 i64 u8 u16 f32 f64, |value| Cell::I64((*value).into());
    f32 as i8 i16 i32 i64 u8 u16 u32 f64, |value| Cell::F64((*value).into());
    f64 as i8 i16 i32 i64 u8 u16 u32 f32, |value| Cell::F64(*value);
}

impl<E, T> Clone for Field<E, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E, T> Copy for Field<E, T> {}

impl<E> Clone for Filter<E> {
    fn clone(&self) -> Self {
        Self::new(self.predicate.clone())
    }
}

impl<E> Clone for SortBy<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for SortBy<E> {}

impl<E> Clone for Assign<E> {
    fn clone(&self) -> Self {
        Self { assignment: self.assignment.clone(), marker: PhantomData }
    }
}

impl<E, T> fmt::Debug for Field<E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Field").field(&self.column).finish()
    }
}

impl<E> fmt::Debug for Filter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.predicate).finish()
    }
}

impl<E> fmt::Debug for SortBy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SortBy").field(&self.sort).finish()
    }
}

impl<E> fmt::Debug for Assign<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assign").field(&self.assignment).finish()
    }
}
