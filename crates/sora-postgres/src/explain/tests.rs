//! Plans of a real server.

use std::sync::Arc;

use sora_core::provider::StorePlan;
use sora_core::read::Read;
use sora_core::{Binding, Comparison, Predicate, Sort, Value};
use sora_testbed::{Database, Postgres};

use crate::PostgresConfig;
use crate::describe::describe;
use crate::explain::explain;
use crate::pool::Pool;

const TABLE: &str = "CREATE TABLE t (name text PRIMARY KEY, n bigint NOT NULL, city text NOT NULL); \
    INSERT INTO t SELECT 'name ' || i, i, 'city ' || i FROM generate_series(1, 2000) AS i; \
    CREATE INDEX t_n ON t (n); CREATE INDEX t_city ON t (city); ANALYZE t";

async fn explained(
    database: &Database,
    analyze: bool,
    change: impl FnOnce(&mut Read),
) -> StorePlan {
    let config = PostgresConfig::parse(&database.url()).expect("an address");
    let pool = Pool::new(config).expect("a pool");
    let lease = pool.acquire().await.expect("a connection");
    let live = describe(&lease, Some("t")).await.expect("described").remove(0);
    let schema = Arc::new(live.to_schema().expect("a schema"));
    let binding = Arc::new(Binding::new(schema, Arc::new(live)).expect("bound"));
    let mut read = Read::new(binding, Arc::from([0, 1]));
    change(&mut read);
    explain(&lease, &read, analyze).await.expect("explained")
}

fn compare(column: u16, comparison: Comparison, value: Value) -> Predicate {
    Predicate::Compare { column, comparison, value }
}

fn by(column: u16) -> Arc<[Sort]> {
    [Sort { column, descending: false }].into()
}

#[tokio::test]
async fn a_plan_names_its_indexes_and_what_it_touched() {
    let postgres = Postgres::shared().expect("a server");
    let database = postgres.database().expect("a database");
    database.execute(TABLE).expect("executed");
    let ask = |read: &mut Read| {
        read.filter = [
            compare(1, Comparison::LessOrEqual, Value::I64(20)),
            compare(2, Comparison::NotEqual, Value::Text("city 3".into())),
        ]
        .into();
        read.sort = by(1);
        read.limit = Some(5);
    };
    let plan = explained(&database, false, ask).await;
    assert_eq!(plan.indexes, ["t_n"]);
    assert!(plan.notes.is_empty(), "{plan:?}");
    let statement = plan.statement.as_deref().expect("a statement");
    assert!(statement.starts_with("SELECT \"name\", \"n\" FROM \"t\""), "{statement}");
    assert!(!statement.contains("city 3"), "{statement}");
    let has = |plan: &StorePlan, start: &str, part: &str| {
        plan.lines.iter().any(|line| line.trim().starts_with(start) && line.contains(part))
    };
    assert!(has(&plan, "Index Scan using t_n on t", "rows expected)"), "{plan:?}");
    assert!(has(&plan, "Index Cond:", "n <= "), "{plan:?}");
    assert!(has(&plan, "Filter:", "city <> "), "{plan:?}");
    assert!(!has(&plan, "", "rows found"), "{plan:?}");
    let plan = explained(&database, true, ask).await;
    assert!(has(&plan, "Limit", "5 rows found"), "{plan:?}");
    assert!(has(&plan, "Rows Removed by Filter:", "1"), "{plan:?}");
    assert!(has(&plan, "Execution Time:", "ms"), "{plan:?}");
}

#[tokio::test]
async fn an_index_that_byte_order_costs_is_named() {
    let postgres = Postgres::shared().expect("a server");
    let linguistic = postgres.icu_database("en-US-x-icu").expect("a database");
    let by_bytes = postgres.database().expect("a database");
    for database in [&linguistic, &by_bytes] {
        database.execute(TABLE).expect("executed");
    }
    for (column, note) in [
        (0, "the index of the key is in the order of the collation en-US-x-icu"),
        (2, "the index \"t_city\" is in the order of the collation en-US-x-icu"),
    ] {
        let sorted = |read: &mut Read| {
            read.sort = by(column);
            read.limit = Some(5);
        };
        let plan = explained(&linguistic, false, sorted).await;
        assert_eq!((plan.notes.len(), plan.indexes.len()), (1, 0), "{plan:?}");
        assert!(plan.notes[0].starts_with(note), "{plan:?}");
        let plan = explained(&by_bytes, false, sorted).await;
        assert_eq!((plan.notes.len(), plan.indexes.len()), (0, 1), "{plan:?}");
        // Equality is the same in both orders, and has the index.
        let equal = |read: &mut Read| {
            let value = Value::Text("city 7".into());
            read.filter = [compare(column, Comparison::Equal, value)].into();
        };
        let plan = explained(&linguistic, false, equal).await;
        assert_eq!(plan.indexes.len(), 1, "{plan:?}");
    }
}
