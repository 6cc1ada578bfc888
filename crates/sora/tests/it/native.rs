use std::sync::{Arc, Mutex};

use sora::{
    Cell, End, Entity, ErrorKind, Event, Native, Observer, Operation, Projection, Row, Sora,
    Statement, Timestamp,
};

use crate::stores::{City, cities, city, repository};

async fn open() -> Sora {
    Sora::open("sqlite::memory:").await.expect("the store opens")
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// What a statement reports, with nothing in it but its parts that are wrong.
async fn refused(native: Native<'_>) -> String {
    let error = native.fetch_rows().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    error.to_string()
}

#[derive(Debug, PartialEq, Projection)]
#[sora(entity = City)]
struct Name {
    number: i64,
    name: String,
}

#[tokio::test]
async fn rows_are_entities_and_projections_by_the_names_of_their_columns() {
    let store = open().await;
    let _ = cities(&store).await;
    let all = "SELECT 1 AS extra, \"name\", code, population, \"number\", state FROM city \
               WHERE state = ?1 AND \"number\" < ?2 ORDER BY \"number\"";
    let statement = || Statement::new(all).bind(&text("NY")).bind(&20_i64);
    let found: Vec<City> = store.native(statement()).fetch_as().await.expect("cities");
    let expected: Vec<City> = (0..20).map(city).filter(|city| city.state == "NY").collect();
    assert_eq!(found, expected);
    let names: Vec<Name> = store.native(statement()).fetch_as().await.expect("names");
    assert_eq!(names[0], Name { number: 2, name: text("City 2") });
    // Another case of letters is the same name, if it is the only one.
    let upper = Statement::new("SELECT 7 AS \"NUMBER\", 'x' AS Name");
    let names: Vec<Name> = store.native(upper).fetch_as().await.expect("a name");
    assert_eq!(names, [Name { number: 7, name: text("x") }]);

    let missing = Statement::new("SELECT \"number\", state AS nam FROM city");
    let error = store.native(missing).fetch_as::<Name>().await.expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::Schema);
    let expected = "the statement gives no column \"name\"; there are \"number\", \"nam\"";
    assert!(error.to_string().starts_with(expected), "{error}");
    let twice = Statement::new("SELECT 1 AS \"number\", 2 AS \"number\", 'x' AS name");
    let error = store.native(twice).fetch_as::<Name>().await.expect_err("ambiguous");
    assert!(error.to_string().contains("\"number:1\", \"number:2\""), "{error}");
    let null = Statement::new("SELECT NULL AS \"number\", 'x' AS name");
    let error = store.native(null).fetch_as::<Name>().await.expect_err("null");
    assert!(error.to_string().contains("column: number"), "{error}");
    let other = Statement::new("SELECT 'x' AS \"number\", 'x' AS name");
    let error = store.native(other).fetch_as::<Name>().await.expect_err("a text");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("\"number\" of the statement holds text"), "{error}");
}

#[tokio::test]
async fn rows_have_the_names_and_types_that_the_store_tells() {
    let store = open().await;
    let _ = cities(&store).await;
    let statement = Statement::new(
        "SELECT state, count(*) AS cities, avg(population), max(state) AS state, NULL AS none \
         FROM city GROUP BY state ORDER BY state",
    );
    let rows = store.native(statement).fetch_rows().await.expect("rows");
    let columns: Vec<String> = rows
        .columns()
        .iter()
        .map(|column| format!("{} {}", column.name, column.column_type))
        .collect();
    let expected = [
        "state:1 text",
        "cities unknown",
        "avg(population) unknown",
        "state:2 unknown",
        "none unknown",
    ];
    assert_eq!(columns, expected);
    assert_eq!((rows.len(), rows.is_empty(), rows.iter().len()), (5, false, 5));
    let first = rows.row(0).expect("a row");
    assert_eq!(first.get("cities").expect("a cell"), Cell::I64(50));
    assert_eq!(first.get("STATE:1").expect("a cell"), Cell::Text("AK"));
    assert_eq!(first.cell(4).expect("a cell"), Cell::Null);
    assert!(matches!(first.get("avg(population)").expect("a cell"), Cell::F64(_)));
    let error = first.get("citties").expect_err("misspelt");
    assert!(error.to_string().contains("did you mean \"cities\"?"), "{error}");
    assert!(rows.row(5).is_none());
}

#[tokio::test]
async fn rows_are_bounded() {
    let store = open().await;
    let _ = cities(&store).await;
    let all = || store.native(Statement::new("SELECT \"number\", name FROM city"));
    assert_eq!(all().rows_max(250).fetch_rows().await.expect("all").len(), 250);
    for error in [
        all().rows_max(249).fetch_rows().await.expect_err("too many"),
        all().rows_max(249).fetch_as::<Name>().await.expect_err("too many"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains("more than 249 rows"), "{error}");
    }
}

#[tokio::test]
async fn values_stay_values() {
    let store = open().await;
    let cities = cities(&store).await;
    let evil = "x'; DROP TABLE city; --";
    let statement = Statement::new("SELECT ?1 AS name, 1 AS \"number\"").bind(&text(evil));
    let found: Vec<Name> = store.native(statement).fetch_as().await.expect("a row");
    assert_eq!(found[0].name, evil);
    let none = Statement::new("SELECT * FROM city WHERE name = ?1").bind(&text("' OR '1'='1"));
    assert!(store.native(none).fetch_as::<City>().await.expect("no row").is_empty());
    assert_eq!(cities.query(sora::Filter::all()).count().await.expect("a count"), 250);
    // As a column of its type holds them.
    let moment: Timestamp = "2024-02-29T12:00:00Z".parse().expect("a timestamp");
    let kinds = Statement::new("SELECT ?1 AS a, ?2 AS b, ?3 AS c, ?4 AS d")
        .bind(&moment)
        .bind(&true)
        .bind(&None::<i64>)
        .bind(&vec![0_u8, 255]);
    let rows = store.native(kinds).fetch_rows().await.expect("a row");
    let row = rows.row(0).expect("a row");
    assert_eq!(row.get("a").expect("a cell"), Cell::Text("2024-02-29T12:00:00.000000Z"));
    assert_eq!(row.get("b").expect("a cell"), Cell::I64(1));
    assert_eq!(row.get("c").expect("a cell"), Cell::Null);
    assert_eq!(row.get("d").expect("a cell"), Cell::Bytes(&[0, 255]));
}

#[tokio::test]
async fn writes_name_their_tables_and_return_what_they_wrote() {
    let store = open().await;
    let cities = cities(&store).await;
    let count = || async { cities.query(sora::Filter::all()).count().await.expect("a count") };
    let delete = || Statement::new("DELETE FROM city WHERE state = ?1").bind(&text("NY"));
    let error = store.native(delete()).execute().await.expect_err("no table");
    assert!(error.to_string().contains("name the tables"), "{error}");
    // A statement that writes is not taken for one that reads.
    assert!(refused(store.native(delete())).await.contains("gives no rows"));
    let returning = "DELETE FROM city WHERE state = ?1 RETURNING \"number\", name";
    let reads = Statement::new(returning).bind(&text("NY"));
    let error = store.native(reads.clone()).fetch_as::<Name>().await.expect_err("it writes");
    assert!(error.to_string().contains("the statement writes; name the tables"), "{error}");
    assert_eq!(count().await, 250);

    assert_eq!(store.native(delete().writing("city")).execute().await.expect("deleted"), 50);
    assert_eq!(store.native(delete().writing("city")).execute().await.expect("none left"), 0);
    let reads = Statement::new(returning).bind(&text("AK")).writing("city");
    let names: Vec<Name> = store.native(reads).fetch_as().await.expect("deleted");
    assert_eq!((names.len(), names[0].number), (50, 0));
    let update = Statement::new("UPDATE city SET code = 'x' || number RETURNING code");
    let rows = store.native(update.writing("city")).fetch_rows().await.expect("updated");
    assert_eq!((rows.len(), count().await), (150, 150));
    let index = Statement::new("CREATE INDEX by_name ON city (name)").writing("city");
    assert_eq!(store.native(index).execute().await.expect("made"), 0);
}

#[tokio::test]
async fn a_write_that_fails_changes_nothing_and_says_why() {
    let store = open().await;
    let cities = cities(&store).await;
    let statement = "UPDATE city SET number = 1";
    let write = Statement::new(statement).writing("city");
    let error = store.native(write).execute().await.expect_err("two rows with one key");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(cities.get(("NY", 247)).await.expect("a read").is_some());
    // A row that is returned but is not of its type undoes the write.
    let statement = "UPDATE city SET name = 'y' RETURNING 'x' AS \"number\", name";
    let write = Statement::new(statement).writing("city");
    let error = store.native(write).fetch_as::<Name>().await.expect_err("a text");
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert_eq!(cities.get(("NY", 2)).await.expect("a read").expect("a city").name, "City 2");
}

#[tokio::test]
async fn what_would_change_the_connection_is_refused() {
    let store = open().await;
    let _ = cities(&store).await;
    for statement in [
        "BEGIN",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT a",
        "RELEASE a",
        "PRAGMA foreign_keys = OFF",
        "  -- innocent\n PRAGMA synchronous = OFF",
        "/* SELECT */ ATTACH ':memory:' AS other",
        "DETACH other",
        "VACUUM",
    ] {
        let error = refused(store.native(Statement::new(statement))).await;
        assert!(error.contains("would change the connection"), "{statement}: {error}");
        let write = store.native(Statement::new(statement).writing("city")).execute().await;
        assert_eq!(write.expect_err(statement).kind(), ErrorKind::InvalidInput, "{statement}");
    }
    for (statement, why) in [
        ("", "no statement"),
        ("-- nothing", "no statement"),
        ("SELECT 1; DELETE FROM city", "more than one statement"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELEC 1", "would change the connection"),
        ("SELECT FROM", "syntax error"),
        ("SELECT * FROM citty", "no such table: citty"),
    ] {
        let error = refused(store.native(Statement::new(statement))).await;
        assert!(error.contains(why), "{statement}: {error}");
    }
    let rows = store.native(Statement::new("SELECT 1 AS one; -- the end")).fetch_rows().await;
    assert_eq!(rows.expect("one statement").len(), 1);
    // The connection is as it was.
    let settings = Statement::new("SELECT foreign_keys FROM pragma_foreign_keys");
    let rows = store.native(settings).fetch_rows().await.expect("a setting");
    assert_eq!(rows.row(0).expect("a row").cell(0).expect("a cell"), Cell::I64(1));
}

#[tokio::test]
async fn the_number_of_values_must_be_that_of_the_placeholders() {
    let store = open().await;
    for (statement, expected) in [
        (
            Statement::new("SELECT ?1, ?2").bind(&1_i64),
            "has 2 placeholders, and 1 values are bound",
        ),
        (Statement::new("SELECT 1").bind(&1_i64), "has 0 placeholders, and 1 values are bound"),
    ] {
        assert!(refused(store.native(statement.clone())).await.contains(expected));
        let write = store.native(statement.writing("city")).execute().await;
        assert!(write.expect_err("refused").to_string().contains(expected));
    }
    // One value may stand in several places.
    let statement = Statement::new("SELECT ?1 + ?1 AS sum").bind(&21_i64);
    let rows = store.native(statement).fetch_rows().await.expect("a sum");
    assert_eq!(rows.row(0).expect("a row").get("sum").expect("a cell"), Cell::I64(42));
}

#[tokio::test]
async fn files_are_read_beside_their_writer_and_not_written_read_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let address = format!("sqlite:{}", directory.path().join("a.db").display());
    let store = Sora::open(&address).await.expect("opened");
    let cities = cities(&store).await;
    let insert = Statement::new("INSERT INTO city (state, number, name) VALUES ('OR', ?1, 'Bend')");
    let inserted = store.native(insert.bind(&7_i64).writing("city")).execute().await;
    assert_eq!(inserted.expect("inserted"), 1);
    let found: Vec<City> = store
        .native(Statement::from_trusted_text(String::from("SELECT * FROM city WHERE state = 'OR'")))
        .fetch_as()
        .await
        .expect("a city");
    assert_eq!(found.len(), 1);
    assert!(cities.get(("OR", 7)).await.expect("a read").is_some());
}

#[tokio::test]
async fn a_statement_within_a_transaction_is_part_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = format!("sqlite:{}", directory.path().join("a.db").display());
    for address in ["sqlite::memory:", &file] {
        let store = Sora::open(address).await.expect("the store opens");
        let cities = cities(&store).await;
        let delete = || Statement::new("DELETE FROM city WHERE state = 'NY'").writing("city");
        let count = || Statement::new("SELECT count(*) AS cities FROM city");
        let tx = store.begin().await.expect("begun");
        assert_eq!(store.native(delete()).within(&tx).execute().await.expect("deleted"), 50);
        // It sees what was written in it, and its rows have names there, too.
        let rows = store.native(count()).within(&tx).fetch_rows().await.expect("a count");
        let row = rows.row(0).expect("a row");
        assert_eq!(row.get("cities").expect("a cell"), Cell::I64(200));
        assert!(cities.within(&tx).get(("NY", 2)).await.expect("a read").is_none());
        // One that fails leaves the transaction as it was.
        let fails = Statement::new("UPDATE city SET number = 1").writing("city");
        let error = store.native(fails).within(&tx).execute().await.expect_err("one key twice");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let text = "DELETE FROM city WHERE state = 'AK' RETURNING number, name";
        let returns = Statement::new(text).writing("city");
        let names: Vec<Name> = store.native(returns).within(&tx).fetch_as().await.expect("names");
        assert_eq!(names.len(), 50);
        for statement in ["COMMIT", "ROLLBACK", "SAVEPOINT a"] {
            let ends = Statement::new(statement).writing("city");
            let error = store.native(ends).within(&tx).execute().await.expect_err(statement);
            assert!(error.to_string().contains("would change the connection"), "{error}");
        }
        tx.rollback().await.expect("rolled back");
        assert_eq!(cities.query(sora::Filter::all()).count().await.expect("a count"), 250);

        let deleted = store.transaction(|tx| {
            let store = &store;
            async move { store.native(delete()).within(&tx).execute().await }
        });
        assert_eq!(deleted.await.expect("committed"), 50);
        assert_eq!(cities.query(sora::Filter::all()).count().await.expect("a count"), 200);

        let other = Sora::open("sqlite::memory:").await.expect("the store opens");
        let tx = other.begin().await.expect("begun");
        let error = store.native(count()).within(&tx).fetch_rows().await.expect_err("another");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[derive(Debug, Entity)]
struct Found {
    #[sora(key)]
    one: i64,
}

#[tokio::test]
async fn a_store_without_a_language_says_so() {
    let store = Sora::open("memory:").await.expect("the store opens");
    let _ = repository::<Found>(&store).await;
    let one = || Statement::new("SELECT 1 AS one");
    for error in [
        store.native(one()).fetch_as::<Found>().await.map(drop).expect_err("refused"),
        store.native(one()).fetch_rows().await.map(drop).expect_err("refused"),
        store.native(one().writing("found")).execute().await.map(drop).expect_err("refused"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with("memory has no language of its own"), "{error}");
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<(String, u64, u64, End)>>);

impl Observer for Seen {
    fn observe(&self, event: &Event<'_>) {
        if event.operation == Operation::Native {
            assert!(event.location.file().ends_with("native.rs"));
            let seen = (event.table.to_owned(), event.received, event.returned, event.end);
            self.0.lock().expect("no panic").push(seen);
        }
    }
}

#[tokio::test]
async fn each_statement_is_one_event() {
    let seen = Arc::new(Seen::default());
    let store = Sora::builder().observer(seen.clone()).open("sqlite::memory:").await;
    let store = store.expect("the store opens");
    let _ = cities(&store).await;
    let few = Statement::new("SELECT name, \"number\" FROM city WHERE state = 'NY'");
    store.native(few.clone()).fetch_as::<Name>().await.expect("names");
    store.native(few.clone()).fetch_rows().await.expect("rows");
    store.native(few).rows_max(3).fetch_rows().await.expect_err("too many");
    store.native(Statement::new("SELECT")).fetch_rows().await.expect_err("no statement");
    let delete = Statement::new("DELETE FROM city WHERE state = 'NY'").writing("city");
    store.native(delete).execute().await.expect("deleted");
    let events = seen.0.lock().expect("no panic").clone();
    let expected = [
        (text("city"), 50, 50, End::Done),
        (text("*"), 50, 50, End::Done),
        (text("*"), 0, 0, End::Failed(ErrorKind::Limit)),
        (text("*"), 0, 0, End::Failed(ErrorKind::InvalidInput)),
        (text("city"), 0, 50, End::Done),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_statement_within_a_transaction_sees_its_writes_and_is_undone_with_it() {
    let config = sora::sqlite::SqliteConfig::memory().busy_timeout_ms(20);
    let sqlite = sora::sqlite::Sqlite::open(config).await.expect("the store opens");
    let store = Sora::builder().provider(Arc::new(sqlite));
    let cities = cities(&store).await;
    let count = || Statement::new("SELECT count(*) AS n FROM city WHERE \"name\" = 'Moved'");
    let moved = || {
        let text = "UPDATE city SET \"name\" = 'Moved' WHERE \"number\" = ?1";
        Statement::new(text).bind(&5_i64).writing("city")
    };
    let number = |rows: sora::NativeRows| rows.row(0).expect("a row").get("n").map(Cell::to_value);
    let tx = store.begin().await.expect("begun");
    let changed = store.native(moved()).within(&tx).execute().await.expect("written");
    assert!(changed > 0);
    let inside = store.native(count()).within(&tx).fetch_rows().await.expect("rows");
    let written = i64::try_from(changed).expect("few");
    assert_eq!(number(inside).expect("a number").cell(), Cell::I64(written));
    let error = store.native(moved()).execute().await.expect_err("the writer is taken");
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    tx.rollback().await.expect("rolled back");
    let after = store.native(count()).fetch_rows().await.expect("rows");
    assert_eq!(number(after).expect("a number").cell(), Cell::I64(0));
    assert!(cities.get(("AK", 5)).await.expect("a read").is_some_and(|city| city.name != "Moved"));
}
