//! Names of tables and columns.

use std::sync::Arc;

use sora::text::Parameters;
use sora::{Column, Entity, ErrorKind, Filter, Schema, Sora, Type};

use super::{fails, holds, keeps, refuses, sorts};
use crate::stores::{repository, stores};

/// Every name needs quotes somewhere.
#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(table = "select \"from\"; --", index(group))]
struct Quoted {
    #[sora(key)]
    id: i64,
    #[sora(column = "order")]
    group: i64,
    #[sora(column = "it's a \"name\"")]
    name: Option<String>,
    #[sora(column = "größe")]
    size: i64,
}

#[tokio::test]
async fn names_are_always_quoted() {
    for store in stores().await {
        let table = repository::<Quoted>(&store).await;
        let row = |id, group| Quoted { id, group, name: None, size: id };
        holds(&table, &[row(1, 2), row(2, 1), Quoted { name: Some("x".into()), ..row(3, 0) }])
            .await;
        sorts(&table, [Quoted::GROUP.asc(), Quoted::GROUP.desc()], [3, 2, 1]).await;
        keeps(
            &table,
            &[
                ("\"order\" > 0", &[1, 2]),
                ("order > 0", &[1, 2]),
                ("\"it's a \"\"name\"\"\" = 'x'", &[3]),
                ("größe = 2", &[2]),
            ],
        )
        .await;
        table.patch(1, [Quoted::NAME.set("y")]).await.expect("written");
        assert!(table.delete(1).await.expect("deleted"));
        let again = store.table("SELECT \"From\"; --").await.expect("the table opens");
        assert_eq!(again.name(), "select \"from\"; --");
    }
}

#[tokio::test]
async fn names_match_exactly_or_by_one_that_ignores_ascii_case() {
    for store in stores().await {
        let table = repository::<Quoted>(&store).await;
        holds(&table, &[Quoted { id: 1, group: 5, name: None, size: 7 }]).await;
        keeps(
            &table,
            &[("ORDER = 5", &[1]), ("\"Order\" = 5", &[1]), ("ID = 1", &[1]), ("GRößE = 7", &[1])],
        )
        .await;
    }
    refuses::<Quoted>(&[
        ("GRÖßE = 7", "there is no column \"GRÖßE\"; did you mean \"größe\"?"),
        ("ordre = 5", "did you mean \"order\"?"),
    ]);
    // SQLite has no two names that differ in case alone.
    let store = Sora::open("memory:").await.expect("the store opens");
    let schema = Schema::builder("twins")
        .column(Column::new("id", Type::I64))
        .column(Column::new("Name", Type::I64))
        .column(Column::new("name", Type::I64))
        .key(["id"]);
    store.ensure(&Arc::new(schema.build().expect("a schema"))).await.expect("the table is made");
    let twins = store.table("TWINS").await.expect("the table opens");
    assert_eq!(twins.schema().find("Name").expect("exact"), 1);
    assert_eq!(twins.schema().find("name").expect("exact"), 2);
    fails(twins.schema().find("NAME"), ErrorKind::InvalidInput, "there is no column \"NAME\"");
}

#[tokio::test]
async fn names_have_at_most_63_bytes() {
    let long = "ä".repeat(32);
    for store in stores().await {
        repository::<Quoted>(&store).await;
        let fits = "x".repeat(Schema::NAME_BYTES_MAX);
        let schema = Schema::builder(fits.clone())
            .column(Column::new("id", Type::I64))
            .column(Column::new(fits.clone(), Type::Text))
            .key(["id"]);
        let schema = Arc::new(schema.build().expect("a schema"));
        store.ensure(&schema).await.expect("the table is made");
        let table = store.table(&fits).await.expect("the table opens");
        assert_eq!(table.schema().find(&fits).expect("a column"), 1);
        let why = "a name has 1 to 63 bytes";
        fails(store.table(&long).await, ErrorKind::InvalidInput, why);
        fails(store.table("").await, ErrorKind::InvalidInput, why);
        fails(store.table("a\0").await, ErrorKind::InvalidInput, why);
    }
    let why = "a name has at most 63 bytes";
    refuses::<Quoted>(&[(&format!("{long} = 1"), why), (&format!("\"{long}\" = 1"), why)]);
    let builder = || Schema::builder("t").column(Column::new(long.clone(), Type::I64));
    fails(builder().build(), ErrorKind::InvalidInput, "cannot name a column");
    let table = Schema::builder(long.clone()).column(Column::new("a", Type::I64));
    fails(table.build(), ErrorKind::InvalidInput, "cannot name a table");
    assert!(Filter::<Quoted>::parse("id = 1", &Parameters::none()).is_ok());
}
