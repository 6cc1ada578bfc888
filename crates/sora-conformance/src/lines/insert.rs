//! New rows: conflicts, upserts, what the store assigns.

use sora_core::write::{OnConflict, WriteReport};
use sora_core::{Assigned, Column, Date, ErrorKind, Schema, Type, Value};

use crate::report::{Verdict, check, failed, same};
use crate::store::{Cells, Fixture, Store, words};

pub(crate) const ID: u16 = 0;
pub(crate) const NAME: u16 = 1;
pub(crate) const SCORE: u16 = 2;

/// A table with a key, a unique name and a score from 0 to 100.
pub(crate) fn players() -> Result<Schema, sora_core::Error> {
    Schema::builder("players")
        .column(Column::new("id", Type::I64))
        .column(Column::new("name", Type::Text).nullable())
        .column(Column::new("score", Type::I64).range(0, 100).nullable())
        .key(["id"])
        .unique(["name"])
        .build()
}

/// Returns a row of [`players`]; an empty name is null.
pub(crate) fn player(id: i64, name: &str, score: i64) -> Cells {
    let name = if name.is_empty() { Value::Null } else { Value::Text(name.into()) };
    vec![Value::I64(id), name, Value::I64(score)]
}

/// Returns the table with the players 1 `a`, 2 `b` and 3 without a name.
pub(crate) async fn three(store: &Store) -> Verdict<Fixture<'_>> {
    let fixture = store.table(players()?).await?;
    fixture.fill(&[player(1, "a", 10), player(2, "b", 20), player(3, "", 30)]).await?;
    Ok(fixture)
}

/// Inserts rows one write after another, and returns what became of each.
async fn one_by_one(
    fixture: &Fixture<'_>,
    rows: &[Cells],
    on_conflict: &OnConflict,
) -> Verdict<Vec<WriteReport>> {
    let mut reports = Vec::new();
    for row in rows {
        let insert = fixture.insert(std::slice::from_ref(row), on_conflict.clone())?;
        reports.push(fixture.write(&insert).await?);
    }
    Ok(reports)
}

fn all_words(reports: &[WriteReport]) -> Vec<String> {
    reports.iter().flat_map(words).collect()
}

pub(crate) async fn conflict(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let rows = [player(2, "x", 1), player(9, "a", 1)];
    let reports = one_by_one(&fixture, &rows, &OnConflict::Fail).await?;
    same("outcomes", &all_words(&reports), &vec!["Conflict".into(); 2])?;
    let names: Vec<Option<&str>> =
        reports.iter().map(|report| report.first_error().and_then(|e| e.constraint())).collect();
    check(names[1] == Some("players_name_key"), || {
        format!("the constraint is players_name_key, found {:?}", names[1])
    })?;
    check(names[0].is_some_and(|name| name != "players_name_key" && !name.is_empty()), || {
        format!("the conflict of a key names it, found {:?}", names[0])
    })?;
    same("rows", &fixture.stored().await?.len(), &3)
}

pub(crate) async fn ignored(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let before = fixture.stored().await?;
    let rows = [player(2, "x", 1), player(9, "a", 1), player(1, "a", 1)];
    let reports = one_by_one(&fixture, &rows, &OnConflict::Ignore).await?;
    same("outcomes", &all_words(&reports), &vec!["Unchanged".into(); 3])?;
    same("rows", &fixture.stored().await?, &before)
}

fn is_one_of(report: &WriteReport, effects: [&str; 2]) -> Verdict {
    let words = words(report);
    check(words.len() == 1 && effects.contains(&&*words[0]), || {
        format!("an outcome is one of {effects:?}, found {words:?}")
    })
}

pub(crate) async fn upsert_by_key(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let by_key = OnConflict::Update([ID].into());
    let rows = [player(2, "c", 77), player(4, "d", 40)];
    let reports = one_by_one(&fixture, &rows, &by_key).await?;
    is_one_of(&reports[0], ["Updated", "Upserted"])?;
    is_one_of(&reports[1], ["Inserted", "Upserted"])?;
    // Some columns: the others keep what is stored.
    let row = [Value::I64(1), Value::I64(11)];
    let some = fixture.insert_columns(&[ID, SCORE], &[row.into()], by_key)?;
    fixture.write(&some).await?;
    let expected =
        vec![player(1, "a", 11), player(2, "c", 77), player(3, "", 30), player(4, "d", 40)];
    same("rows", &fixture.stored().await?, &expected)
}

pub(crate) async fn upsert_by_unique(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let by_name = OnConflict::Update([NAME].into());
    let rows = [player(8, "b", 88), player(9, "c", 90)];
    let reports = one_by_one(&fixture, &rows, &by_name).await?;
    is_one_of(&reports[0], ["Updated", "Upserted"])?;
    is_one_of(&reports[1], ["Inserted", "Upserted"])?;
    let expected =
        vec![player(1, "a", 10), player(2, "b", 88), player(3, "", 30), player(9, "c", 90)];
    same("rows", &fixture.stored().await?, &expected)
}

pub(crate) async fn upsert_meets_another(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let before = fixture.stored().await?;
    let by_key = OnConflict::Update([ID].into());
    let reports = one_by_one(&fixture, &[player(2, "a", 1), player(7, "b", 1)], &by_key).await?;
    same("outcomes", &all_words(&reports), &vec!["Conflict".into(); 2])?;
    same("rows", &fixture.stored().await?, &before)
}

pub(crate) async fn nulls_never_conflict(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let reports =
        one_by_one(&fixture, &[player(4, "", 1), player(5, "", 1)], &OnConflict::Fail).await?;
    same("outcomes", &all_words(&reports), &vec!["Inserted".into(); 2])?;
    let by_name = OnConflict::Update([NAME].into());
    one_by_one(&fixture, &[player(6, "", 1)], &by_name).await?;
    same("rows", &fixture.stored().await?.len(), &6)
}

pub(crate) async fn twice(store: &Store) -> Verdict {
    store.needs_rows(3)?;
    let fixture = three(store).await?;
    let by_key = OnConflict::Update([ID].into());
    let rows = [player(9, "x", 1), player(2, "y", 2), player(9, "z", 3)];
    let report = fixture.write(&fixture.insert(&rows, by_key)?).await?;
    check(report.first_error().is_none(), || format!("{:?}", report.first_error()))?;
    let expected =
        vec![player(1, "a", 10), player(2, "y", 2), player(3, "", 30), player(9, "z", 3)];
    same("rows", &fixture.stored().await?, &expected)
}

pub(crate) async fn assigned(store: &Store) -> Verdict {
    let by_default = |name, column_type, value| {
        Column::new(name, column_type).assigned(Assigned::Default(value))
    };
    let schema = Schema::builder("assigned")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("given", Type::I64))
        .column(Column::new("none", Type::Text).nullable())
        .column(by_default("number", Type::I64, Value::I64(-7)))
        .column(by_default("text", Type::Text, Value::Text("it's \"quoted\"".into())))
        .column(by_default("flag", Type::Bool, Value::Bool(true)))
        .column(by_default("float", Type::F64, Value::F64(0.1)))
        .column(by_default("day", Type::Date, Value::Date(Date::MIN)))
        .column(Column::new("made", Type::Timestamp).assigned(Assigned::Now))
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    for given in 1..=2 {
        let row = vec![Value::I64(given)];
        let insert = fixture.insert_columns(&[1], &[row], OnConflict::Fail)?;
        let report = fixture.write(&insert).await?;
        check(report.first_error().is_none(), || format!("{:?}", report.first_error()))?;
    }
    let rows = fixture.stored().await?;
    same("rows", &rows.len(), &2)?;
    for row in &rows {
        let expected = [
            Value::Null,
            Value::I64(-7),
            Value::Text("it's \"quoted\"".into()),
            Value::Bool(true),
            Value::F64(0.1),
            Value::Date(Date::MIN),
        ];
        same("what is assigned", &row[2..8].to_vec(), &expected.into())?;
        check(matches!(row[8], Value::Timestamp(_)), || {
            format!("the time of the insert is a timestamp, found {:?}", row[8])
        })?;
    }
    check(rows[0][0] != rows[1][0], || "two rows were given one number".into())
}

pub(crate) async fn identity(store: &Store) -> Verdict {
    let schema = Schema::builder("counted")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("n", Type::I64))
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let mut given = Vec::new();
    for n in 0..4 {
        let row = vec![Value::I64(n)];
        fixture.write(&fixture.insert_columns(&[1], &[row], OnConflict::Fail)?).await?;
        for row in fixture.stored().await? {
            let Value::I64(id) = row[0] else { return failed(format!("the key of {row:?}")) };
            check(!given.contains(&id), || format!("{id} was given twice"))?;
            given.push(id);
            // Gone, but its number stays given.
            fixture.write(&fixture.delete(fixture.ids(&[id])?)).await?;
        }
    }
    same("numbers given", &given.len(), &4)
}

pub(crate) async fn required(store: &Store) -> Verdict {
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("needed", Type::Text))
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let row = vec![Value::I64(1)];
    let insert = fixture.insert_columns(&[ID], &[row], OnConflict::Fail)?;
    let error = match fixture.write(&insert).await {
        Ok(report) => report.first_error().cloned(),
        Err(error) => Some(error),
    };
    let Some(error) = error else { return failed("the row was taken") };
    same("kind of the error", &error.kind(), &ErrorKind::Constraint)?;
    let text = format!("{error:?}");
    check(text.contains("needed"), || format!("the error names the column: {text}"))?;
    same("rows", &fixture.stored().await?.len(), &0)
}

/// A table whose columns are narrower than its schema says, as one that another program made.
pub(crate) async fn rules(store: &Store) -> Verdict {
    let table = |narrow: bool| {
        let (n, name) = (Column::new("n", Type::I64), Column::new("name", Type::Text));
        Schema::builder("ruled")
            .column(Column::new("id", Type::I64))
            .column(if narrow { n.range(0, 9) } else { n })
            .column(if narrow { name } else { name.nullable() })
            .key(["id"])
            .build()
    };
    store.table(table(true)?).await?;
    let fixture = store.bind(std::sync::Arc::new(table(false)?)).await?;
    let row = |id, n, name: &str| {
        player(id, name, n)[..1]
            .iter()
            .cloned()
            .chain([Value::I64(n), player(id, name, n)[1].clone()])
            .collect::<Cells>()
    };
    let good = row(1, 5, "a");
    fixture.fill(std::slice::from_ref(&good)).await?;
    let by_key = || OnConflict::Update([ID].into());
    for (what, row, on_conflict) in [
        ("a new row", row(2, 10, "b"), OnConflict::Fail),
        ("a new row without a name", row(2, 1, ""), OnConflict::Fail),
        ("a new row where conflicts are ignored", row(2, 10, "b"), OnConflict::Ignore),
        ("a new row without a name where conflicts are ignored", row(2, 1, ""), OnConflict::Ignore),
        ("an upsert", row(1, 10, "b"), by_key()),
        ("an upsert without a name", row(1, 1, ""), by_key()),
    ] {
        let report = fixture.write(&fixture.insert(&[row], on_conflict)?).await?;
        same(&format!("outcome of {what}"), &words(&report), &vec!["Constraint".into()])?;
    }
    let update = fixture.update(&[0, 1, 2], &[row(1, 10, "b")], false)?;
    same(
        "outcome of an update",
        &words(&fixture.write(&update).await?),
        &vec!["Constraint".into()],
    )?;
    same("rows", &fixture.stored().await?, &vec![good])
}
