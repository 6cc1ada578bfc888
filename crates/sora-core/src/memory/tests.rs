use std::ops::ControlFlow;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::provider::{Difference, SchemaReport};
use crate::write::{Change, OnConflict, Outcome, Target};
use crate::{
    Assigned, Assignment, Column, Comparison, Intake, Predicate, Row, RowBuffer, Schema, Sort,
    Stamp, Type, Value,
};

const ID: u16 = 0;
const NAME: u16 = 1;
const SCORE: u16 = 2;
const VERSION: u16 = 3;

/// Runs what never waits: one task, so the gate is always open.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for a session that this test still holds"),
    }
}

fn schema() -> Schema {
    Schema::builder("cities")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("name", Type::Text).nullable())
        .column(
            Column::new("score", Type::I64)
                .range(0, 100)
                .assigned(Assigned::Default(Value::I64(5))),
        )
        .column(Column::new("version", Type::I64))
        .key(["id"])
        .unique(["name"])
        .version("version")
        .build()
        .expect("a schema")
}

fn ensure(memory: &Memory, schema: Schema) -> SchemaReport {
    match now(Provider::administer(memory, &Administer::Ensure(Arc::new(schema)))) {
        Ok(Administered::Ensured(report)) => report,
        other => panic!("{other:?}"),
    }
}

fn bind(memory: &Memory, schema: Schema) -> Arc<Binding> {
    let live = now(Provider::describe(memory, Some(schema.table()))).expect("described");
    let live = Arc::new(live.into_iter().next().expect("the table"));
    Arc::new(Binding::new(Arc::new(schema), live).expect("fits"))
}

fn store() -> (Memory, Arc<Binding>) {
    let memory = Memory::with_clock(|| Timestamp::MIN);
    ensure(&memory, schema());
    let binding = bind(&memory, schema());
    (memory, binding)
}

fn rows(binding: &Binding, columns: &[u16], stamp: Stamp, rows: &[&[Value]]) -> Arc<RowBuffer> {
    let mut intake = Intake::new(binding.schema(), columns, stamp);
    for row in rows {
        let encode =
            |out: &mut dyn crate::CellSink| row.iter().try_for_each(|value| out.cell(value.cell()));
        intake.row(encode).expect("a row");
    }
    Arc::new(intake.finish())
}

fn insert(binding: &Arc<Binding>, given: &[&[Value]], on_conflict: OnConflict) -> Write {
    let columns = [ID, NAME, SCORE, VERSION];
    let rows = rows(binding, &columns, Stamp::New, given);
    Write::new(binding.clone(), Change::Insert { rows, columns: columns.into(), on_conflict })
}

fn keys(binding: &Binding, ids: &[i64]) -> Target {
    let ids: Vec<[Value; 1]> = ids.iter().map(|id| [Value::I64(*id)]).collect();
    let ids: Vec<&[Value]> = ids.iter().map(|id| &id[..]).collect();
    Target::keys(rows(binding, &[ID], Stamp::Stored, &ids))
}

fn city(id: i64, name: Option<&str>, score: i64) -> [Value; 4] {
    let name = name.map_or(Value::Null, |name| Value::Text(name.into()));
    [Value::I64(id), name, Value::I64(score), Value::I64(0)]
}

/// Returns the outcomes as words.
fn outcomes(report: &WriteReport) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Applied(effect) => format!("{effect:?}"),
        Outcome::Failed(error) => {
            format!("{:?} {}", error.kind(), error.constraint().unwrap_or("-"))
        }
        Outcome::Skipped => "Skipped".into(),
        Outcome::Unknown(_) => "Unknown".into(),
    };
    report.outcomes.iter().map(word).collect()
}

fn write(memory: &Memory, write: &Write) -> Vec<String> {
    let report = now(Provider::write(memory, write, &mut RowBuffer::new(0))).expect("a report");
    outcomes(&report)
}

/// Returns the rows as text, in the order of the key.
fn stored(memory: &Memory, binding: &Arc<Binding>) -> Vec<String> {
    texts(memory, &Read::new(binding.clone(), [ID, NAME, SCORE, VERSION].into()))
}

fn texts(memory: &Memory, read: &Read) -> Vec<String> {
    let mut rows = RowBuffer::new(read.columns.len());
    now(Provider::read(memory, read, &mut rows)).expect("a report");
    let text = |row: crate::BufferedRow<'_>| {
        let cells: Vec<String> = (0..row.width()).map(|at| row.get(at).to_string()).collect();
        cells.join(" ")
    };
    rows.iter().map(text).collect()
}

#[test]
fn conflicts_name_their_constraint() {
    let (memory, binding) = store();
    let [a, b] = [city(1, Some("a"), 1), city(2, None, 2)];
    assert_eq!(
        write(&memory, &insert(&binding, &[&a, &b, &city(3, None, 3)], OnConflict::Fail)),
        ["Inserted"; 3]
    );
    let again = [&city(1, Some("x"), 9)[..], &city(9, Some("a"), 9)];
    assert_eq!(
        write(&memory, &insert(&binding, &again, OnConflict::Fail)),
        ["Conflict cities_pkey", "Conflict cities_name_key"]
    );
    assert_eq!(write(&memory, &insert(&binding, &again, OnConflict::Ignore)), ["Unchanged"; 2]);
    // By the unique: the stored row keeps its key.
    let by_name = OnConflict::Update([NAME].into());
    assert_eq!(write(&memory, &insert(&binding, &again[1..], by_name)), ["Updated"]);
    let by_key = OnConflict::Update([ID].into());
    let clash = [&city(2, Some("a"), 7)[..], &city(4, Some("d"), 7)];
    assert_eq!(
        write(&memory, &insert(&binding, &clash, by_key)),
        ["Conflict cities_name_key", "Inserted"]
    );
    assert_eq!(stored(&memory, &binding), ["1 'a' 9 2", "2 NULL 2 1", "3 NULL 3 1", "4 'd' 7 1"]);
    let by_score = insert(&binding, &again, OnConflict::Update([SCORE].into()));
    let report = now(Provider::write(&memory, &by_score, &mut RowBuffer::new(0)));
    assert_eq!(report.expect_err("refused").kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_store_assigns_what_is_left_out() {
    let (memory, binding) = store();
    write(&memory, &insert(&binding, &[&city(7, None, 1)], OnConflict::Fail));
    write(
        &memory,
        &Write::new(
            binding.clone(),
            Change::Delete { target: keys(&binding, &[7]), version: None },
        ),
    );
    let names = [&[Value::Text("a".into())][..], &[Value::Text("b".into())]];
    let change = Change::Insert {
        rows: rows(&binding, &[NAME], Stamp::Stored, &names),
        columns: [NAME].into(),
        on_conflict: OnConflict::Fail,
    };
    let mut adding = Write::new(binding.clone(), change);
    adding.returning = Some([SCORE, ID].into());
    let mut returned = RowBuffer::new(2);
    now(Provider::write(&memory, &adding, &mut returned)).expect("a report");
    let returned: Vec<_> = returned.iter().map(|row| (row.get(0), row.get(1))).collect();
    // 7 was given once, so it is not given again.
    assert_eq!(format!("{returned:?}"), "[(5, 8), (5, 9)]");
    assert_eq!(stored(&memory, &binding), ["8 'a' 5 1", "9 'b' 5 1"]);
}

#[test]
fn a_required_column_and_a_narrower_table_are_named() {
    let memory = Memory::with_clock(|| Timestamp::MAX);
    let table = |range| {
        Schema::builder("t")
            .column(Column::new("id", Type::I64))
            .column(Column::new("level", Type::I64).range(0, range))
            .column(Column::new("made", Type::Timestamp).assigned(Assigned::Now))
            .key(["id"])
            .build()
            .expect("a schema")
    };
    ensure(&memory, table(9));
    let binding = bind(&memory, table(99));
    let try_insert = |columns: &[u16], row: &[Value]| {
        let rows = rows(&binding, columns, Stamp::New, &[row]);
        let change =
            Change::Insert { rows, columns: columns.into(), on_conflict: OnConflict::Fail };
        let write = Write::new(binding.clone(), change);
        let report = now(Provider::write(&memory, &write, &mut RowBuffer::new(0)));
        report.expect("a report").first_error().map(ToString::to_string)
    };
    let error = try_insert(&[0], &[Value::I64(1)]).expect("refused");
    assert_eq!(error, "the column \"level\" needs a value (table: t)");
    let error = try_insert(&[0, 1], &[Value::I64(1), Value::I64(50)]).expect("refused");
    assert!(error.contains("takes 0 to 9, not 50"), "{error}");
    assert_eq!(try_insert(&[0, 1], &[Value::I64(1), Value::I64(5)]), None);
    let read = Read::new(binding.clone(), [2].into());
    assert_eq!(texts(&memory, &read), ["'9999-12-31T23:59:59.999999Z'"]);
}

#[test]
fn an_atomic_write_is_whole_or_nothing() {
    let (memory, binding) = store();
    write(&memory, &insert(&binding, &[&city(1, Some("a"), 1)], OnConflict::Fail));
    let given = [&city(2, Some("b"), 2)[..], &city(3, Some("a"), 3), &city(4, None, 4)];
    let mut adding = insert(&binding, &given, OnConflict::Fail);
    adding.atomic = true;
    adding.returning = Some([ID].into());
    let mut returned = RowBuffer::new(1);
    let report = now(Provider::write(&memory, &adding, &mut returned)).expect("a report");
    assert_eq!(outcomes(&report), ["Skipped", "Conflict cities_name_key", "Skipped"]);
    assert_eq!((report.affected, returned.len()), (0, 0));
    assert_eq!(stored(&memory, &binding), ["1 'a' 1 1"]);
    // The unique values of the undone rows are free again.
    assert_eq!(
        write(&memory, &insert(&binding, &[&city(5, Some("b"), 5)], OnConflict::Fail)),
        ["Inserted"]
    );
}

#[test]
fn versions_count_and_are_checked() {
    let (memory, binding) = store();
    write(&memory, &insert(&binding, &[&city(1, Some("a"), 1)], OnConflict::Fail));
    let update = |id, version, check_version| {
        let row = [Value::I64(id), Value::I64(50), Value::I64(version)];
        let columns = [ID, SCORE, VERSION];
        let rows = rows(&binding, &columns, Stamp::Stored, &[&row]);
        Write::new(binding.clone(), Change::Update { rows, columns: columns.into(), check_version })
    };
    assert_eq!(write(&memory, &update(1, 1, true)), ["Updated"]);
    assert_eq!(write(&memory, &update(1, 1, true)), ["Version -"]);
    assert_eq!(write(&memory, &update(1, 1, false)), ["Updated"]);
    assert_eq!(write(&memory, &update(9, 1, true)), ["Missing"]);
    assert_eq!(stored(&memory, &binding), ["1 'a' 50 3"]);
    let delete = |version| {
        let target = keys(&binding, &[1]);
        Write::new(binding.clone(), Change::Delete { target, version: Some(version) })
    };
    assert_eq!(write(&memory, &delete(2)), ["Version -"]);
    assert_eq!(write(&memory, &delete(3)), ["Deleted"]);
}

#[test]
fn a_patch_by_filter_is_one_item() {
    let (memory, binding) = store();
    let given = [&city(1, None, 90)[..], &city(2, None, 99), &city(3, None, 5)];
    write(&memory, &insert(&binding, &given, OnConflict::Fail));
    let patch = |target, add| {
        let add = Assignment { column: SCORE, add: true, value: Value::I64(add) };
        let assignments = [add].into();
        Write::new(binding.clone(), Change::Patch { target, assignments, version: None })
    };
    let high = |than| {
        let value = Value::I64(than);
        let above = Predicate::Compare { column: SCORE, comparison: Comparison::Greater, value };
        Target::filter([above].into())
    };
    assert_eq!(write(&memory, &patch(high(50), 2)), ["Constraint -"]);
    assert_eq!(stored(&memory, &binding), ["1 NULL 90 1", "2 NULL 99 1", "3 NULL 5 1"]);
    let mut both = patch(high(50), 1);
    both.returning = Some([ID].into());
    let mut returned = RowBuffer::new(1);
    let report = now(Provider::write(&memory, &both, &mut returned)).expect("a report");
    assert_eq!((report.outcomes.len(), report.affected, returned.len()), (1, 2, 2));
    assert_eq!(write(&memory, &patch(high(100), 1)), ["Missing"]);
    assert_eq!(
        write(&memory, &patch(keys(&binding, &[3, 8, 2]), 1)),
        ["Updated", "Missing", "Constraint -"]
    );
    let assignments = [Assignment { column: ID, add: true, value: Value::I64(1) }].into();
    let change = Change::Patch { target: high(0), assignments, version: None };
    let patch = Write::new(binding, change);
    let error = now(Provider::write(&memory, &patch, &mut RowBuffer::new(0)));
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_session_is_apart_until_it_commits() {
    let (memory, binding) = store();
    let adding = insert(&binding, &[&city(1, Some("a"), 1)], OnConflict::Fail);
    let read = Read::new(binding.clone(), [ID].into());
    for commits in [false, true] {
        let mut session =
            now(Provider::open(&memory, SessionOptions::default())).expect("a session");
        let report = now(session.write(&adding, &mut RowBuffer::new(0))).expect("a report");
        assert_eq!(outcomes(&report), ["Inserted"]);
        let mut seen = RowBuffer::new(1);
        now(session.read(&read, &mut seen)).expect("a report");
        assert_eq!((seen.len(), stored(&memory, &binding).len()), (1, 0));
        now(if commits { session.commit() } else { session.rollback() }).expect("ended");
        assert_eq!(stored(&memory, &binding).len(), usize::from(commits));
    }
    drop(now(Provider::open(&memory, SessionOptions::default())).expect("a session"));
    assert_eq!(
        write(&memory, &insert(&binding, &[&city(2, None, 1)], OnConflict::Fail)),
        ["Inserted"]
    );
}

/// A sink that refuses its first row, and looks at the store while it has it.
struct Refusing(Memory);

impl RowSink for Refusing {
    fn row(&mut self, _: &dyn Row) -> Result<ControlFlow<()>> {
        now(Provider::describe(&self.0, None))?;
        Err(Error::new(ErrorKind::Internal, "no"))
    }

    fn reset(&mut self) {}
}

#[test]
fn a_sink_that_fails_undoes_its_write_and_holds_no_lock() {
    let (memory, binding) = store();
    let mut adding = insert(&binding, &[&city(1, Some("a"), 1)], OnConflict::Fail);
    adding.returning = Some([ID].into());
    let error = now(Provider::write(&memory, &adding, &mut Refusing(memory.clone())));
    assert_eq!(error.expect_err("refused").message(), "no");
    assert_eq!(stored(&memory, &binding), [""; 0]);
    assert_eq!(write(&memory, &adding), ["Inserted"]);
}

#[test]
fn a_read_is_filtered_sorted_and_paged_in_this_order() {
    let (memory, binding) = store();
    let given: Vec<[Value; 4]> = (1..=6).map(|id| city(id, None, id % 3)).collect();
    let given: Vec<&[Value]> = given.iter().map(|row| &row[..]).collect();
    write(&memory, &insert(&binding, &given, OnConflict::Fail));
    let mut read = Read::new(binding, [ID, SCORE].into());
    read.sort =
        [Sort { column: SCORE, descending: true }, Sort { column: ID, descending: false }].into();
    assert_eq!(texts(&memory, &read), ["2 2", "5 2", "1 1", "4 1", "3 0", "6 0"]);
    read.after = Some([Value::I64(2), Value::I64(2)].into());
    read.offset = 1;
    read.limit = Some(2);
    assert_eq!(texts(&memory, &read), ["1 1", "4 1"]);
    let value = Value::I64(1);
    read.filter =
        [Predicate::Compare { column: SCORE, comparison: Comparison::Less, value }].into();
    assert_eq!(texts(&memory, &read), ["6 0"]);
    read.output = crate::read::Output::Count;
    let report = now(Provider::read(&memory, &read, &mut RowBuffer::new(2))).expect("a report");
    assert_eq!(report, ReadReport::counted(1));
}

#[test]
fn ensure_creates_what_is_missing_and_names_what_differs() {
    let memory = Memory::new();
    let report = ensure(&memory, schema());
    assert_eq!(report.created, ["table cities", "unique index cities_name_key on cities (name)"]);
    assert_eq!(ensure(&memory, schema()), SchemaReport::default());
    let other = Schema::builder("Cities")
        .column(Column::new("id", Type::Text))
        .column(Column::new("name", Type::Text))
        .column(Column::new("mayor", Type::Text))
        .key(["name"])
        .named_index("cities_name_key", ["id"], true)
        .index(["name"])
        .index(["mayor"])
        .build()
        .expect("a schema");
    let report = ensure(&memory, other);
    assert_eq!(report.created, ["index Cities_name_idx on Cities (name)"]);
    let differs: Vec<&str> = report.differs.iter().map(|Difference { what, .. }| &**what).collect();
    assert_eq!(
        differs,
        [
            "column \"id\" is i64, not text",
            "column \"id\" has another default",
            "column \"name\" can be null",
            "column \"mayor\" is missing",
            "the key is (id)",
            "there is another unique index cities_name_key on cities (name)",
            "index \"Cities_mayor_idx\" is missing, as its columns are",
        ]
    );
    assert_eq!(now(Provider::describe(&memory, None)).expect("described").len(), 1);
    assert!(now(Provider::describe(&memory, Some("towns"))).expect("described").is_empty());
}

#[test]
fn a_unique_index_is_not_made_over_equal_rows() {
    let (memory, binding) = store();
    let given = [&city(1, None, 5)[..], &city(2, None, 5)];
    write(&memory, &insert(&binding, &given, OnConflict::Fail));
    let unique = Schema::builder("cities")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(
            Column::new("score", Type::I64)
                .range(0, 100)
                .assigned(Assigned::Default(Value::I64(5))),
        )
        .key(["id"])
        .unique(["score"])
        .build()
        .expect("a schema");
    let task = Administer::Ensure(Arc::new(unique));
    let error = now(Provider::administer(&memory, &task)).expect_err("refused");
    assert_eq!((error.kind(), error.constraint()), (ErrorKind::Conflict, Some("cities_score_key")));
}
