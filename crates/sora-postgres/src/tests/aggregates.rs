//! What the server computes over rows, where its own words would not be Sora's.

use std::sync::Arc;

use sora_core::read::{Output, Read};
use sora_core::{
    AggregateFunction, Aggregation, Binding, Column, Measure, RowBuffer, Schema, Type,
};
use sora_testbed::Postgres;

use super::support::pool;
use crate::describe::describe;
use crate::read;

use AggregateFunction::{Average, Max, Min, Sum};

const DECIMAL: Type = Type::Decimal { precision: 28, scale: 2 };

/// Computes over the values of a column `x`; the result, or the kind of the error, as text.
async fn check(declared: &str, x: Type, values: &str, of: &[AggregateFunction], expected: &str) {
    let server = Postgres::shared().expect("a server");
    let database = server.icu_database("en-US-x-icu").expect("a database");
    database
        .execute(&format!("create table t (x {declared}); insert into t values {values}"))
        .expect(values);
    let pool = pool(&database.url(), "");
    let lease = pool.acquire().await.expect("a connection");
    let schema = Schema::builder("t").column(Column::new("x", x).nullable());
    let live = describe(&lease, Some("t")).await.expect("described").remove(0);
    let binding = Binding::new(Arc::new(schema.build().expect("a schema")), Arc::new(live));
    let mut read = Read::new(Arc::new(binding.expect("bound")), [0].into());
    let measures: Vec<Measure> = of.iter().map(|of| Measure::new(*of, 0)).collect();
    let group: &[u16] = if of.is_empty() { &[0] } else { &[] };
    read.output = Output::Aggregate(Arc::new(Aggregation::new(group, measures)));
    let mut rows = RowBuffer::new(read.width());
    let shown = match read::run(&lease, &read, &mut rows).await {
        Ok(_) => rows
            .iter()
            .map(|row| {
                let cells = (0..read.width()).map(|at| row.get(at).to_string());
                cells.collect::<Vec<_>>().join(" ")
            })
            .collect::<Vec<_>>()
            .join(" | "),
        Err(error) => format!("{:?}", error.kind()),
    };
    assert_eq!(shown, expected, "{of:?} of {values}");
}

#[tokio::test]
async fn means_are_the_nearest_floats() {
    let mean = &[Average];
    // 2⁵³ + 1 lies in the middle of two floats: what is a little more is nearer to the upper.
    check("int8", Type::I64, "(9007199254740993), (9007199254740993)", mean, "9007199254740992.0")
        .await;
    check(
        "numeric(28,2)",
        DECIMAL,
        "(9007199254740993.00), (9007199254740993.01)",
        mean,
        "9007199254740994.0",
    )
    .await;
    check("numeric(28,2)", DECIMAL, "(0.01), (0), (0)", mean, "0.0033333333333333335").await;
    check("int4", Type::I64, "(null)", mean, "NULL").await;
}

#[tokio::test]
async fn means_of_floats_may_round_to_zero() {
    let mean = &[Average, Sum];
    check("float8", Type::F64, "('5e-324'), (0), (0)", mean, "0.0 5e-324").await;
    check("float8", Type::F64, "('5e-324'), ('5e-324'), (0)", mean, "5e-324 1e-323").await;
    check("float8", Type::F64, "('-1e200'), ('1e200'), (3)", mean, "1.0 3.0").await;
    check("float4", Type::F64, "(0.5), (null), (0.25)", mean, "0.375 0.75").await;
    check("float8", Type::F64, "(null)", mean, "NULL NULL").await;
    check("float8", Type::F64, "('1.7e308'), ('1.7e308')", mean, "Constraint").await;
}

#[tokio::test]
async fn sums_that_do_not_fit_are_refused() {
    let sum = &[Sum];
    check("int8", Type::I64, "(9223372036854775807), (1), (-1)", sum, "9223372036854775807").await;
    check("int8", Type::I64, "(9223372036854775807), (1)", sum, "Constraint").await;
    let most = "99999999999999999999999999.99";
    check("numeric(28,2)", DECIMAL, &format!("({most}), (0)"), sum, most).await;
    check("numeric(28,2)", DECIMAL, &format!("({most}), (0.01)"), sum, "Constraint").await;
}

#[tokio::test]
async fn extremes_and_groups_are_by_value() {
    let both = &[Min, Max];
    check("text", Type::Text, "('b'), ('B'), ('a'), ('ä')", both, "'B' 'ä'").await;
    check("text", Type::Text, "('b'), ('B'), ('a'), (null)", &[], "NULL | 'B' | 'a' | 'b'").await;
    check("bool", Type::Bool, "(true), (null), (false)", both, "FALSE TRUE").await;
    check("bytea", Type::Bytes, r"('\x00ff'), ('\xff'), ('\x00')", both, "X'00' X'ff'").await;
    let uuid = "00000000-0000-0000-0000-0000000000";
    let values = format!("('{uuid}0a'), ('{uuid}ff')");
    check("uuid", Type::Uuid, &values, both, &format!("'{uuid}0a' '{uuid}ff'")).await;
    check("float8", Type::F64, "('-0'), (0), ('NaN'), ('nan')", &[], "0.0 | NaN").await;
    check("float8", Type::F64, "('-0')", both, "0.0 0.0").await;
}
