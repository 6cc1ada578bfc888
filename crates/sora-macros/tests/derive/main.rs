//! What the derives declare, write and read.

mod defaults;
mod selection;
mod types;

use std::any::TypeId;
use std::sync::Arc;

use sora_core::json::Json;
use sora_core::{
    Assigned, Cell, CellSink, Column, Entity, Error, ErrorKind, Field, FilterLimits, Key, Row,
    Schema, Timestamp, Type, Value,
};
use sora_macros::{ColumnType, Entity};
use uuid::Uuid;

/// Every attribute.
#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(
    crate = "sora_core",
    table = "blog-posts",
    rename_all = "camelCase",
    index(author_name, created_at),
    unique(r#type, title, name = "one_title")
)]
#[sora(index(name, name = "by_name"))]
struct Post {
    #[sora(key, identity)]
    id: i64,
    title: String,
    #[sora(index)]
    author_name: Option<String>,
    r#type: Kind,
    #[sora(unique, column = "Name")]
    name: ShortName,
    #[sora(default = now)]
    created_at: Timestamp,
    #[sora(json)]
    tags: Vec<String>,
    #[sora(json)]
    settings: Option<Settings>,
    #[sora(skip)]
    distance: f64,
    #[sora(version)]
    version: i64,
    #[sora(uuid_v7)]
    public_id: Uuid,
}

#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
struct Settings {
    dark: bool,
}

#[derive(Clone, Copy, ColumnType, Debug, Eq, Hash, PartialEq)]
#[sora(crate = "sora_core")]
enum Kind {
    Draft,
    InReview,
    #[sora(rename = "live!")]
    Published,
    r#Gone,
}

#[derive(Clone, ColumnType, Debug, Eq, Hash, PartialEq)]
#[sora(crate = "sora_core")]
struct ShortName(String);

#[derive(Clone, Copy, ColumnType, Debug, Eq, Hash, PartialEq)]
#[sora(crate = "sora_core")]
struct Percent(u8);

#[derive(Clone, Copy, ColumnType, Debug, Eq, Hash, PartialEq)]
#[sora(crate = "sora_core")]
struct Id<T>(T);

/// A key of several fields, not all in front.
#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(crate = "sora_core")]
struct OrderLine {
    #[sora(key)]
    order: i64,
    amount: i32,
    #[sora(key)]
    article: ShortName,
    #[sora(key)]
    variant: Id<i32>,
}

fn cells(encode: impl FnOnce(&mut dyn CellSink) -> sora_core::Result<()>) -> Vec<Value> {
    let mut cells = Vec::new();
    encode(&mut cells).expect("encodes");
    cells
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn post() -> Post {
    Post {
        id: 7,
        title: "Hello".into(),
        author_name: None,
        r#type: Kind::InReview,
        name: ShortName("hello".into()),
        created_at: Timestamp::MIN,
        tags: vec!["a".into()],
        settings: None,
        distance: 2.5,
        version: 3,
        public_id: Uuid::nil(),
    }
}

#[test]
fn a_schema_has_all_that_attributes_say() {
    let expected = Schema::builder("blog-posts")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("title", Type::Text))
        .column(Column::new("authorName", Type::Text).nullable())
        .column(Column::new("type", Type::Text))
        .column(Column::new("Name", Type::Text))
        .column(Column::new("createdAt", Type::Timestamp).assigned(Assigned::Now))
        .column(Column::new("tags", Type::Json))
        .column(Column::new("settings", Type::Json).nullable())
        .column(Column::new("version", Type::I64))
        .column(Column::new("publicId", Type::Uuid).assigned(Assigned::UuidV7))
        .key(["id"])
        .version("version")
        .index(["authorName", "createdAt"])
        .named_index("one_title", ["type", "title"], true)
        .named_index("by_name", ["Name"], false)
        .index(["authorName"])
        .unique(["Name"])
        .build()
        .expect("a schema");
    let schema = Post::schema().expect("a schema");
    assert_eq!(**schema, expected);
    assert!(Arc::ptr_eq(schema, Post::schema().expect("a schema")), "built once");
}

#[test]
fn a_row_has_a_cell_for_each_column_in_order() {
    let written = cells(|out| post().encode(out));
    let expected = [
        Value::I64(7),
        text("Hello"),
        Value::Null,
        text("in_review"),
        text("hello"),
        Value::Timestamp(Timestamp::MIN),
        Value::Json(r#"["a"]"#.into()),
        Value::Null,
        Value::I64(3),
        Value::Uuid([0; 16]),
    ];
    assert_eq!(written, expected);
    let read = Post::decode(&written).expect("decodes");
    assert_eq!(read, Post { distance: 0.0, ..post() }, "a skipped field has its default");
    let settings = Post { settings: Some(Settings { dark: true }), ..post() };
    let written = cells(|out| settings.encode(out));
    assert_eq!(written[7], Value::Json(r#"{"dark":true}"#.into()));
    assert_eq!(Post::decode(&written).expect("decodes").settings, settings.settings);
}

#[test]
fn constants_are_the_columns() {
    fn type_of<T: 'static>(_: Field<Post, T>) -> TypeId {
        TypeId::of::<T>()
    }
    let columns = [
        Post::ID.column(),
        Post::TITLE.column(),
        Post::AUTHOR_NAME.column(),
        Post::TYPE.column(),
        Post::NAME.column(),
        Post::CREATED_AT.column(),
        Post::TAGS.column(),
        Post::SETTINGS.column(),
        Post::VERSION.column(),
        Post::PUBLIC_ID.column(),
    ];
    assert_eq!(columns, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(type_of(Post::TAGS), TypeId::of::<Json<Vec<String>>>());
    assert_eq!(type_of(Post::SETTINGS), TypeId::of::<Option<Json<Settings>>>());
    let name = ShortName("x".into());
    let filter =
        Post::TYPE.eq(Kind::Published) & Post::NAME.ne(&name) & Post::AUTHOR_NAME.eq("Ann");
    let schema = Post::schema().expect("a schema");
    let bound = filter.into_predicate().expect("literals").bind(schema, FilterLimits::default());
    let bound = format!("{:?}", bound.expect("fits"));
    assert!(bound.contains("live!") && bound.contains("Ann"), "{bound}");
}

#[test]
fn keys_are_the_key_fields_in_order() {
    fn key_of<E: Entity<Key = K>, K: Key>(row: &E) -> K {
        row.key()
    }
    let article = ShortName("nut".into());
    let line = OrderLine { order: 1, amount: 2, article: article.clone(), variant: Id(3) };
    assert_eq!(key_of(&line), (1, article, Id(3)));
    let schema = OrderLine::schema().expect("a schema");
    assert_eq!((schema.table(), schema.key()), ("order_line", [0, 2, 3].as_slice()));
    assert_eq!(key_of(&post()), 7);
}

#[test]
fn errors_name_the_column() {
    let check = |row: &Vec<Value>, expected: &str| {
        let error = Post::decode(row).expect_err("does not fit");
        assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Data, expected));
    };
    let mut row = cells(|out| post().encode(out));
    row[2] = Value::I64(5);
    let message = "expected String, found the i64 5 (column: authorName)";
    check(&row, message);
    row[2] = Value::Null;
    row[3] = text("deleted");
    let message = "\"deleted\" is no Kind: there are draft, in_review, live!, gone (column: type)";
    check(&row, message);
}

#[test]
fn a_column_that_the_store_named_is_not_named_again() {
    /// A row of a store that says itself where it went wrong.
    struct Broken;

    impl Row for Broken {
        fn width(&self) -> usize {
            10
        }

        fn cell(&self, _position: usize) -> sora_core::Result<Cell<'_>> {
            Err(Error::new(ErrorKind::Data, "a blob").with("column", "rowid 5"))
        }
    }

    let error = Post::decode(&Broken).expect_err("broken");
    assert_eq!(error.to_string(), "a blob (column: rowid 5)");
}
