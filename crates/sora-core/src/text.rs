//! Filters as text: the boolean expression of SQL.
//!
//! ```text
//! state = 'NY' AND (latitude > 44.5 OR name ILIKE 'new %') AND county IS NOT NULL
//! ```
//!
//! A condition is one of
//!
//! - a column beside a literal, on either side: `=`, `<>` or `!=`, `<`, `<=`, `>`, `>=`;
//! - `[NOT] BETWEEN a AND b`, `[NOT] IN (a, b)`, `[NOT] LIKE 'p' [ESCAPE 'c']`, `[NOT] ILIKE 'p'` and
//!   `IS [NOT] NULL` behind a column;
//! - a bool column by itself, or `TRUE`, `FALSE`, `NULL`;
//! - `IS [NOT] TRUE` and `IS [NOT] FALSE` behind a bool column or a condition in parentheses;
//! - conditions joined by `NOT`, `AND`, `OR`, which bind in that order, and parentheses.
//!
//! Names match exactly, else by the only match that ignores ASCII case; `"in double quotes"` they
//! can hold any character. Literals are numbers, `'text'`, `X'00ff'`, `TRUE`, `FALSE`, `NULL`, and
//! `?` or `:name` for values that are given apart. The column decides how a literal is read: a text
//! beside a date, timestamp, UUID or decimal is read as one; a number beside an integer or a decimal
//! is exact; beside a float one with a point or an exponent is the float nearest to it.

mod binding;
mod diagnostic;
mod expression;
mod grammar;
mod input;
mod operand;
mod parameters;
#[cfg(test)]
mod tests;
mod token;

pub use parameters::Parameters;

use crate::{Entity, Error, ErrorKind, Filter, FilterLimits, Predicate, Result, Schema};

impl<E: Entity> Filter<E> {
    /// Reads a filter of an entity's rows from text; see [`text`](crate::text) for the language.
    ///
    /// # Errors
    ///
    /// As [`parse`].
    pub fn parse(text: &str, parameters: &Parameters) -> Result<Self> {
        let predicate = parse(text, E::schema()?, parameters, FilterLimits::default())?;
        Ok(Self::from_predicate(predicate))
    }
}

/// Reads a filter and returns it bound to a schema, as [`Predicate::bind`] does.
///
/// ```
/// use sora_core::text::{self, Parameters};
/// use sora_core::{Column, FilterLimits, Schema, Type, Value};
///
/// let schema = Schema::builder("cities")
///     .column(Column::new("name", Type::Text))
///     .column(Column::new("population", Type::I64))
///     .build()?;
/// let parameters = Parameters::from([("least", Value::I64(1_000_000))]);
/// let filter = "name LIKE 'S%' AND population >= :least";
/// let predicate = text::parse(filter, &schema, &parameters, FilterLimits::default())?;
/// assert_eq!(
///     predicate.display(&schema).to_string(),
///     "name LIKE 'S%' AND population >= 1000000",
/// );
/// # Ok::<(), sora_core::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if the text is not a filter, an empty one included, or does not fit
/// the schema or the parameters; [`ErrorKind::Limit`] beyond a limit. The message holds the line of
/// the text with a caret under what is wrong, and says what is allowed there.
pub fn parse(
    text: &str,
    schema: &Schema,
    parameters: &Parameters,
    limits: FilterLimits,
) -> Result<Predicate> {
    if text.len() > limits.bytes_max {
        let message = format!(
            "the filter has {} bytes and may have {}; give long lists in parts",
            text.len(),
            limits.bytes_max
        );
        return Err(Error::new(ErrorKind::Limit, message));
    }
    let tokens = token::tokens(text);
    if tokens.is_empty() {
        let message = "the filter is empty; leave it out to keep every row";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    let node = grammar::parse(text, &tokens, limits).map_err(|fault| fault.into_error(text))?;
    parameters.check(text, &tokens)?;
    binding::bind(&node, schema, parameters, limits)
        .map_err(|fault| fault.into_error(text))?
        // Joins nested conditions; the literals are of their columns' types already.
        .bind(schema, limits)
}
