//! From the command line to a query of a table.

use sora::text::{self, Parameters};
use sora::{ErrorKind, Fallback, FilterLimits, Query, Sora, Table};

use crate::arguments::Selection;
use crate::failure::{Failure, Outcome};
use crate::names;

impl Selection {
    /// Opens the table.
    ///
    /// # Errors
    ///
    /// Wrong usage if nothing can have the name; a failure that names the nearest table.
    pub(crate) async fn open(&self, store: &Sora) -> Outcome<Table> {
        store.table(&self.table).await.map_err(|error| Failure::argument(&error))
    }

    /// Returns the query of all columns, without a limit.
    ///
    /// # Errors
    ///
    /// Wrong usage, with a caret under what is wrong with the filter.
    pub(crate) fn query(&self, table: &Table) -> Outcome<Query> {
        let mut query = Query::default();
        let parameters = self.parameters.iter().map(|one| (one.name.clone(), one.value.clone()));
        let parameters = match self.parameters.is_empty() {
            true => Parameters::none(),
            false => Parameters::named(parameters),
        };
        match &self.filter {
            Some(filter) => {
                let limits = FilterLimits::default();
                query.filter = text::parse(filter, table.schema(), &parameters, limits)
                    .map_err(|error| Failure::argument(&error))?;
            }
            None if !self.parameters.is_empty() => {
                return Err(Failure::usage("--param gives a value to a filter, and there is none"));
            }
            None => {}
        }
        if let Some(sort) = &self.sort {
            query.sort =
                names::sort(sort, table.schema()).map_err(|error| Failure::argument(&error))?;
        }
        query.fallback = match self.fallback_rows {
            0 => Fallback::Reject,
            rows_max => Fallback::Scan { rows_max },
        };
        Ok(query)
    }
}

/// Returns the failure of a read. What exceeds a bound names the option that raises it.
pub(crate) fn failure_of(error: &sora::Error) -> Failure {
    match error.kind() {
        ErrorKind::Limit => {
            Failure::failed(format!("{error}; on the command line the bound is --fallback-rows"))
        }
        _ => Failure::argument(error),
    }
}
