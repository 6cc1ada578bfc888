//! What became of written rows.

use std::ops::ControlFlow;
use std::sync::Arc;

use expect_test::{Expect, expect};
use sora_core::provider::DynProvider;
use sora_core::write::{Change, OnConflict, Outcome, Target, Write};
use sora_core::{
    Assigned, Binding, Column, Comparison, Decimal, Error, ErrorKind, Predicate, Result, Retry,
    Row, RowBuffer, RowSink, Schema, Type, Value,
};
use sora_sqlite::{Sqlite, SqliteConfig};

use crate::support::{
    Store, all_rows, bind, delete, fill, found, insert, lines, outcomes, patch, predicate, read,
    rows_of, text, update, visible, write,
};

fn people() -> Schema {
    Schema::builder("people")
        .column(Column::new("id", Type::I64))
        .column(Column::new("name", Type::Text).nullable())
        .column(Column::new("email", Type::Text).nullable())
        .column(Column::new("age", Type::I64).nullable().range(0, 200))
        .column(Column::new("version", Type::I64))
        .key(["id"])
        .unique(["email"])
        .version("version")
        .build()
        .expect("a schema")
}

fn person(id: i64, name: &str, email: &str, age: i64) -> Vec<Value> {
    let email = if email.is_empty() { Value::Null } else { text(email) };
    vec![Value::I64(id), text(name), email, Value::I64(age), Value::I64(1)]
}

async fn memory() -> (Sqlite, Arc<Binding>) {
    let sqlite = Sqlite::open(SqliteConfig::memory()).await.expect("opened");
    let binding = bind(&sqlite, people()).await;
    let rows = [person(1, "Ann", "a@x", 30), person(2, "Bob", "b@x", 40)];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    fill(&sqlite, &binding, &rows).await;
    (sqlite, binding)
}

/// Runs a write and compares its outcomes, what it returned, and all rows afterwards.
async fn check(provider: &dyn DynProvider, mut one: Write, returning: bool, expected: Expect) {
    let columns = visible(&one.binding);
    one.returning = returning.then(|| columns.clone());
    let mut rows = RowBuffer::new(columns.len());
    let report = provider.write(&one, &mut rows).await.expect("written");
    let mut shown = vec![format!("affected {}", report.affected)];
    shown.extend(outcomes(&report));
    shown.extend(lines(&rows).iter().map(|line| format!("returned {line}")));
    let stored = read(provider, &all_rows(&one.binding)).await.expect("read");
    shown.extend(stored.iter().map(|line| format!("stored {line}")));
    expected.assert_eq(&(shown.join("\n") + "\n"));
}

#[tokio::test]
async fn each_row_of_an_insert_stands_alone() {
    let (sqlite, binding) = memory().await;
    let rows = [
        person(3, "Cy", "c@x", 1),
        person(2, "Two", "t@x", 1),
        person(4, "Dup", "a@x", 1),
        person(5, "Eve", "", 1),
    ];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    check(
        &sqlite,
        insert(&binding, &rows, OnConflict::Fail),
        true,
        expect![[r#"
        affected 2
        Inserted
        Conflict: a row with the same people.id is there already (table: people)
        Conflict: a row with the same people.email is there already (table: people)
        Inserted
        returned 3|Cy|c@x|1|1
        returned 5|Eve|NULL|1|1
        stored 1|Ann|a@x|30|1
        stored 2|Bob|b@x|40|1
        stored 3|Cy|c@x|1|1
        stored 5|Eve|NULL|1|1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn an_atomic_write_is_undone_as_a_whole() {
    let (sqlite, binding) = memory().await;
    let rows = [person(3, "Cy", "c@x", 1), person(2, "Two", "t@x", 1), person(4, "D", "d@x", 1)];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    let mut one = insert(&binding, &rows, OnConflict::Fail);
    one.atomic = true;
    check(
        &sqlite,
        one,
        true,
        expect![[r#"
        affected 0
        Cancelled: the row was not written because another row of its batch failed
        Conflict: a row with the same people.id is there already (table: people)
        Cancelled: the row was not written because another row of its batch failed
        stored 1|Ann|a@x|30|1
        stored 2|Bob|b@x|40|1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn conflicts_are_ignored_or_update_the_row() {
    let (sqlite, binding) = memory().await;
    let rows =
        [person(1, "Ann 2", "a2@x", 31), person(3, "Cy", "b@x", 1), person(4, "D", "d@x", 4)];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    check(
        &sqlite,
        insert(&binding, &rows, OnConflict::Ignore),
        true,
        expect![[r#"
        affected 1
        Unchanged
        Unchanged
        Inserted
        returned 4|D|d@x|4|1
        stored 1|Ann|a@x|30|1
        stored 2|Bob|b@x|40|1
        stored 4|D|d@x|4|1
    "#]],
    )
    .await;
    let by_key = OnConflict::Update(binding.schema().key().into());
    check(
        &sqlite,
        insert(&binding, &rows, by_key),
        true,
        expect![[r#"
        affected 2
        Upserted
        Conflict: a row with the same people.email is there already (table: people)
        Upserted
        returned 1|Ann 2|a2@x|31|2
        returned 4|D|d@x|4|2
        stored 1|Ann 2|a2@x|31|2
        stored 2|Bob|b@x|40|1
        stored 4|D|d@x|4|2
    "#]],
    )
    .await;
    let by_email = OnConflict::Update(Arc::from([2u16]));
    let rows = [person(9, "By email", "d@x", 5)];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    check(
        &sqlite,
        insert(&binding, &rows, by_email),
        true,
        expect![[r#"
        affected 1
        Upserted
        returned 4|By email|d@x|5|3
        stored 1|Ann 2|a2@x|31|2
        stored 2|Bob|b@x|40|1
        stored 4|By email|d@x|5|3
    "#]],
    )
    .await;
}

#[tokio::test]
async fn an_upsert_of_the_key_alone_changes_nothing() {
    let store = Store::new().await;
    let schema = Schema::builder("tags").column(Column::new("tag", Type::Text)).key(["tag"]);
    let binding = bind(&store.sqlite, schema.build().expect("a schema")).await;
    let rows: [&[Value]; 2] = [&[text("a")], &[text("a")]];
    let upsert = insert(&binding, &rows, OnConflict::Update(Arc::from([0u16])));
    check(
        &store.sqlite,
        upsert,
        true,
        expect![[r#"
        affected 2
        Upserted
        Upserted
        returned a
        returned a
        stored a
    "#]],
    )
    .await;
}

#[tokio::test]
async fn versions_are_counted_and_checked() {
    let (sqlite, binding) = memory().await;
    let mut stale = person(2, "Stale", "s@x", 1);
    stale[4] = Value::I64(7);
    let rows = [person(1, "New", "n@x", 2), stale, person(8, "None", "", 1)];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    check(
        &sqlite,
        update(&binding, &rows, true),
        true,
        expect![[r#"
        affected 1
        Updated
        Version: the row has been changed since it was read; read it again (table: people)
        Missing
        returned 1|New|n@x|2|2
        stored 1|New|n@x|2|2
        stored 2|Bob|b@x|40|1
    "#]],
    )
    .await;
    check(
        &sqlite,
        update(&binding, &rows, false),
        false,
        expect![[r#"
        affected 2
        Updated
        Updated
        Missing
        stored 1|New|n@x|2|3
        stored 2|Stale|s@x|1|2
    "#]],
    )
    .await;
    let keys = rows_of(&[&[Value::I64(1)], &[Value::I64(8)]]);
    let gone = |version| {
        let change = Change::Delete { target: Target::keys(keys.clone()), version: Some(version) };
        Write::new(binding.clone(), change)
    };
    check(
        &sqlite,
        gone(1),
        false,
        expect![[r#"
        affected 0
        Version: the row has been changed since it was read; read it again (table: people)
        Missing
        stored 1|New|n@x|2|3
        stored 2|Stale|s@x|1|2
    "#]],
    )
    .await;
    check(
        &sqlite,
        gone(3),
        false,
        expect![[r#"
        affected 1
        Deleted
        Missing
        stored 2|Stale|s@x|1|2
    "#]],
    )
    .await;
}

#[tokio::test]
async fn patches_set_and_add_by_key_and_by_filter() {
    let (sqlite, binding) = memory().await;
    let keys = Target::keys(rows_of(&[&[Value::I64(1)], &[Value::I64(7)]]));
    let set = patch(&binding, keys, &[("name", false, text("Anna")), ("age", true, Value::I64(5))]);
    check(
        &sqlite,
        set,
        true,
        expect![[r#"
        affected 1
        Updated
        Missing
        returned 1|Anna|a@x|35|2
        stored 1|Anna|a@x|35|2
        stored 2|Bob|b@x|40|1
    "#]],
    )
    .await;
    // 35 + 170 is beyond the column's range, 40 + 160 is not.
    let keys = Target::keys(rows_of(&[&[Value::I64(1)], &[Value::I64(2)]]));
    let add = patch(&binding, keys, &[("age", true, Value::I64(160))]);
    let add_more = patch(&binding, Target::filter(Arc::default()), &[("age", true, Value::I64(6))]);
    check(
        &sqlite,
        add,
        false,
        expect![[r#"
        affected 2
        Updated
        Updated
        stored 1|Anna|a@x|195|3
        stored 2|Bob|b@x|200|2
    "#]],
    )
    .await;
    let filter =
        Predicate::Compare { column: 3, comparison: Comparison::Greater, value: Value::I64(190) };
    let filter = predicate(&binding, filter);
    let null = patch(&binding, Target::filter(filter), &[("age", false, Value::Null)]);
    check(
        &sqlite,
        null,
        false,
        expect![[r#"
        affected 2
        Updated
        stored 1|Anna|a@x|NULL|4
        stored 2|Bob|b@x|NULL|3
    "#]],
    )
    .await;
    // Null plus a number stays null.
    check(
        &sqlite,
        add_more,
        false,
        expect![[r#"
        affected 2
        Updated
        stored 1|Anna|a@x|NULL|5
        stored 2|Bob|b@x|NULL|4
    "#]],
    )
    .await;
    let gone = delete(&binding, Target::filter(predicate(&binding, Predicate::IsNull(3))));
    check(
        &sqlite,
        gone,
        false,
        expect![[r#"
        affected 2
        Deleted
    "#]],
    )
    .await;
}

#[tokio::test]
async fn an_overflow_is_an_error_and_never_a_float() {
    let store = Store::new().await;
    store.sql("CREATE TABLE n (id INTEGER PRIMARY KEY, i INTEGER, f REAL)");
    store.sql("INSERT INTO n VALUES (1, 9223372036854775807, 1.5)");
    let binding = found(&store.sqlite, "n").await;
    let key = || Target::keys(rows_of(&[&[Value::I64(1)]]));
    let add = |name, value| patch(&binding, key(), &[(name, true, value)]);
    let report = write(&store.sqlite, &add("i", Value::I64(1))).await;
    let error = report.first_error().expect("overflow");
    assert_eq!(error.kind(), ErrorKind::Constraint, "{error}");
    write(&store.sqlite, &add("f", Value::F64(f64::INFINITY))).await;
    let report = write(&store.sqlite, &add("f", Value::F64(f64::NEG_INFINITY))).await;
    assert!(report.first_error().is_some());
    assert_eq!(store.rows("SELECT i, typeof(i), f FROM n"), ["9223372036854775807|integer|inf"]);
}

#[tokio::test]
async fn decimals_are_added_exactly() {
    let store = Store::new().await;
    let schema = Schema::builder("prices")
        .column(Column::new("id", Type::I64))
        .column(Column::new("price", Type::Decimal { precision: 6, scale: 2 }))
        .key(["id"]);
    let binding = bind(&store.sqlite, schema.build().expect("a schema")).await;
    let decimal = |text: &str| Value::Decimal(text.parse::<Decimal>().expect("a decimal"));
    fill(&store.sqlite, &binding, &[&[Value::I64(1), decimal("0.10")]]).await;
    let add = |value: &str| {
        patch(&binding, Target::filter(Arc::default()), &[("price", true, decimal(value))])
    };
    for _ in 0..2 {
        write(&store.sqlite, &add("0.10")).await;
    }
    let report = write(&store.sqlite, &add("9999.99")).await;
    assert!(report.first_error().expect("too many digits").to_string().contains("6 digits"));
    assert_eq!(store.rows("SELECT price FROM prices"), ["0.30"]);
}

#[tokio::test]
async fn the_store_assigns_what_is_left_out() {
    let store = Store::new().await;
    let schema = Schema::builder("notes")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("text", Type::Text).assigned(Assigned::Default(text("it's new"))))
        .column(Column::new("at", Type::Timestamp).assigned(Assigned::Now))
        .column(Column::new("other", Type::Text).nullable())
        .key(["id"])
        .build()
        .expect("a schema");
    let binding = bind(&store.sqlite, schema).await;
    let rows = rows_of(&[&[text("x")], &[text("y")]]);
    let change = Change::Insert { rows, columns: Arc::from([3u16]), on_conflict: OnConflict::Fail };
    let mut one = Write::new(binding.clone(), change);
    one.returning = Some(visible(&binding));
    let mut returned = RowBuffer::new(4);
    let provider: &dyn DynProvider = &store.sqlite;
    provider.write(&one, &mut returned).await.expect("written");
    let returned = lines(&returned);
    assert!(returned[0].starts_with("1|it's new|'20"), "{returned:?}");
    assert!(returned[1].ends_with("000Z'|y"), "{returned:?}");
    // A number is never given twice, even if its row is gone.
    write(&store.sqlite, &delete(&binding, Target::keys(rows_of(&[&[Value::I64(2)]])))).await;
    write(&store.sqlite, &one).await;
    assert_eq!(store.rows("SELECT group_concat(id) FROM notes"), ["1,3,4"]);
}

#[tokio::test]
async fn deferred_foreign_keys_fail_only_their_row() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1); \
         CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id) \
         DEFERRABLE INITIALLY DEFERRED)",
    );
    let binding = found(&store.sqlite, "child").await;
    let row = |id, parent| vec![Value::I64(id), Value::I64(parent)];
    let rows = [row(1, 1), row(2, 9), row(3, 1)];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    check(&store.sqlite, insert(&binding, &rows, OnConflict::Fail), true, expect![[r#"
        affected 2
        Inserted
        Constraint: a foreign key refused the row: what it refers to is missing, or something refers to it
        Inserted
        returned 1|1
        returned 3|1
        stored 1|1
        stored 3|1
    "#]]).await;
    let rows = [row(4, 1), row(5, 9)];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    let mut atomic = insert(&binding, &rows, OnConflict::Fail);
    atomic.atomic = true;
    let mut sink = RowBuffer::new(0);
    let provider: &dyn DynProvider = &store.sqlite;
    let error = provider.write(&atomic, &mut sink).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Constraint);
    assert_eq!(store.rows("SELECT group_concat(id) FROM child"), ["1,3"]);
}

/// Refuses the second row.
struct Refusing(usize);

impl RowSink for Refusing {
    fn row(&mut self, _: &dyn Row) -> Result<ControlFlow<()>> {
        self.0 += 1;
        match self.0 {
            2 => Err(Error::new(ErrorKind::Data, "refused")),
            _ => Ok(ControlFlow::Continue(())),
        }
    }

    fn reset(&mut self) {}
}

#[tokio::test]
async fn a_returned_row_that_is_refused_is_written_all_the_same() {
    let (sqlite, binding) = memory().await;
    let rows = [person(3, "C", "c@x", 1), person(1, "D", "d@x", 1), person(5, "E", "e@x", 1)];
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    let mut one = insert(&binding, &rows, OnConflict::Fail);
    one.returning = Some(visible(&binding));
    let provider: &dyn DynProvider = &sqlite;
    let report = provider.write(&one, &mut Refusing(0)).await.expect("a report");
    assert!(matches!(report.outcomes[0], Outcome::Applied(_)), "{report:?}");
    assert!(matches!(report.outcomes[1], Outcome::Failed(_)), "{report:?}");
    let Outcome::Unknown(error) = &report.outcomes[2] else { panic!("{report:?}") };
    assert_eq!((error.message(), error.retry()), ("refused", Retry::IfIdempotent));
    assert_eq!(read(provider, &all_rows(&binding)).await.expect("read").len(), 4);
}

#[tokio::test]
async fn a_stored_cell_that_is_not_of_its_type_cannot_be_returned_and_undoes_its_row() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER);
         INSERT INTO t VALUES (9, 'y')",
    );
    let binding = found(&store.sqlite, "t").await;
    let keys = rows_of(&[&[Value::I64(9)], &[Value::I64(8)]]);
    let mut set = patch(&binding, Target::keys(keys), &[("id", false, Value::I64(9))]);
    set.returning = Some(visible(&binding));
    let report = write(&store.sqlite, &set).await;
    let words = outcomes(&report);
    assert!(words[0].starts_with("Data: the column \"n\" holds text, not i64"), "{words:?}");
    assert_eq!(words[1], "Missing");
}
