//! Tables that Sora did not make, on SQLite.

use rusqlite::Connection;
use sora::text::{self, Parameters};
use sora::{
    Assignment, BufferedRow, Cursor, Entity, ErrorKind, Filter, FilterLimits, Predicate, Query,
    Result, RowBuffer, Sora, Sort, StreamOptions, Table, Type, Value,
};
use tempfile::TempDir;

use super::{fails, keeps, kept, write};

/// A database that another program made.
struct Found {
    store: Sora,
    directory: TempDir,
}

impl Found {
    async fn new(statements: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("found.db");
        let address = format!("sqlite:{}", path.to_str().expect("a path in UTF-8"));
        Connection::open(&path).expect("opened").execute_batch(statements).expect("made");
        Self { store: Sora::open(&address).await.expect("the store opens"), directory }
    }

    async fn table(&self, name: &str) -> Table {
        self.store.table(name).await.expect("the table opens")
    }

    fn run(&self, statements: &str) {
        let sqlite = Connection::open(self.directory.path().join("found.db")).expect("opened");
        sqlite.execute_batch(statements).expect("run");
    }
}

/// Returns the rows that a filter as text keeps, each as its cells.
async fn rows(table: &Table, filter: &str) -> Result<Vec<String>> {
    let limits = FilterLimits::default();
    let filter = text::parse(filter, table.schema(), &Parameters::none(), limits)?;
    read(table, &Query::new(filter)).await
}

async fn read(table: &Table, query: &Query) -> Result<Vec<String>> {
    let width = query.columns.as_ref().map_or(table.columns().len(), Vec::len);
    let mut rows = RowBuffer::new(width);
    table.query(query, &mut rows).await?;
    Ok(rows.iter().map(|row| shown(&row, width)).collect())
}

fn shown(row: &BufferedRow<'_>, width: usize) -> String {
    let cells: Vec<String> = (0..width).map(|at| row.get(at).to_string()).collect();
    cells.join(" ")
}

#[tokio::test]
async fn declared_types_decide_and_the_unknown_is_shown_as_it_is() {
    let found = Found::new(
        "CREATE TABLE declared (id INTEGER PRIMARY KEY, n BIGINT, f DOUBLE PRECISION,
            s VARCHAR(5), c CHAR, b BLOB, ok BOOLEAN, d DATE, t DATETIME, u NUMERIC,
            p DECIMAL(10, 2), any);
         INSERT INTO declared VALUES
            (1, 5, 2, 'longer than five', '5', X'00', 1, '2024-02-29', 1709164800, '1.50', 'x', X'FF'),
            (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    .await;
    let table = found.table("declared").await;
    let types: Vec<Type> =
        table.schema().columns().iter().map(|column| column.column_type).collect();
    let unknown = Type::Unknown;
    assert_eq!(
        types,
        [
            Type::I64,
            Type::I64,
            Type::F64,
            Type::Text,
            Type::Text,
            Type::Bytes,
            Type::Bool,
            unknown,
            unknown,
            unknown,
            unknown,
            unknown,
        ]
    );
    let first = "1 5 2.0 'longer than five' '5' X'00' TRUE '2024-02-29' 1709164800 1.5 'x' X'ff'";
    assert_eq!(rows(&table, "n = 5 AND f = 2 AND c = '5' AND ok").await.expect("a query"), [first]);
    for column in ["d", "t", "u", "p", "any"] {
        let why =
            format!("\"{column}\" has a type that Sora does not know, so it cannot be filtered");
        for condition in ["= 1", "= NULL", "IN ('x')"] {
            let refused = rows(&table, &format!("{column} {condition}")).await;
            fails(refused, ErrorKind::InvalidInput, &why);
        }
        let with_value = rows(&table, &format!("{column} IS NOT NULL")).await;
        assert_eq!(with_value.expect("a query"), [first]);
        let by = table.schema().find(column).expect("a column");
        let sort = vec![Sort { column: by, descending: false }];
        let sorted = read(&table, &Query { sort, ..Query::default() }).await;
        fails(sorted, ErrorKind::InvalidInput, "is unknown, which has no order");
        let assignment = Assignment { column: by, add: false, value: Value::I64(1) };
        let patched = table.patch_where(&Query::default(), vec![assignment]).await;
        fails(patched, ErrorKind::InvalidInput, "has a type that Sora does not know");
    }
}

#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(table = "loose")]
struct Loose {
    #[sora(key)]
    id: i64,
    n: Option<i64>,
    ok: Option<bool>,
    s: Option<String>,
}

#[tokio::test]
async fn a_cell_of_another_class_fails_its_read_and_names_row_and_column() {
    let found = Found::new(
        "CREATE TABLE loose (id INTEGER PRIMARY KEY, n INTEGER, ok BOOLEAN, s TEXT);
         INSERT INTO loose VALUES (1, 5, 1, 'x'), (2, 6, 0, 'y'), (3, NULL, NULL, NULL)",
    )
    .await;
    let table = found.store.repository::<Loose>().await.expect("the table opens");
    keeps(&table, &[("n > 5", &[2]), ("ok", &[1]), ("NOT ok", &[2]), ("s = 'x'", &[1])]).await;
    // The store cannot be trusted with it, so what it lets through is checked again.
    let plan = table.query(Loose::N.gt(5)).explain().await.expect("a plan").to_string();
    assert!(plan.contains("pushed down, and checked again in memory: n > 5"), "{plan}");
    let plan = table.query(Loose::ID.gt(5)).explain().await.expect("a plan").to_string();
    assert!(plan.contains("nothing is done in memory"), "{plan}");
    found.run("INSERT INTO loose VALUES (4, 'many', 1, 'x'), (5, 1, 2, 'x'), (6, 1, 1, X'00'), (7, 1.5, 1, 'x')");
    for (id, why) in [
        (4, "the column \"n\" holds text, not i64 (table: loose, row: \"id\" = 4)"),
        (5, "the column \"ok\" holds 2, neither 0 nor 1 (table: loose, row: \"id\" = 5)"),
        (6, "the column \"s\" holds bytes, not text (table: loose, row: \"id\" = 6)"),
        (7, "the column \"n\" holds the float 1.5, not i64 (table: loose, row: \"id\" = 7)"),
    ] {
        fails(table.get(id).await, ErrorKind::Data, why);
        fails(table.query(Loose::ID.eq(id)).fetch().await, ErrorKind::Data, why);
    }
    fails(table.query(Filter::all()).fetch().await, ErrorKind::Data, "\"id\" = 4");
    assert_eq!(kept(&table, Loose::ID.lt(4)).await, [1, 2, 3]);
}

#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(table = "log")]
struct Line {
    #[sora(key)]
    rowid: i64,
    line: Option<String>,
}

#[tokio::test]
async fn a_table_without_a_key_that_is_never_null_goes_by_its_rowid() {
    let found = Found::new(
        "CREATE TABLE log (line TEXT);
         INSERT INTO log (rowid, line) VALUES (-5, 'b'), (1, 'a'), (9, NULL);
         CREATE TABLE codes (code TEXT PRIMARY KEY);
         INSERT INTO codes VALUES (NULL), (NULL), ('x');
         CREATE TABLE keyless (rowid INTEGER, oid INTEGER, _rowid_ INTEGER);
         INSERT INTO keyless VALUES (1, 2, 3), (1, 2, 3)",
    )
    .await;
    let table = found.table("log").await;
    assert_eq!(table.schema().key(), [1]);
    assert!(table.schema().column(1).hidden);
    assert_eq!(rows(&table, "rowid < 5").await.expect("a query"), ["'b'", "'a'"]);
    let lines = found.store.repository::<Line>().await.expect("the table opens");
    let second = lines.get(1).await.expect("a read").expect("a line");
    assert_eq!(*second, Line { rowid: 1, line: Some("a".into()) });
    let page = lines.query(Filter::all()).limit(2).fetch().await.expect("a page");
    let next = page.next().expect("more").clone();
    let rest = lines.query(Filter::all()).limit(2).after(next).fetch().await.expect("a page");
    let seen: Vec<i64> = page.iter().chain(rest.iter()).map(Entity::key).collect();
    assert_eq!(seen, [-5, 1, 9]);
    assert!(lines.delete(9).await.expect("deleted"));
    assert_eq!(kept(&lines, Filter::all()).await, [-5, 1]);
    let codes = found.table("codes").await;
    assert_eq!(read(&codes, &Query::default()).await.expect("a query"), ["NULL", "NULL", "'x'"]);
    assert_eq!(&*codes.schema().column(codes.schema().key()[0]).name, "rowid");
    // Where every name of the rowid is taken, rows cannot be told apart.
    let keyless = found.table("keyless").await;
    assert_eq!(read(&keyless, &Query::default()).await.expect("a query"), ["1 2 3", "1 2 3"]);
    fails(keyless.key(|_| Ok(())), ErrorKind::Unsupported, "the table has no key");
}

#[tokio::test]
async fn a_view_is_read_by_one_cursor_and_not_written() {
    let found = Found::new(
        "CREATE TABLE base (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE) STRICT;
         INSERT INTO base VALUES (1, 'a'), (2, 'B'), (3, 'A'), (4, NULL);
         CREATE VIEW names AS SELECT id, name FROM base",
    )
    .await;
    let view = found.table("names").await;
    assert!(view.live().is_view && view.schema().key().is_empty());
    assert_eq!(rows(&view, "name = 'A'").await.expect("a query"), ["3 'A'"]);
    assert_eq!(rows(&view, "name < 'a' AND id > 2").await.expect("a query"), ["3 'A'"]);
    let sort = vec![Sort { column: 1, descending: true }];
    let page = Query { sort, limit: Some(2), ..Query::default() };
    let mut sink = RowBuffer::new(2);
    let end = view.query(&page, &mut sink).await.expect("a query");
    let names: Vec<String> = sink.iter().map(|row| shown(&row, 2)).collect();
    assert_eq!(names, ["1 'a'", "2 'B'"]);
    assert!(end.next.is_none() && !end.outcome.is_complete());
    let after = Cursor::new(view.schema(), &Predicate::ALL, &page.sort, vec![Value::Null]);
    let resumed = read(&view, &Query { after: Some(after), ..page }).await;
    fails(resumed, ErrorKind::Unsupported, "a table without a key cannot be continued");
    let mut stream = view.stream(&Query::default(), StreamOptions { page_rows: 3 });
    let mut streamed = 0;
    while let Some(page) = stream.next().await {
        streamed += page.expect("a page").len();
    }
    assert_eq!(streamed, 4);
    fails(view.key(|_| Ok(())), ErrorKind::Unsupported, "the table has no key");
    let why = "a view is read and not written";
    let row = write(&view, &[Value::I64(9), Value::Null]).await;
    fails(row, ErrorKind::Unsupported, why);
    let all = Query::default();
    fails(view.delete_where(&all).await, ErrorKind::Unsupported, why);
    let name = Assignment { column: 1, add: false, value: Value::Text("x".into()) };
    fails(view.patch_where(&all, vec![name]).await, ErrorKind::Unsupported, why);
    assert_eq!(read(&view, &Query::default()).await.expect("a query").len(), 4);
}

#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(table = "codes")]
struct Code {
    #[sora(key)]
    code: String,
    number: i64,
}

#[tokio::test]
async fn a_collation_decides_nothing() {
    let found = Found::new(
        "CREATE TABLE codes (code TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, number INTEGER NOT NULL);
         INSERT INTO codes VALUES ('a', 1), ('B', 2), ('c', 3), ('Ä', 4)",
    )
    .await;
    let table = found.store.repository::<Code>().await.expect("the table opens");
    assert!(table.get("b").await.expect("a read").is_none());
    assert_eq!(table.get("B").await.expect("a read").expect("a row").number, 2);
    let slots = table.get_many(["A", "a", "C", "c"]).await.expect("a read");
    assert_eq!(slots.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, true]);
    let numbers = async |filter| {
        let rows = table.query(filter).sort(Code::CODE.asc()).fetch().await.expect("a query");
        rows.iter().map(|code| code.number).collect::<Vec<i64>>()
    };
    assert_eq!(numbers(Filter::all()).await, [2, 1, 3, 4]);
    assert_eq!(numbers(Code::CODE.eq("A")).await, [0; 0]);
    assert_eq!(numbers(Code::CODE.ne("A")).await, [2, 1, 3, 4]);
    assert_eq!(numbers(Code::CODE.lt("a")).await, [2]);
    assert_eq!(numbers(Code::CODE.is_in(["A", "B", "C"])).await, [2]);
    assert_eq!(numbers(Code::CODE.starts_with("b")).await, [0; 0]);
    assert!(!table.delete("b").await.expect("nothing is deleted"));
}

#[tokio::test]
async fn names_that_sora_would_not_make_are_refused() {
    let long = "x".repeat(64);
    let found = Found::new(&format!(
        "CREATE TABLE wide (id INTEGER PRIMARY KEY, {long} TEXT);
         CREATE TABLE t (id INTEGER PRIMARY KEY);
         INSERT INTO t VALUES (1);"
    ))
    .await;
    let why = "a name has 1 to 63 bytes";
    fails(found.store.table("wide").await, ErrorKind::InvalidInput, why);
    // A name in double quotes is never taken for a text.
    found.run("CREATE VIEW quoted AS SELECT id, \"nothing\" AS x FROM t; SELECT x FROM quoted");
    fails(found.store.table("quoted").await, ErrorKind::Schema, "no such column: \"nothing\"");
}
