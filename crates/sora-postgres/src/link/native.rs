//! Statements whose text is not Sora's: the server finds the types of their parameters and columns.

use postgres_types::{BorrowToSql, Type};
use sora_core::{Error, ErrorKind, Result};
use tokio_postgres::Statement;

use super::{Link, Rows, Running, Sql};
use crate::failure::{Stage, not_taken};

impl Link {
    /// Whether a statement that is prepared belongs to a session of the server that others use too.
    /// It must then be prepared, run and dropped inside one transaction.
    pub(crate) fn shares_names(&self) -> bool {
        self.statements.is_none()
    }

    /// Prepares a statement. One round trip, none if it is kept from before; and one for each type
    /// that the database itself defines, when it is met first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the server does not take the text, or if it needs such a type
    /// where it is not known on which session of the server the next statement runs.
    pub(crate) async fn prepare(&self, stage: Stage, text: &str) -> Result<Statement> {
        let stage = self.check_open(stage)?;
        let running = self.running();
        let mut sql = Sql::Unwritten(Some(|| text.to_owned()));
        let statement = match self.prepared(&shape(text), &mut sql, &[]).await {
            Ok(statement) => statement,
            Err(error) => {
                let refused = not_taken(&error);
                let made = running.failed(error, stage);
                return Err(refused.unwrap_or(made));
            }
        };
        running.end();
        if self.shares_names()
            && let Some(own) = own_type(&statement)
        {
            // The client has looked it up by a statement that it will not find again.
            self.give_up();
            let message = format!(
                "the statement has a parameter or column of the type {own}, which the database \
                 defines and which cannot be looked up behind a pooler; cast it, as in x::text"
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(statement)
    }

    /// Runs a statement that was prepared by this text. One round trip.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query); one whose plan the server has lost is forgotten.
    pub(crate) async fn query_prepared<P: BorrowToSql>(
        &self,
        stage: Stage,
        text: &str,
        statement: &Statement,
        params: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) -> Result<Rows<'_>> {
        let stage = self.check_open(stage)?;
        let running: Running<'_> = self.running();
        match self.client.query_raw(statement, params).await {
            Ok(stream) => Ok(Rows::new(stream, running, stage)),
            Err(error) => {
                self.forget_stale(&shape(text), &error);
                Err(running.failed(error, stage))
            }
        }
    }
}

/// The key of a statement among those that are kept; no binding has this number.
fn shape(text: &str) -> Vec<u8> {
    [&u64::MAX.to_le_bytes(), text.as_bytes()].concat()
}

/// The first type of a statement that is not the same in every database.
fn own_type(statement: &Statement) -> Option<&Type> {
    let columns = statement.columns().iter().map(tokio_postgres::Column::type_);
    let mut types = statement.params().iter().chain(columns);
    types.find(|wire| Type::from_oid(wire.oid()).is_none())
}
