//! Pages along an index on a real server.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::json;
use sora_core::read::Read;
use sora_core::{Binding, Cell, Comparison, Predicate, Result, Row, RowSink, Sort, Value};
use sora_testbed::{Database, Postgres as Server};

use super::*;
use crate::PostgresConfig;
use crate::describe::describe;
use crate::failure::Stage;
use crate::pool::{Lease, Pool};
use crate::read;

/// Half of the rows are of one city; of the others each has fifty, for which the server keeps a plan
/// that sorts all rows of a city.
const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, city text NOT NULL, n bigint NOT NULL, \
    name text NOT NULL); \
    INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN 'big' ELSE 'city ' || i / 2 % 400 END, \
    (i::bigint * 7919) % 5000, 'name ' || i FROM generate_series(1, 40000) AS i; \
    CREATE INDEX t_city_n ON t (city, n); VACUUM ANALYZE t";

struct Bench {
    lease: Lease,
    binding: Arc<Binding>,
    database: Arc<Database>,
}

impl Bench {
    async fn new(statements: &str, parameters: &str) -> Self {
        let database = Server::shared().expect("a server").database().expect("a database");
        // One by one: a table cannot be vacuumed inside the transaction of several.
        for statement in statements.split("; ") {
            database.execute(statement).expect(statement);
        }
        Self::on(Arc::new(database), parameters).await
    }

    async fn on(database: Arc<Database>, parameters: &str) -> Self {
        let url = format!("{}?{parameters}", database.url());
        let pool = Pool::new(PostgresConfig::parse(&url).expect("an address")).expect("a pool");
        let lease = pool.acquire().await.expect("a connection");
        let live = describe(&lease, Some("t")).await.expect("described").remove(0);
        let schema = Arc::new(live.to_schema().expect("a schema"));
        let binding = Arc::new(Binding::new(schema, Arc::new(live)).expect("bound"));
        Self { lease, binding, database }
    }

    /// The rows of a city from a number on, the largest first.
    fn page(&self, city: &str, from: i64, limit: u64) -> Read {
        let mut read = Read::new(self.binding.clone(), Arc::from([0, 2, 3]));
        read.filter = [
            compare(1, Comparison::Equal, Value::Text(city.into())),
            compare(2, Comparison::GreaterOrEqual, Value::I64(from)),
        ]
        .into();
        read.sort = by(&[2, 0], true);
        read.limit = Some(limit);
        read
    }

    async fn read(&self, read: &Read) -> Vec<Vec<Value>> {
        let mut rows = Rows(Vec::new());
        read::run(&self.lease, read, &mut rows).await.expect("read");
        rows.0
    }

    async fn is_walked(&self, read: &Read) -> bool {
        chosen(&self.lease, read, Portion::All, b"a shape").await.is_some()
    }

    /// The first columns of the rows of a statement.
    async fn texts(&self, sql: &str) -> Vec<String> {
        let none: [&str; 0] = [];
        let asked = self.lease.query_once(Stage::Reading, sql, &[], &none).await;
        let mut rows = asked.expect("asked");
        let mut texts = Vec::new();
        while let Some(row) = rows.next().await.expect("told") {
            texts.push(row.get(0));
        }
        texts
    }
}

struct Rows(Vec<Vec<Value>>);

impl RowSink for Rows {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        let cells = (0..row.width()).map(|at| row.cell(at).map(Cell::to_value));
        self.0.push(cells.collect::<Result<_>>()?);
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

fn compare(column: u16, comparison: Comparison, value: Value) -> Predicate {
    Predicate::Compare { column, comparison, value }
}

fn by(columns: &[u16], descending: bool) -> Arc<[Sort]> {
    columns.iter().map(|column| Sort { column: *column, descending }).collect()
}

#[tokio::test]
async fn a_page_is_planned_once_for_every_value() {
    let bench = Bench::new(TABLE, "").await;
    for at in 0..20 {
        assert_eq!(bench.read(&bench.page(&format!("city {at}"), 0, 51)).await.len(), 50);
    }
    // The server makes five for values before it compares.
    let kept = "FROM pg_prepared_statements WHERE statement LIKE '%ORDER BY%'";
    let plans = format!("SELECT concat(custom_plans, ' and ', generic_plans) {kept}");
    assert_eq!(bench.texts(&plans).await, ["5 and 15"]);
    // The plan that it keeps reads no more for the city that has half of the table.
    let name = bench.texts(&format!("SELECT name {kept}")).await.remove(0);
    let explain = format!("EXPLAIN (ANALYZE, TIMING OFF) EXECUTE {name}('big', 10, 'big')");
    let steps = bench.texts(&explain).await;
    let found = |step: &String| {
        let (_, actual) = step.split_once("(actual rows=")?;
        actual.split_once(' ')?.0.parse::<u64>().ok()
    };
    let most = steps.iter().filter_map(found).max().expect("told");
    assert!((51..70).contains(&most), "{steps:#?}");
}

#[tokio::test]
async fn rows_are_those_of_the_plain_statement() {
    // Equal numbers are eight in a row: the index ends before the sort does, or has all of it.
    for index in ["city, n", "city, n, id", "city DESC, n DESC"] {
        let walked = Bench::new(&TABLE.replace("city, n)", &format!("{index})")), "").await;
        let plain = Bench::on(walked.database.clone(), "statements=unnamed").await;
        let mut pages = 0;
        for city in ["big", "city 7", "city 399", "city", "zzz", ""] {
            for limit in [1, 7, 51, 128] {
                for range in [(Some(0), None), (None, Some(2_500)), (Some(100), Some(4_000))] {
                    for descending in [false, true] {
                        let read = ranged(&walked, city, limit, range, descending);
                        pages += follow(&walked, &plain, read).await;
                    }
                }
            }
        }
        assert!(pages > 150, "{pages} by {index}");
    }
}

/// Rows of a city above a number, or up to one.
fn ranged(
    bench: &Bench,
    city: &str,
    limit: u64,
    (above, up_to): (Option<i64>, Option<i64>),
    descending: bool,
) -> Read {
    let mut read = bench.page(city, 0, limit);
    let above = above.map(|n| compare(2, Comparison::Greater, Value::I64(n)));
    let up_to = up_to.map(|n| compare(2, Comparison::LessOrEqual, Value::I64(n)));
    let city = read.filter.first().cloned();
    read.filter = city.into_iter().chain(above).chain(up_to).collect();
    read.sort = by(&[2, 0], descending);
    read
}

/// Reads a page and some behind it in both ways; returns how many were walked.
async fn follow(walked: &Bench, plain: &Bench, mut read: Read) -> usize {
    let mut pages = 0;
    for _ in 0..3 {
        let mut shape = Vec::new();
        sora_sql::read_shape::<Postgres>(&read, Portion::All, &mut shape);
        pages += usize::from(chosen(&walked.lease, &read, Portion::All, &shape).await.is_some());
        let found = walked.read(&read).await;
        assert_eq!(found, plain.read(&read).await, "{read:?}");
        let Some(last) = found.last() else { break };
        read.after = Some([last[1].clone(), last[0].clone()].into());
    }
    pages
}

#[tokio::test]
async fn only_what_the_server_walks_is_asked_so() {
    let walks = async |change: &str, parameters: &str| {
        let bench = Bench::new(&format!("{TABLE}; {change}"), parameters).await;
        bench.is_walked(&bench.page("city 1", 10, 51)).await
    };
    assert!(walks("ANALYZE t", "").await);
    // Without a name each call is planned for its values.
    assert!(!walks("ANALYZE t", "statements=unnamed").await);
    assert!(!walks("DELETE FROM t WHERE id > 100; VACUUM FULL ANALYZE t", "").await, "small");
    let nulls = "DROP INDEX t_city_n; CREATE INDEX t_city_n ON t (city, n NULLS FIRST)";
    assert!(!walks(nulls, "").await, "not the order of the page");
    // The role belongs to the server, which other tests and other runs share.
    let hidden = "DO $$BEGIN CREATE ROLE sora_page_reader;\nEXCEPTION WHEN duplicate_object THEN \
        NULL;\nEND$$; GRANT SELECT ON t TO sora_page_reader; ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
        CREATE POLICY hiding ON t USING (name LIKE '%7')";
    let reader = "options=-c%20role%3Dsora_page_reader";
    assert!(!walks(hidden, reader).await, "rows are left out on the way");
    let parts = "CREATE TABLE part (CHECK (n < 0)) INHERITS (t)";
    assert!(!walks(parts, "").await, "rows of other tables");
}

#[tokio::test]
async fn what_was_seen_holds_for_a_while_and_is_not_asked_inside_a_transaction() {
    let bench = Bench::new(TABLE, "").await;
    let page = bench.page("city 1", 10, 51);
    bench.lease.begin("begin").await.expect("begun");
    assert!(!bench.is_walked(&page).await);
    assert_eq!(bench.lease.seen(b"a shape"), None);
    bench.lease.rollback().await.expect("rolled back");
    assert!(bench.is_walked(&page).await);
    assert_eq!(bench.lease.seen(b"a shape"), Some(true));
    bench.lease.begin("begin").await.expect("begun");
    assert!(bench.is_walked(&page).await);
    bench.lease.rollback().await.expect("rolled back");
    let mut statements = crate::statements::Statements::new(2);
    let now = tokio::time::Instant::now();
    statements.saw(b"a", true, now);
    statements.saw(b"b", false, now);
    assert_eq!(statements.seen(b"a", now + SEEN_FOR / 2), Some(true));
    assert_eq!(statements.seen(b"b", now + SEEN_FOR / 2), Some(false));
    assert_eq!(statements.seen(b"a", now + SEEN_FOR), None);
    statements.saw(b"c", true, now);
    assert_eq!((statements.seen(b"a", now), statements.seen(b"c", now)), (None, Some(true)));
}

#[test]
fn a_plan_that_does_more_is_no_walk() {
    let scan = |more: serde_json::Value| {
        let mut scan = json!({
            "Node Type": "Index Scan", "Parent Relationship": "Outer", "Index Name": "i",
            "Index Cond": "((ROW(city, n) >= ROW($0, $2)) AND (city <= $1))",
        });
        for (name, value) in more.as_object().expect("fields") {
            scan[name] = value.clone();
        }
        scan
    };
    let told = |above: &[&str], scan: serde_json::Value| {
        let initial = json!({ "Node Type": "Result", "Parent Relationship": "InitPlan" });
        let plan = above.iter().rev().fold(scan, |inner, kind| {
            json!({ "Node Type": kind, "Parent Relationship": "Outer", "Plans": [initial, inner] })
        });
        json!([{ "Plan": plan }])
    };
    let again = "(ROW(city, n, id) < ROW($0, $2, 'a \" AND b'::text))";
    let two = "((name ~~ '%7'::text) AND (ROW(city, n, id) < ROW($0, $2, $3)))";
    let one_end = "(ROW(city, \"n>\") <= ROW($0, 'a>'::text))";
    let plain = || scan(json!({}));
    for (above, scan, again, expected) in [
        (&["Limit"][..], plain(), false, Some(true)),
        (&["Limit", "Sort", "Limit"], plain(), false, Some(true)),
        (&["Limit", "Sort"], plain(), false, Some(false)),
        (&["Limit", "Gather"], plain(), false, Some(false)),
        (&["Limit"], scan(json!({ "Index Name": "j" })), false, Some(false)),
        (&["Limit"], scan(json!({ "Node Type": "Seq Scan" })), false, Some(false)),
        (&["Limit"], scan(json!({ "Index Cond": one_end })), false, Some(false)),
        (&["Limit"], scan(json!({ "Filter": again })), false, Some(false)),
        (&["Limit"], scan(json!({ "Filter": again })), true, Some(true)),
        (&["Limit"], scan(json!({ "Filter": two })), true, Some(false)),
        (&["Limit"], json!({}), false, None),
    ] {
        assert_eq!(walks(&told(above, scan.clone()), "i", again), expected, "{above:?} {scan}");
    }
}
