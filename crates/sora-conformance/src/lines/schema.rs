//! Tables: made, described, told apart.

use std::sync::Arc;

use sora_core::plan::Support;
use sora_core::provider::{Administer, Administered};
use sora_core::{
    Assigned, Column, Comparison, Predicate, Schema, SchemaBuilder, Sort, Type, Value,
};

use crate::data::TYPES;
use crate::report::{Verdict, check, failed, same};
use crate::store::{Cells, Store};

/// A schema with everything that a catalogue keeps.
fn full() -> Result<Schema, sora_core::Error> {
    let mut builder = Schema::builder("full")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("small", Type::I64).range(-32_768, 32_767))
        .column(Column::new("level", Type::I64).range(0, 255).nullable())
        .column(Column::new("size", Type::I64).assigned(Assigned::Default(Value::I64(3))))
        .column(Column::new("made", Type::Timestamp).assigned(Assigned::Now));
    for column_type in TYPES {
        let name = column_type.to_string().replace(['(', ',', ')'], "_");
        builder = builder.column(Column::new(name.clone(), column_type));
        builder = builder.column(Column::new(format!("{name}?"), column_type).nullable());
    }
    builder.key(["id"]).unique(["text"]).index(["i64", "date"]).unique(["uuid?", "bool"]).build()
}

pub(crate) async fn described(store: &Store) -> Verdict {
    let schema = Arc::new(full()?);
    let report = store.ensure(&schema).await?;
    check(!report.created.is_empty(), || "nothing was created".into())?;
    let fixture = store.bind(schema.clone()).await?;
    let live = fixture.binding.live();
    let told = live.to_schema()?;
    same("name", &told.table(), &schema.table())?;
    check(!live.is_view, || "a table is no view".into())?;
    same("columns", &told.columns().len(), &schema.columns().len())?;
    for (found, expected) in told.columns().iter().zip(schema.columns()) {
        same("a column", found, expected)?;
    }
    same("key", &told.key(), &schema.key())?;
    for index in schema.indexes() {
        check(told.indexes().contains(index), || {
            format!("the index {index:?} is not among {:?}", told.indexes())
        })?;
    }
    let all = store.provider.describe(None).await?;
    check(all.iter().any(|table| table == &**live), || {
        "the table is not among all tables, or is described in another way there".into()
    })
}

pub(crate) async fn again(store: &Store) -> Verdict {
    let schema = Arc::new(full()?);
    store.ensure(&schema).await?;
    let second = store.ensure(&schema).await?;
    same("created", &second.created, &Vec::new())?;
    same("differs", &second.differs, &Vec::new())
}

pub(crate) async fn differs(store: &Store) -> Verdict {
    let table = |columns: Vec<Column>| {
        let builder = Schema::builder("t").column(Column::new("id", Type::I64));
        columns.into_iter().fold(builder, SchemaBuilder::column).key(["id"]).build()
    };
    let fixture = store
        .table(table(vec![Column::new("same", Type::Text), Column::new("other", Type::I64)])?)
        .await?;
    let rows = vec![vec![Value::I64(1), Value::Text("a".into()), Value::I64(1)]];
    fixture.fill(&rows).await?;
    let before = store.provider.describe(Some("t")).await?;
    let wanted = table(vec![
        Column::new("same", Type::Text),
        Column::new("other", Type::Text),
        Column::new("new", Type::I64).nullable(),
    ])?;
    let report = store.ensure(&Arc::new(wanted)).await?;
    for column in ["other", "new"] {
        let is_told = report.differs.iter().any(|difference| difference.what.contains(column));
        check(is_told, || format!("{column:?} differs, told was {:?}", report.differs))?;
    }
    let is_wrong = report.differs.iter().any(|difference| difference.what.contains("same"));
    check(!is_wrong, || format!("\"same\" does not differ: {:?}", report.differs))?;
    same("created", &report.created, &Vec::new())?;
    same("the table", &store.provider.describe(Some("t")).await?, &before)?;
    same("rows", &fixture.stored().await?, &rows)
}

pub(crate) async fn narrower(store: &Store) -> Verdict {
    let wide = Schema::builder("t")
        .column(Column::new("first", Type::Text).nullable())
        .column(Column::new("id", Type::I64))
        .column(Column::new("between", Type::I64).assigned(Assigned::Default(Value::I64(7))))
        .column(Column::new("n", Type::I64))
        .key(["id"])
        .build()?;
    let all = store.table(wide).await?;
    // Fewer columns, in another order.
    let narrow = Schema::builder("t")
        .column(Column::new("n", Type::I64))
        .column(Column::new("id", Type::I64))
        .key(["id"])
        .build()?;
    let some = store.bind(Arc::new(narrow)).await?;
    some.fill(&[vec![Value::I64(10), Value::I64(1)], vec![Value::I64(20), Value::I64(2)]]).await?;
    let row = |id, n| vec![Value::Null, Value::I64(id), Value::I64(7), Value::I64(n)];
    same("whole rows", &all.stored().await?, &vec![row(1, 10), row(2, 20)])?;
    let update = some.update(&[0, 1], &[vec![Value::I64(11), Value::I64(1)]], false)?;
    some.write(&update).await?;
    some.write(&some.delete(some.ids(&[2])?)).await?;
    same("whole rows", &all.stored().await?, &vec![row(1, 11)])?;
    same("rows", &some.stored().await?, &vec![vec![Value::I64(11), Value::I64(1)]])?;
    let key = some.keys(&[vec![Value::I64(1)]])?;
    same("rows of a key", &some.read(&some.by_keys(key)).await?.0.len(), &1)?;
    let value = Value::I64(11);
    let term = Predicate::Compare { column: 0, comparison: Comparison::Equal, value };
    let sort = vec![Sort { column: 0, descending: true }, Sort { column: 1, descending: true }];
    let ask = some.negotiate(vec![term.clone()], sort.clone());
    let mut read = some.scan();
    if ask.terms().iter().all(|term| term.support() == Support::Exact) {
        read.filter = [term].into();
    }
    if ask.sort_support() == Support::Exact {
        read.sort = sort.into();
    }
    same("rows of a filter", &some.read(&read).await?.0.len(), &1)
}

pub(crate) async fn missing_index(store: &Store) -> Verdict {
    let table = || {
        Schema::builder("t")
            .column(Column::new("id", Type::I64))
            .key(["id"])
            .column(Column::new("n", Type::I64))
    };
    store.table(table().build()?).await?;
    let wanted = Arc::new(table().index(["n"]).build()?);
    let report = store.ensure(&wanted).await?;
    same("statements", &report.created.len(), &1)?;
    same("differs", &report.differs, &Vec::new())?;
    let live = store.provider.describe(Some("t")).await?;
    let names: Vec<&str> =
        live.iter().flat_map(|table| &table.indexes).map(|index| &*index.name).collect();
    check(names.contains(&"t_n_idx"), || format!("the index t_n_idx is not among {names:?}"))
}

pub(crate) async fn unknown(store: &Store) -> Verdict {
    for name in ["nothing", "", "a'b", "\"", "%"] {
        same(
            &format!("tables named {name:?}"),
            &store.provider.describe(Some(name)).await?,
            &Vec::new(),
        )?;
    }
    Ok(())
}

/// Names that need quotes, and pairs that a careless store mixes up.
const NAMES: [&str; 16] = [
    "select",
    "Order",
    "a b",
    "a_b",
    "a\"b",
    "a'b",
    "a;b",
    "a--b",
    "a.b",
    "a%b",
    "größe",
    "テーブル",
    "😀",
    "1st",
    " ",
    "it's \"all\" `quoted` [here]\\",
];

pub(crate) async fn names(store: &Store) -> Verdict {
    for (number, name) in (0..).zip(NAMES) {
        let mut builder = Schema::builder(name).column(Column::new("id", Type::I64)).key(["id"]);
        for name in NAMES {
            builder = builder.column(Column::new(name, Type::I64).nullable());
        }
        let schema = builder.index([name]).build()?;
        let fixture = store.table(schema).await?;
        same("the table's name", &&*fixture.binding.live().name, &name)?;
        fixture.fill(&[named_row(number)]).await?;
    }
    for (number, name) in (0..).zip(NAMES) {
        let live = store.provider.describe(Some(name)).await?;
        let Some(live) = live.into_iter().next() else {
            return failed(format!("{name:?} is gone"));
        };
        let fixture = store.bind(Arc::new(live.to_schema()?)).await?;
        same(&format!("rows of {name:?}"), &fixture.stored().await?, &vec![named_row(number)])?;
        for column in 1..=NAMES.len() {
            let column = u16::try_from(column).unwrap_or(1);
            let value = Value::I64(number * 100 + i64::from(column));
            let term = Predicate::Compare { column, comparison: Comparison::Equal, value };
            let sort = vec![Sort { column, descending: true }];
            let ask = fixture.negotiate(vec![term.clone()], sort.clone());
            let mut read = fixture.scan();
            read.columns = [column].into();
            if ask.terms().iter().all(|term| term.support() == Support::Exact) {
                read.filter = [term].into();
            }
            if ask.sort_support() == Support::Exact {
                read.sort = sort.into();
            }
            same(&format!("rows by the column {column}"), &fixture.read(&read).await?.0.len(), &1)?;
        }
    }
    Ok(())
}

/// Each cell has a number of its own.
fn named_row(number: i64) -> Cells {
    (0..=NAMES.len()).map(|at| Value::I64(number * 100 + i64::try_from(at).unwrap_or(0))).collect()
}

pub(crate) async fn answers(store: &Store) -> Verdict {
    let fixture = super::insert::three(store).await?;
    match store.provider.administer(&Administer::Ping).await? {
        Administered::Answered => {}
        other => return failed(format!("a ping was answered by {other:?}")),
    }
    for analyze in [false, true] {
        let task = Administer::Explain { read: fixture.scan(), analyze };
        match store.provider.administer(&task).await? {
            Administered::Explained(plan) => {
                let says = plan.statement.is_some() || !plan.lines.is_empty();
                check(says, || "the explanation is empty".into())?;
            }
            other => return failed(format!("an explanation was answered by {other:?}")),
        }
    }
    same("rows", &fixture.stored().await?.len(), &3)
}
