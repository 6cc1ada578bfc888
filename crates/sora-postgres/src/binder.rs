//! Binds the values of a statement, cell by cell, into one buffer.

use std::ops::Range;

use postgres_types::Type;
use sora_core::{Cell, Error, ErrorKind, Result, RowBuffer, Timestamp};
use sora_sql::{Operand, Out, ParameterType};

use crate::parameter::{Parameter, encode, encode_element, encode_list, wire_type};

/// The parameters of a statement, taken from a walk: one run of bytes, and where each is.
///
/// It owns all it holds, so that it can wait for a connection.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    bytes: Vec<u8>,
    spans: Vec<Option<Range<usize>>>,
    types: Vec<Type>,
    error: Option<Error>,
}

impl Parameters {
    /// Returns the parameters that a walk writes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if a value does not fit its column in the store and the server
    /// would cut it to fit; [`ErrorKind::Limit`] if there are more bytes than a statement takes.
    pub(crate) fn of(walk: impl FnOnce(&mut Self)) -> Result<Self> {
        // What a look-up or a narrow row takes, at once.
        Self::with_room(128, walk)
    }

    /// The same with room for so many bytes.
    pub(crate) fn with_room(bytes: usize, walk: impl FnOnce(&mut Self)) -> Result<Self> {
        let mut parameters = Self {
            bytes: Vec::with_capacity(bytes),
            spans: Vec::with_capacity(8),
            types: Vec::with_capacity(8),
            error: None,
        };
        walk(&mut parameters);
        match parameters.error.take() {
            Some(error) => Err(error),
            None => Ok(parameters),
        }
    }

    /// Their types, in order.
    pub(crate) fn types(&self) -> &[Type] {
        &self.types
    }

    /// The parameters, in order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Parameter<'_>> + Clone {
        self.spans.iter().map(|span| Parameter(span.clone().and_then(|span| self.bytes.get(span))))
    }

    /// The parameters with their types, in order.
    #[cfg(test)]
    pub(crate) fn typed(&self) -> impl ExactSizeIterator<Item = (Parameter<'_>, Type)> {
        self.iter().zip(self.types.iter().cloned())
    }

    /// Counts what was encoded from `start` on as a parameter, or as null.
    fn push(&mut self, start: usize, encoded: Result<bool>, wire: Type) {
        let is_some = encoded.unwrap_or_else(|error| {
            self.error.get_or_insert(error);
            false
        });
        self.spans.push(is_some.then_some(start..self.bytes.len()));
        self.types.push(wire);
    }
}

impl Out for Parameters {
    const TEXT: bool = false;

    fn text(&mut self, _: &str) {}

    fn name(&mut self, _: &str) {}

    fn value(&mut self, cell: Cell<'_>, operand: Operand<'_>) {
        let parameter = ParameterType::of(operand);
        let start = self.bytes.len();
        let fitted = Fit::of(operand).apply(cell);
        let encoded = fitted.and_then(|cell| encode(cell, parameter, &mut self.bytes));
        self.push(start, encoded, wire_type(parameter, false));
    }

    fn list<'v>(&mut self, values: impl Iterator<Item = Cell<'v>>, operand: Operand<'_>) {
        let parameter = ParameterType::of(operand);
        let start = self.bytes.len();
        let bytes = &mut self.bytes;
        let encoded = match Fit::of(operand) {
            // Nearly always, and then no cell is copied.
            Fit::AsIs => {
                let element = |cell, out: &mut _| encode_element(cell, parameter, out);
                encode_list(values, parameter, bytes, element)
            }
            fit => encode_list(values, parameter, bytes, |cell, out| {
                encode_element(fit.apply(cell)?, parameter, out)
            }),
        };
        self.push(start, encoded.map(|()| true), wire_type(parameter, true));
    }

    fn keys(&mut self, _: &RowBuffer) {
        let message = "PostgreSQL takes the keys of a look-up as one array for each column";
        self.error.get_or_insert(Error::new(ErrorKind::Internal, message));
    }
}

/// What the server would do in silence to a value that does not fit a column, and Sora does not
/// let it.
#[derive(Clone, Copy, Debug)]
enum Fit<'a> {
    /// It takes the value as it is, or refuses it.
    AsIs,
    /// It would round to so many places.
    Decimal { scale: u8, column: &'a str },
    /// It would drop spaces beyond so many characters.
    Text { chars_max: usize, column: &'a str },
    /// It would round to a multiple of so many microseconds; a moment is floored instead.
    Timestamp { unit_micros: i64 },
}

impl<'a> Fit<'a> {
    fn of(operand: Operand<'a>) -> Self {
        let Operand::Assigned(binding, column) = operand else { return Self::AsIs };
        let live = binding.live_column(column);
        let declared = &*live.declared;
        match live.column_type {
            sora_core::Type::Decimal { scale, .. } => Self::Decimal { scale, column: &live.name },
            sora_core::Type::Text => match length(declared) {
                Some(chars_max) => Self::Text { chars_max, column: &live.name },
                None => Self::AsIs,
            },
            sora_core::Type::Timestamp => match length(declared) {
                Some(places @ 0..6) => {
                    let unit = (places..6).fold(1, |unit, _| unit * 10);
                    Self::Timestamp { unit_micros: unit }
                }
                _ => Self::AsIs,
            },
            _ => Self::AsIs,
        }
    }

    fn apply(self, cell: Cell<'_>) -> Result<Cell<'_>> {
        match (self, cell) {
            (Self::Decimal { scale, column }, Cell::Decimal(value)) => {
                value.rescale(scale).map(Cell::Decimal).ok_or_else(|| {
                    refused(column, &format!("{value}, but {scale} digits behind the point"))
                })
            }
            (Self::Text { chars_max, column }, Cell::Text(text))
                if text.len() > chars_max && text.chars().count() > chars_max =>
            {
                Err(refused(column, &format!("more than {chars_max} characters")))
            }
            (Self::Timestamp { unit_micros }, Cell::Timestamp(value)) => {
                let micros = value.micros() - value.micros().rem_euclid(unit_micros);
                Ok(Cell::Timestamp(Timestamp::from_micros(micros).unwrap_or(value)))
            }
            (_, cell) => Ok(cell),
        }
    }
}

fn refused(column: &str, what: &str) -> Error {
    let message = format!("the column {column:?} of the store does not take {what}");
    Error::new(ErrorKind::InvalidInput, message)
}

/// Returns the length in a declared type, such as `character varying(20)`.
fn length(declared: &str) -> Option<usize> {
    let (_, rest) = declared.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sora_core::{Binding, Column, LiveTable, Schema};

    use super::*;

    fn bind(column_type: sora_core::Type, declared: &str) -> Binding {
        let schema = Schema::builder("t").column(Column::new("x", column_type)).build();
        let schema = schema.expect("a schema");
        let mut live = LiveTable::from(&schema);
        live.columns[0].declared = declared.into();
        Binding::new(Arc::new(schema), Arc::new(live)).expect("bound")
    }

    #[test]
    fn parameters_lie_one_behind_the_other() {
        let binding = bind(sora_core::Type::I64, "integer");
        let parameters = Parameters::of(|out| {
            out.value(Cell::I64(1), Operand::Compared(&binding, 0));
            out.value(Cell::Null, Operand::Assigned(&binding, 0));
            out.list([Cell::I64(2), Cell::Null].into_iter(), Operand::Compared(&binding, 0));
            out.value(Cell::I64(3), Operand::Number);
        });
        let parameters = parameters.expect("they fit");
        let shown: Vec<Option<&[u8]>> = parameters.iter().map(|parameter| parameter.0).collect();
        let array: Vec<u8> =
            [1i32, 1, 20, 2, 1, 8, 0, 2, -1].into_iter().flat_map(i32::to_be_bytes).collect();
        assert_eq!(
            shown,
            [Some(&1i64.to_be_bytes()[..]), None, Some(&array[..]), Some(&3i64.to_be_bytes()[..])]
        );
        assert_eq!(parameters.types(), [Type::INT8, Type::INT8, Type::INT8_ARRAY, Type::INT8]);
        assert_eq!(parameters.typed().len(), 4);
    }

    #[test]
    fn an_empty_list_has_no_dimension() {
        let binding = bind(sora_core::Type::Text, "text");
        let list = Parameters::of(|out| {
            out.list(std::iter::empty(), Operand::Compared(&binding, 0));
        });
        let list = list.expect("it fits");
        let expected: Vec<u8> = [0i32, 0, 25].into_iter().flat_map(i32::to_be_bytes).collect();
        assert_eq!(list.iter().next().expect("a list").0, Some(&expected[..]));
    }

    #[test]
    fn what_the_server_would_cut_to_fit_is_refused_or_floored() {
        let price = sora_core::Type::Decimal { precision: 4, scale: 1 };
        let decimal = |text: &str| Cell::Decimal(text.parse().expect("a decimal"));
        let moment = |micros| Cell::Timestamp(Timestamp::from_micros(micros).expect("in range"));
        let apply = |column_type, declared: &str, cell: Cell<'static>| {
            let binding = bind(column_type, declared);
            let fitted = Fit::of(Operand::Assigned(&binding, 0)).apply(cell);
            fitted.map(|cell| cell.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(apply(price, "numeric(4,1)", decimal("1.50")), Ok("1.5".into()));
        assert!(
            apply(price, "numeric(4,1)", decimal("1.55")).is_err_and(|why| why.contains("1.55"))
        );
        let text = sora_core::Type::Text;
        assert!(apply(text, "character varying(2)", Cell::Text("ää")).is_ok());
        assert!(apply(text, "character varying(2)", Cell::Text("ab ")).is_err());
        assert!(apply(text, "text", Cell::Text("ab ")).is_ok());
        let at = sora_core::Type::Timestamp;
        assert_eq!(
            apply(at, "timestamp(3) with time zone", moment(-1)),
            Ok("'1969-12-31T23:59:59.999000Z'".into())
        );
        assert_eq!(apply(at, "timestamptz", moment(1)), Ok(moment(1).to_string()));
        // What is compared is not stored: nothing is cut off.
        let binding = bind(price, "numeric(4,1)");
        assert!(Fit::of(Operand::Compared(&binding, 0)).apply(decimal("1.55")).is_ok());
    }

    #[test]
    fn the_first_refusal_is_told() {
        let binding = bind(sora_core::Type::I64, "integer");
        let refused = Parameters::of(|out| {
            out.value(Cell::Text("a"), Operand::Compared(&binding, 0));
            out.keys(&RowBuffer::new(2));
        });
        let error = refused.expect_err("refused").to_string();
        assert!(error.contains("a text cannot be passed as int8"), "{error}");
    }
}
