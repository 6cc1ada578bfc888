//! What the derives declare, write and read.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use rust_decimal::Decimal as RustDecimal;
use sora_core::json::Json;
use sora_core::{
    Assigned, Cell, CellSink, Column, ColumnType as _, Date, Decimal, Entity, Error, ErrorKind,
    Field, FilterLimits, Insert, Key, Projection, Row, Schema, Timestamp, Type, Value,
};
use sora_macros::{ColumnType, Entity, Insert, Projection};
use uuid::Uuid;

/// Every type of column.
#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(crate = "sora_core")]
struct Everything {
    #[sora(key)]
    id: i64,
    flag: bool,
    tiny: i8,
    small: i16,
    medium: i32,
    byte: u8,
    word: u16,
    long: u32,
    real: f32,
    double: f64,
    text: String,
    boxed: Box<str>,
    bytes: Vec<u8>,
    blob: Box<[u8]>,
    #[sora(decimal(10, 2))]
    price: Decimal,
    #[sora(decimal(28, 28))]
    rust_price: RustDecimal,
    moment: Timestamp,
    jiff_moment: jiff::Timestamp,
    day: Date,
    jiff_day: jiff::civil::Date,
    uuid: Uuid,
    wrapped: Json<Vec<u8>>,
    maybe_flag: Option<bool>,
    maybe_tiny: Option<i8>,
    maybe_text: Option<String>,
    #[sora(decimal(4, 0))]
    maybe_price: Option<Decimal>,
    maybe_day: Option<jiff::civil::Date>,
    maybe_uuid: Option<Uuid>,
}

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
    #[sora(version, default = 1)]
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

/// Every kind of default.
#[derive(Debug, Entity)]
#[sora(crate = "sora_core")]
struct Defaults {
    #[sora(key, uuid_v7)]
    id: Uuid,
    #[sora(default = true)]
    yes: bool,
    #[sora(default = -5)]
    integer: i64,
    #[sora(default = 255)]
    byte: Option<u8>,
    #[sora(default = -2.5)]
    float: f64,
    #[sora(default = 2)]
    whole: f64,
    #[sora(default = "O'Brien")]
    text: String,
    #[sora(default = "1.5", decimal(4, 2))]
    price: Decimal,
    #[sora(default = 3, decimal(4, 2))]
    round: RustDecimal,
    #[sora(default = "2024-02-29")]
    day: Date,
    #[sora(default = "2024-02-29T12:00:00Z")]
    moment: Timestamp,
    #[sora(default = "00000000-0000-0000-0000-000000000001")]
    other: Uuid,
    #[sora(json, default = "{ \"b\": 1, \"a\": 2 }")]
    json: BTreeMap<String, u8>,
    #[sora(default = "in_review")]
    kind: Kind,
    #[sora(default = 50)]
    percent: Percent,
}

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

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct NewPost<'a> {
    name: &'a ShortName,
    title: &'a str,
    #[sora(field = "type")]
    kind: Kind,
    author_name: Option<&'a str>,
    tags: Vec<String>,
    settings: Settings,
}

#[derive(Debug, PartialEq, Projection)]
#[sora(crate = "sora_core", entity = Post)]
struct PostHead {
    settings: Option<Settings>,
    title: String,
    #[sora(field = "type")]
    kind: Kind,
    tags: Vec<String>,
}

fn cells(encode: impl FnOnce(&mut dyn CellSink) -> sora_core::Result<()>) -> Vec<Value> {
    let mut cells = Vec::new();
    encode(&mut cells).expect("encodes");
    cells
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn everything() -> Everything {
    Everything {
        id: i64::MIN,
        flag: true,
        tiny: -128,
        small: -1,
        medium: i32::MAX,
        byte: 255,
        word: 65_535,
        long: u32::MAX,
        real: 0.1,
        double: -1e300,
        text: "Zoë".into(),
        boxed: "".into(),
        bytes: vec![0, 255],
        blob: [1].into(),
        price: "-0.10".parse().expect("a decimal"),
        rust_price: RustDecimal::new(1, 28),
        moment: Timestamp::MAX,
        jiff_moment: jiff::Timestamp::from_microsecond(-1).expect("in range"),
        day: Date::MIN,
        jiff_day: jiff::civil::Date::new(2024, 2, 29).expect("a date"),
        uuid: Uuid::max(),
        wrapped: Json(vec![1, 2]),
        maybe_flag: Some(false),
        maybe_tiny: Some(0),
        maybe_text: Some(String::new()),
        maybe_price: Some(Decimal::from(7)),
        maybe_day: Some(jiff::civil::Date::new(1, 1, 1).expect("a date")),
        maybe_uuid: Some(Uuid::nil()),
    }
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
fn a_schema_has_the_types_of_the_fields() {
    let decimal = |precision, scale| Type::Decimal { precision, scale };
    let narrow = |name: &str, min: i64, max: i64| Column::new(name, Type::I64).range(min, max);
    let expected = Schema::builder("everything")
        .column(Column::new("id", Type::I64))
        .column(Column::new("flag", Type::Bool))
        .column(narrow("tiny", -128, 127))
        .column(narrow("small", -32_768, 32_767))
        .column(narrow("medium", i32::MIN.into(), i32::MAX.into()))
        .column(narrow("byte", 0, 255))
        .column(narrow("word", 0, 65_535))
        .column(narrow("long", 0, u32::MAX.into()))
        .column(Column::new("real", Type::F64))
        .column(Column::new("double", Type::F64))
        .column(Column::new("text", Type::Text))
        .column(Column::new("boxed", Type::Text))
        .column(Column::new("bytes", Type::Bytes))
        .column(Column::new("blob", Type::Bytes))
        .column(Column::new("price", decimal(10, 2)))
        .column(Column::new("rust_price", decimal(28, 28)))
        .column(Column::new("moment", Type::Timestamp))
        .column(Column::new("jiff_moment", Type::Timestamp))
        .column(Column::new("day", Type::Date))
        .column(Column::new("jiff_day", Type::Date))
        .column(Column::new("uuid", Type::Uuid))
        .column(Column::new("wrapped", Type::Json))
        .column(Column::new("maybe_flag", Type::Bool).nullable())
        .column(narrow("maybe_tiny", -128, 127).nullable())
        .column(Column::new("maybe_text", Type::Text).nullable())
        .column(Column::new("maybe_price", decimal(4, 0)).nullable())
        .column(Column::new("maybe_day", Type::Date).nullable())
        .column(Column::new("maybe_uuid", Type::Uuid).nullable())
        .key(["id"])
        .build()
        .expect("a schema");
    assert_eq!(**Everything::schema().expect("a schema"), expected);
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
        .column(Column::new("version", Type::I64).assigned(Assigned::Default(Value::I64(1))))
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
fn rows_come_back_as_they_were() {
    let empty = Everything {
        maybe_flag: None,
        maybe_tiny: None,
        maybe_text: None,
        maybe_price: None,
        maybe_day: None,
        maybe_uuid: None,
        ..everything()
    };
    for row in [everything(), empty] {
        let written = cells(|out| Entity::encode(&row, out));
        assert_eq!(written.len(), 28);
        assert_eq!(Everything::decode(&written).expect("decodes"), row);
    }
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
    let _tags: Field<Post, Json<Vec<String>>> = Post::TAGS;
    let _settings: Field<Post, Option<Json<Settings>>> = Post::SETTINGS;
    let filter = Post::TYPE.eq(Kind::Published)
        & Post::NAME.ne(&ShortName("x".into()))
        & Post::AUTHOR_NAME.eq("Ann");
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
fn defaults_are_values_of_their_columns() {
    let schema = Defaults::schema().expect("a schema");
    let expected = [
        Value::Bool(true),
        Value::I64(-5),
        Value::I64(255),
        Value::F64(-2.5),
        Value::F64(2.0),
        text("O'Brien"),
        Value::Decimal(Decimal::new(150, 2).expect("a decimal")),
        Value::Decimal(Decimal::new(300, 2).expect("a decimal")),
        Value::Date("2024-02-29".parse().expect("a date")),
        Value::Timestamp("2024-02-29T12:00:00Z".parse().expect("a timestamp")),
        Value::Uuid(Uuid::from_u128(1).into_bytes()),
        Value::Json(r#"{"a":2,"b":1}"#.into()),
        text("in_review"),
        Value::I64(50),
    ];
    let found: Vec<_> =
        schema.columns()[1..].iter().map(|column| column.assigned.clone()).collect();
    assert_eq!(found, expected.map(Assigned::Default));
    let Assigned::Default(Value::Decimal(price)) = found[6] else { panic!("a decimal") };
    assert_eq!(price.scale(), 2, "in the form that stores hold");
}

#[test]
fn a_default_that_the_field_cannot_hold_is_an_error_of_the_schema() {
    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct NoDay {
        #[sora(key, default = "2024-02-30")]
        day: Date,
    }

    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct NoVariant {
        #[sora(key, default = "deleted")]
        kind: Kind,
    }

    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct NoRoom {
        #[sora(key)]
        id: i64,
        #[sora(default = "1.005", decimal(4, 2))]
        price: Decimal,
    }

    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct NoJson {
        #[sora(key)]
        id: i64,
        #[sora(json, default = "{")]
        json: BTreeMap<String, u8>,
    }

    let check = |schema: sora_core::Result<&'static Arc<Schema>>, table: &str, part: &str| {
        let error = schema.expect_err(table);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.context().any(|context| context == ("table", table)), "{error}");
    };
    check(NoDay::schema(), "no_day", "the default of the column \"day\" is wrong");
    check(NoVariant::schema(), "no_variant", "\"deleted\" is no Kind");
    check(NoRoom::schema(), "no_room", "'1.005' is no value of type decimal(4,2)");
    check(NoJson::schema(), "no_json", "not JSON");
}

fn insert<E: Entity, I: Insert<E>>(row: &I) -> (Vec<u16>, Vec<Value>) {
    (I::COLUMNS.to_vec(), cells(|out| row.encode(out)))
}

#[test]
fn a_struct_of_some_columns_is_inserted() {
    let row = NewPost {
        name: &ShortName("hello".into()),
        title: "Hello",
        kind: Kind::r#Gone,
        author_name: Some("Ann"),
        tags: Vec::new(),
        settings: Settings { dark: false },
    };
    let (columns, written) = insert::<Post, _>(&row);
    assert_eq!(columns, [4, 1, 3, 2, 6, 7]);
    let settings = Value::Json(r#"{"dark":false}"#.into());
    let tags = Value::Json("[]".into());
    assert_eq!(written, [text("hello"), text("Hello"), text("gone"), text("Ann"), tags, settings]);
}

#[test]
fn new_rows_are_given_values_in_every_form() {
    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct Target {
        #[sora(key)]
        text: String,
        boxed: Option<Box<str>>,
        bytes: Vec<u8>,
        maybe_bytes: Option<Vec<u8>>,
        maybe_text: Option<String>,
        number: i64,
        maybe_number: Option<i64>,
        other_number: Option<i64>,
        #[sora(json)]
        json: Option<Vec<u8>>,
    }

    #[derive(Insert)]
    #[sora(crate = "sora_core", entity = Target)]
    struct Source<'a> {
        text: &'a String,
        boxed: &'a str,
        bytes: &'a [u8],
        maybe_bytes: Option<&'a [u8]>,
        maybe_text: Option<String>,
        number: &'a i64,
        maybe_number: i64,
        other_number: Option<&'a i64>,
        json: Option<Vec<u8>>,
    }

    let row = Source {
        text: &"a".into(),
        boxed: "b",
        bytes: &[1],
        maybe_bytes: None,
        maybe_text: Some("c".into()),
        number: &2,
        maybe_number: 3,
        other_number: Some(&4),
        json: None,
    };
    let expected = [
        text("a"),
        text("b"),
        Value::Bytes([1].into()),
        Value::Null,
        text("c"),
        Value::I64(2),
        Value::I64(3),
        Value::I64(4),
        Value::Null,
    ];
    assert_eq!(insert::<Target, _>(&row).1, expected);
}

#[test]
fn an_entity_is_inserted_if_the_caller_gives_all() {
    let line = OrderLine { order: 1, amount: 2, article: ShortName("a".into()), variant: Id(3) };
    let (columns, written) = insert::<OrderLine, _>(&line);
    assert_eq!(columns, [0, 1, 2, 3]);
    assert_eq!(written, [Value::I64(1), Value::I64(2), text("a"), Value::I64(3)]);

    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct Numbered {
        #[sora(key, uuid_v7)]
        id: Uuid,
    }
    assert_eq!(insert::<Numbered, _>(&Numbered { id: Uuid::nil() }).0, [0]);
}

#[test]
fn a_struct_of_some_columns_is_read() {
    assert_eq!(<PostHead as Projection<Post>>::COLUMNS, [7, 1, 3, 6]);
    let row = vec![Value::Null, text("Hello"), text("live!"), Value::Json(r#"["x"]"#.into())];
    let expected = PostHead {
        settings: None,
        title: "Hello".into(),
        kind: Kind::Published,
        tags: vec!["x".into()],
    };
    assert_eq!(<PostHead as Projection<Post>>::decode(&row).expect("decodes"), expected);
}

#[test]
fn errors_name_the_column() {
    fn check<T: Debug>(read: sora_core::Result<T>, kind: ErrorKind, expected: &str) {
        let error = read.expect_err("does not fit");
        assert_eq!((error.kind(), &*error.to_string()), (kind, expected));
    }
    let mut row = cells(|out| post().encode(out));
    row[2] = Value::I64(5);
    let message = "expected String, found the i64 5 (column: authorName)";
    check(Post::decode(&row), ErrorKind::Data, message);
    row[2] = Value::Null;
    row[3] = text("deleted");
    let message = "\"deleted\" is no Kind: there are draft, in_review, live!, gone (column: type)";
    check(Post::decode(&row), ErrorKind::Data, message);
    let head = vec![Value::Null, Value::Null];
    let message = "expected String, found null (column: title)";
    check(<PostHead as Projection<Post>>::decode(&head), ErrorKind::Data, message);
    let year_0 = jiff::civil::Date::new(0, 1, 1).expect("a date");
    let far = Everything { jiff_day: year_0, ..everything() };
    let written = Entity::encode(&far, &mut Vec::new());
    let message =
        "the date is out of range: years 1 to 9999, decimals of 96 bits (column: jiff_day)";
    check(written, ErrorKind::InvalidInput, message);
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

#[test]
fn enums_and_newtypes_are_columns() {
    let kinds = [Kind::Draft, Kind::InReview, Kind::Published, Kind::r#Gone];
    let texts = ["draft", "in_review", "live!", "gone"];
    for (kind, expected) in kinds.into_iter().zip(texts) {
        assert_eq!(cells(|out| kind.encode(out)), [text(expected)]);
        assert_eq!(Kind::decode(Cell::Text(expected)).expect("decodes"), kind);
    }
    let error = Kind::decode(Cell::I64(1)).expect_err("no text");
    assert_eq!(error.to_string(), "expected Kind, found the i64 1");
    assert_eq!((Percent::TYPE, Percent::RANGE), (Type::I64, Some((0, 255))));
    assert!(Percent::decode(Cell::I64(256)).is_err());
    let nullable = [Id::<Option<String>>::NULLABLE, Id::<String>::NULLABLE, Kind::NULLABLE];
    assert_eq!(nullable, [true, false, false]);

    #[derive(ColumnType)]
    #[sora(crate = "sora_core", rename_all = "SCREAMING_SNAKE_CASE")]
    enum Loud {
        VeryLoud,
    }
    assert_eq!(cells(|out| Loud::VeryLoud.encode(out)), [text("VERY_LOUD")]);
}
