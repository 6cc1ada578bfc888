//! Updates, patches and deletes of stored rows.

use sora_core::plan::Support;
use sora_core::write::{Change, OnConflict, Target, Write, WriteReport};
use sora_core::{Assignment, Column, Comparison, ErrorKind, Predicate, Schema, Type, Value};

use super::insert::{ID, NAME, SCORE, player, three};
use crate::report::{Verdict, check, same, skipped};
use crate::store::{Cells, Fixture, Store, words};

fn set(column: u16, value: Value) -> Assignment {
    Assignment { column, add: false, value }
}

fn add(column: u16, value: Value) -> Assignment {
    Assignment { column, add: true, value }
}

fn patch(fixture: &Fixture<'_>, target: Target, assignments: &[Assignment]) -> Write {
    let change = Change::Patch { target, assignments: assignments.into(), version: None };
    Write::new(fixture.binding.clone(), change)
}

/// Returns the condition that the score equals a number, if the store decides it.
fn score_is(fixture: &Fixture<'_>, score: i64) -> Verdict<Predicate> {
    let value = Value::I64(score);
    let term = Predicate::Compare { column: SCORE, comparison: Comparison::Equal, value };
    let ask = fixture.negotiate(vec![term.clone()], Vec::new());
    match ask.terms() {
        [term] if term.support() == Support::Exact => Ok(term.predicate().clone()),
        _ => skipped("it does not claim the filter score = 1 exact"),
    }
}

async fn expect(fixture: &Fixture<'_>, write: &Write, outcomes: &[&str]) -> Verdict<WriteReport> {
    let report = fixture.write(write).await?;
    let expected: Vec<String> = outcomes.iter().map(|word| (*word).to_owned()).collect();
    same("outcomes", &words(&report), &expected)?;
    Ok(report)
}

pub(crate) async fn update(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    for (columns, row, outcome) in [
        (&[ID, NAME, SCORE][..], player(1, "z", 1), "Updated"),
        (&[ID, SCORE], vec![Value::I64(2), Value::I64(2)], "Updated"),
        (&[SCORE, ID], vec![Value::Null, Value::I64(3)], "Updated"),
        (&[ID, SCORE], vec![Value::I64(1), Value::I64(1)], "Updated"),
    ] {
        expect(&fixture, &fixture.update(columns, &[row], false)?, &[outcome]).await?;
    }
    let mut third = player(3, "", 0);
    third[2] = Value::Null;
    let expected = vec![player(1, "z", 1), player(2, "b", 2), third];
    same("rows", &fixture.stored().await?, &expected)?;
    let taken = fixture.update(&[ID, NAME], &[player(2, "z", 0)[..2].into()], false)?;
    expect(&fixture, &taken, &["Conflict"]).await?;
    same("rows", &fixture.stored().await?, &expected)
}

/// A table whose version column counts changes.
async fn versioned(store: &Store) -> Verdict<Fixture<'_>> {
    let schema = Schema::builder("versioned")
        .column(Column::new("id", Type::I64))
        .column(Column::new("n", Type::I64))
        .column(Column::new("version", Type::I64))
        .key(["id"])
        .version("version")
        .build()?;
    let fixture = store.table(schema).await?;
    // New rows have the version 1, whatever is given.
    fixture.fill(&[numbers([1, 10, 99])]).await?;
    Ok(fixture)
}

fn numbers<const WIDTH: usize>(numbers: [i64; WIDTH]) -> Cells {
    numbers.map(Value::I64).into()
}

pub(crate) async fn version_checked(store: &Store) -> Verdict {
    let fixture = versioned(store).await?;
    let all = [0, 1, 2];
    let stale = fixture.update(&all, &[numbers([1, 20, 7])], true)?;
    expect(&fixture, &stale, &["Version"]).await?;
    let absent = fixture.update(&all, &[numbers([5, 20, 1])], true)?;
    expect(&fixture, &absent, &["Missing"]).await?;
    let by_key = |id| fixture.ids(&[id]);
    for (id, version, outcome) in [(1, 7, "Version"), (5, 1, "Missing")] {
        let assignments = [set(1, Value::I64(30))].into();
        let change = Change::Patch { target: by_key(id)?, assignments, version: Some(version) };
        expect(&fixture, &Write::new(fixture.binding.clone(), change), &[outcome]).await?;
        let change = Change::Delete { target: by_key(id)?, version: Some(version) };
        expect(&fixture, &Write::new(fixture.binding.clone(), change), &[outcome]).await?;
    }
    let stored = fixture.stored().await?;
    same("number that no stale write changed", &stored[0][1], &Value::I64(10))?;
    let version = match stored[0][2] {
        Value::I64(version) => Some(version),
        _ => None,
    };
    let change = Change::Delete { target: by_key(1)?, version };
    expect(&fixture, &Write::new(fixture.binding.clone(), change), &["Deleted"]).await?;
    Ok(())
}

pub(crate) async fn version_counted(store: &Store) -> Verdict {
    let fixture = versioned(store).await?;
    same("a new row", &fixture.stored().await?, &vec![numbers([1, 10, 1])])?;
    let all = [0, 1, 2];
    expect(&fixture, &fixture.update(&all, &[numbers([1, 20, 1])], true)?, &["Updated"]).await?;
    same("after an update", &fixture.stored().await?, &vec![numbers([1, 20, 2])])?;
    // Unchecked, and without the version among the columns.
    expect(&fixture, &fixture.update(&[0, 1], &[numbers([1, 30])], false)?, &["Updated"]).await?;
    same("after a second update", &fixture.stored().await?, &vec![numbers([1, 30, 3])])?;
    let five = add(1, Value::I64(5));
    let target = fixture.ids(&[1])?;
    expect(&fixture, &patch(&fixture, target, &[five]), &["Updated"]).await?;
    same("after a patch", &fixture.stored().await?, &vec![numbers([1, 35, 4])])?;
    let by_key = OnConflict::Update([0].into());
    fixture.write(&fixture.insert(&[numbers([1, 50, 1])], by_key)?).await?;
    same("after an upsert", &fixture.stored().await?, &vec![numbers([1, 50, 5])])
}

pub(crate) async fn patched(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let name = set(NAME, Value::Text("it's".into()));
    for (id, assignments, outcome) in [
        (1, vec![add(SCORE, Value::I64(-3)), name], "Updated"),
        (2, vec![set(NAME, Value::Null)], "Updated"),
        (3, vec![set(SCORE, Value::Null)], "Updated"),
        // Null and a number is null.
        (3, vec![add(SCORE, Value::I64(1))], "Updated"),
    ] {
        let target = fixture.ids(&[id])?;
        expect(&fixture, &patch(&fixture, target, &assignments), &[outcome]).await?;
    }
    let mut third = player(3, "", 0);
    third[2] = Value::Null;
    let expected = vec![player(1, "it's", 7), player(2, "", 20), third];
    same("rows", &fixture.stored().await?, &expected)?;
    let target = fixture.ids(&[2])?;
    let taken = set(NAME, Value::Text("it's".into()));
    expect(&fixture, &patch(&fixture, target, &[taken]), &["Conflict"]).await?;
    same("rows", &fixture.stored().await?, &expected)
}

pub(crate) async fn sums(store: &Store) -> Verdict {
    let decimal = |text: &str| text.parse().map(Value::Decimal);
    let schema = Schema::builder("sums")
        .column(Column::new("id", Type::I64))
        .column(Column::new("wide", Type::I64))
        .column(Column::new("narrow", Type::I64).range(0, 255))
        .column(Column::new("price", Type::Decimal { precision: 6, scale: 2 }))
        .column(Column::new("float", Type::F64))
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let row = vec![
        Value::I64(1),
        Value::I64(i64::MAX - 1),
        Value::I64(254),
        decimal("9999.98")?,
        Value::F64(f64::INFINITY),
    ];
    fixture.fill(std::slice::from_ref(&row)).await?;
    let too_much = [
        add(1, Value::I64(2)),
        add(1, Value::I64(i64::MAX)),
        add(2, Value::I64(2)),
        add(2, Value::I64(-255)),
        add(3, decimal("0.02")?),
        add(4, Value::F64(f64::NEG_INFINITY)),
    ];
    for assignment in too_much {
        let what = format!("{assignment:?}");
        let report = fixture.write(&patch(&fixture, fixture.ids(&[1])?, &[assignment])).await?;
        let kind = report.first_error().map(sora_core::Error::kind);
        same(&what, &kind, &Some(ErrorKind::Constraint))?;
    }
    same("the row", &fixture.stored().await?, &vec![row])?;
    let fitting = [
        add(1, Value::I64(1)),
        add(2, Value::I64(1)),
        add(3, decimal("0.01")?),
        add(4, Value::F64(1.0)),
    ];
    expect(&fixture, &patch(&fixture, fixture.ids(&[1])?, &fitting), &["Updated"]).await?;
    let full = vec![
        Value::I64(1),
        Value::I64(i64::MAX),
        Value::I64(255),
        decimal("9999.99")?,
        Value::F64(f64::INFINITY),
    ];
    same("the row", &fixture.stored().await?, &vec![full])?;
    // In binary floats this sum would be 0.30000000000000004.
    let update = [Value::I64(1), decimal("0.10")?];
    fixture.write(&fixture.update(&[0, 3], &[update.into()], false)?).await?;
    let more = add(3, decimal("0.20")?);
    expect(&fixture, &patch(&fixture, fixture.ids(&[1])?, &[more]), &["Updated"]).await?;
    same("a sum", &format!("{:?}", fixture.stored().await?[0][3]), &"0.30".into())
}

pub(crate) async fn patched_by_filter(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    fixture.fill(&[player(4, "d", 30), player(5, "e", 100)]).await?;
    let ten = [add(SCORE, Value::I64(10))];
    let thirty = score_is(&fixture, 30)?;
    let some = patch(&fixture, Target::filter([thirty].into()), &ten);
    let report = expect(&fixture, &some, &["Updated"]).await?;
    same("rows written", &report.affected, &2)?;
    let expected = vec![
        player(1, "a", 10),
        player(2, "b", 20),
        player(3, "", 40),
        player(4, "d", 40),
        player(5, "e", 100),
    ];
    same("rows", &fixture.stored().await?, &expected)?;
    // All rows, one of which cannot: none is changed.
    let all = patch(&fixture, Target::filter([].into()), &ten);
    let report = expect(&fixture, &all, &["Constraint"]).await?;
    same("rows written", &report.affected, &0)?;
    same("rows", &fixture.stored().await?, &expected)?;
    let none = patch(&fixture, Target::filter([score_is(&fixture, 77)?].into()), &ten);
    same("rows written", &expect(&fixture, &none, &["Missing"]).await?.affected, &0)
}

pub(crate) async fn deleted(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    expect(&fixture, &fixture.delete(fixture.ids(&[2])?), &["Deleted"]).await?;
    same("rows", &fixture.stored().await?, &vec![player(1, "a", 10), player(3, "", 30)])?;
    expect(&fixture, &fixture.delete(fixture.ids(&[2])?), &["Missing"]).await?;
    // Its key and its name are free again.
    fixture.fill(&[player(2, "b", 5)]).await?;
    same("rows", &fixture.stored().await?.len(), &3)
}

pub(crate) async fn deleted_by_filter(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    fixture.fill(&[player(4, "d", 30)]).await?;
    let thirty = fixture.delete(Target::filter([score_is(&fixture, 30)?].into()));
    same("rows written", &expect(&fixture, &thirty, &["Deleted"]).await?.affected, &2)?;
    same("rows", &fixture.stored().await?, &vec![player(1, "a", 10), player(2, "b", 20)])?;
    same("rows written", &expect(&fixture, &thirty, &["Missing"]).await?.affected, &0)
}

pub(crate) async fn keys_and_filter(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let twenty = score_is(&fixture, 20)?;
    for (id, outcome) in [(1, "Missing"), (2, "Updated"), (9, "Missing")] {
        let mut target = fixture.ids(&[id])?;
        target.filter = [twenty.clone()].into();
        let more = patch(&fixture, target, &[set(SCORE, Value::I64(99))]);
        expect(&fixture, &more, &[outcome]).await?;
    }
    let mut target = fixture.ids(&[1])?;
    target.filter = [twenty].into();
    expect(&fixture, &fixture.delete(target), &["Missing"]).await?;
    let expected = vec![player(1, "a", 10), player(2, "b", 99), player(3, "", 30)];
    check(fixture.stored().await? == expected, || "a row that does not meet it was changed".into())
}
