//! Statements and values against a real server.

mod reads;
mod writes;

use std::sync::Arc;

use postgres_types::ToSql;
use sora_core::read::Read;
use sora_core::text::{self, Parameters as Given};
use sora_core::{
    Binding, Cell, CellSink as _, FilterLimits, LiveTable, Predicate, Result, Row as _, RowBuffer,
    Schema, Value,
};
use sora_sql::{Postgres, create_index, create_table, portions, render, select};
use sora_testbed::{Database, Postgres as Server};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Row};

use crate::binder::Parameters;
use crate::row::{Scratch, WireRow};

/// A connection to a database of its own.
struct Bench {
    client: Client,
    _database: Database,
}

impl Bench {
    async fn new() -> Self {
        let server = Server::shared().expect("a server");
        let database = server.database().expect("a database");
        let connected = tokio_postgres::connect(&database.url(), NoTls).await;
        let (client, connection) = connected.expect("connected");
        tokio::spawn(connection);
        Self { client, _database: database }
    }

    async fn run(&self, statements: &str) {
        self.client.batch_execute(statements).await.expect(statements);
    }

    /// Creates the table of a schema and its indexes.
    async fn create(&self, schema: Schema) -> Arc<Binding> {
        self.run(&create_table::<Postgres>(&schema).expect("a table")).await;
        for index in schema.indexes() {
            self.run(&create_index::<Postgres>(&schema, index)).await;
        }
        let mut live = LiveTable::from(&schema);
        for (column, live) in schema.columns().iter().zip(&mut live.columns) {
            live.declared = Postgres::declared(column).expect("a type").into();
        }
        Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"))
    }

    async fn query(
        &self,
        statement: &str,
        parameters: &Parameters,
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        let given: Vec<_> = parameters.typed().collect();
        let given: Vec<(&(dyn ToSql + Sync), _)> =
            given.iter().map(|(parameter, wire)| (parameter as _, wire.clone())).collect();
        self.client.query_typed(statement, &given).await
    }

    /// Reads rows as the provider does.
    async fn read(&self, read: &Read) -> Result<Vec<Vec<Value>>> {
        let mut found = Vec::new();
        for portion in portions(read) {
            let text =
                render::<Postgres>(|out| select::<Postgres, _>(read, *portion, read.limit, out));
            let parameters =
                Parameters::of(|out| select::<Postgres, _>(read, *portion, read.limit, out))?;
            let rows = self.query(&text, &parameters).await.expect(&text);
            found.extend(decode(&rows, &read.binding, &read.columns)?);
        }
        if let Some(limit) = read.limit {
            found.truncate(usize::try_from(limit).expect("a small limit"));
        }
        Ok(found)
    }
}

fn decode(rows: &[Row], binding: &Binding, columns: &[u16]) -> Result<Vec<Vec<Value>>> {
    let mut scratch = Scratch::new(binding, columns);
    let mut found = Vec::new();
    for row in rows {
        let row = WireRow::new(row, binding, columns, &mut scratch);
        let cells = (0..row.width()).map(|at| row.cell(at).map(Cell::to_value));
        found.push(cells.collect::<Result<Vec<Value>>>()?);
    }
    Ok(found)
}

fn code(result: std::result::Result<Vec<Row>, tokio_postgres::Error>) -> Option<SqlState> {
    result.err()?.code().cloned()
}

fn buffer(rows: &[Vec<Value>]) -> Arc<RowBuffer> {
    let mut buffer = RowBuffer::new(rows.first().map_or(1, Vec::len));
    for value in rows.iter().flatten() {
        buffer.cell(value.cell()).expect("a cell");
    }
    Arc::new(buffer)
}

fn filter(binding: &Binding, text: &str) -> Vec<Predicate> {
    let filter = text::parse(text, binding.schema(), &Given::none(), FilterLimits::default());
    filter.expect(text).into_terms()
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse().expect("a decimal"))
}

fn at(text: &str) -> Value {
    Value::Timestamp(text.parse().expect("a timestamp"))
}
