//! A limit for each value, found by an index or in a window.

use std::sync::Arc;

use sora_core::read::{LimitEach, Read};
use sora_core::{Binding, Column, Predicate, RowBuffer, Schema, Sort, Type, Value};
use sora_sql::{Portion, Postgres as Dialect, render, select};
use sora_testbed::Postgres;

use super::support::pool;
use crate::describe::describe;
use crate::read;

#[tokio::test]
async fn an_index_finds_the_rows_that_a_window_finds() {
    let server = Postgres::shared().expect("a server");
    let database = server.icu_database("en-US-x-icu").expect("a database");
    database
        .execute(
            "create table t (id int8 primary key, parent text, x int8);
             insert into t select i, (array['a', 'A', 'b', 'é', null])[i % 5 + 1], i % 3
             from generate_series(1, 60) i",
        )
        .expect("made");
    let lease = pool(&database.url(), "").acquire().await.expect("a connection");
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("parent", Type::Text).nullable())
        .column(Column::new("x", Type::I64).nullable())
        .key(["id"]);
    let schema = Arc::new(schema.build().expect("a schema"));
    let text = |text: &str| Value::Text(text.into());
    let mut found = Vec::new();
    for is_indexed in [false, true] {
        if is_indexed {
            database.execute("create index on t (parent, id)").expect("made");
        }
        let live = describe(&lease, Some("t")).await.expect("described").remove(0);
        let binding = Arc::new(Binding::new(schema.clone(), Arc::new(live)).expect("bound"));
        let mut read = Read::new(binding, [0, 1].into());
        let values = [text("A"), text("é"), text("none"), text("a"), text("A")];
        let x = Predicate::Not(Box::new(Predicate::Compare {
            column: 2,
            comparison: sora_core::Comparison::Equal,
            value: Value::I64(0),
        }));
        read.filter = [x, Predicate::In { column: 1, values: values.into(), null: false }].into();
        read.sort = [Sort { column: 0, descending: true }].into();
        read.limit_each = Some(LimitEach { column: 1, rows: 2 });
        let sql = render::<Dialect>(|out| select::<Dialect, _>(&read, Portion::All, None, out));
        assert_eq!(sql.contains("LATERAL"), is_indexed, "{sql}");
        let mut rows = RowBuffer::new(2);
        read::run(&lease, &read, &mut rows).await.expect("read");
        for value in ["A", "a", "é", "none"] {
            let of = |row: &sora_core::BufferedRow<'_>| row.get(1) == text(value).cell();
            let ids: Vec<String> =
                rows.iter().filter(of).map(|row| row.get(0).to_string()).collect();
            found.push(ids.join(" "));
        }
    }
    let expected = ["56 46", "55 50", "58 53", ""];
    assert_eq!(found, [expected, expected].concat());
}
