//! The values of `?` and `:name`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::Fault;
use super::token::{Kind, Token};
use crate::{Error, ErrorKind, Result, Value, unknown_name};

/// The values that a filter text leaves open: in the order of its `?`, or by `:name`.
///
/// ```
/// use sora_core::{Value, text::Parameters};
///
/// let by_position = Parameters::from([Value::I64(5), Value::Null]);
/// let by_name = Parameters::from([("state", Value::Text("NY".into()))]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(Values);

#[derive(Clone, Debug, Default, PartialEq)]
enum Values {
    #[default]
    None,
    Positional(Vec<Value>),
    Named {
        values: BTreeMap<Box<str>, Value>,
        /// A name that was given two values.
        repeated: Option<Box<str>>,
    },
}

impl Parameters {
    /// No values: for a text without parameters.
    pub fn none() -> Self {
        Self(Values::None)
    }

    /// Values in the order of the `?` in the text.
    pub fn positional(values: impl IntoIterator<Item = Value>) -> Self {
        Self(Values::Positional(values.into_iter().collect()))
    }

    /// Values by their names, without the colon. One can be used any number of times.
    pub fn named<N: Into<Box<str>>>(values: impl IntoIterator<Item = (N, Value)>) -> Self {
        let mut by_name = BTreeMap::new();
        let mut repeated = None;
        for (name, value) in values {
            match by_name.entry(name.into()) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(entry) => repeated = Some(entry.key().clone()),
            }
        }
        Self(Values::Named { values: by_name, repeated })
    }

    /// Refuses a text that mixes the forms, and values that it does not use or that come twice.
    pub(super) fn check(&self, text: &str, tokens: &[Token<'_>]) -> Result<()> {
        let first = |of: fn(&Kind<'_>) -> bool| tokens.iter().position(|token| of(&token.kind));
        let positional = first(|kind| matches!(kind, Kind::Positional(_)));
        let named = first(|kind| matches!(kind, Kind::Named(_)));
        if let (Some(positional), Some(named)) = (positional, named) {
            let message = "a filter takes its values either by ? or by :name, not by both";
            return Err(Fault::new(tokens[positional.max(named)].span(), message).into_error(text));
        }
        match &self.0 {
            Values::None => Ok(()),
            Values::Positional(values) => {
                let is_place = |token: &&Token<'_>| matches!(token.kind, Kind::Positional(_));
                let (given, places) = (values.len(), tokens.iter().filter(is_place).count());
                if given > places {
                    return Err(invalid(format!(
                        "{given} values were given, and the filter has {places} ?; give one for each"
                    )));
                }
                Ok(())
            }
            Values::Named { repeated: Some(name), .. } => {
                Err(invalid(format!("the parameter :{name} was given two values; give it one")))
            }
            Values::Named { values, repeated: None } => {
                let mut used = BTreeSet::new();
                for token in tokens {
                    if let Kind::Named(name) = token.kind {
                        used.insert(name);
                    }
                }
                match values.keys().find(|name| !used.contains(&***name)) {
                    Some(name) => Err(invalid(format!(
                        "the filter does not use the value given for :{name}; leave it out"
                    ))),
                    None => Ok(()),
                }
            }
        }
    }

    /// Returns the value of the `?` at a position, counted from zero.
    pub(super) fn at(&self, position: usize) -> Result<&Value> {
        let given = match &self.0 {
            Values::None => 0,
            Values::Positional(values) if position < values.len() => return Ok(&values[position]),
            Values::Positional(values) => values.len(),
            Values::Named { .. } => {
                return Err(invalid("the values were given by name; write :name".into()));
            }
        };
        Err(invalid(format!("there is no value for ? number {}; {given} were given", position + 1)))
    }

    /// Returns the value of `:name`.
    pub(super) fn of(&self, name: &str) -> Result<&Value> {
        match &self.0 {
            Values::None => Err(invalid(format!("no value was given for :{name}"))),
            Values::Positional(_) => {
                Err(invalid("the values were given by position; write ?".into()))
            }
            Values::Named { values, .. } => values
                .get(name)
                .ok_or_else(|| unknown_name("value for", name, values.keys().map(|name| &**name))),
        }
    }
}

impl<const N: usize> From<[Value; N]> for Parameters {
    fn from(values: [Value; N]) -> Self {
        Self::positional(values)
    }
}

impl<S: Into<Box<str>>, const N: usize> From<[(S, Value); N]> for Parameters {
    fn from(values: [(S, Value); N]) -> Self {
        Self::named(values)
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
