//! Structs of some columns: what is inserted and what is read.

use sora_core::{Entity, ErrorKind, Insert, Projection, Value};
use sora_macros::{Entity, Insert, Projection};
use uuid::Uuid;

use crate::{Id, Kind, OrderLine, Post, Settings, ShortName, cells, text};

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct NewPost<'a> {
    name: &'a ShortName,
    title: &'a str,
    #[sora(field = "r#type")]
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
    #[derive(Entity)]
    #[sora(crate = "sora_core")]
    struct Numbered {
        #[sora(key, uuid_v7)]
        id: Uuid,
    }

    let line = OrderLine { order: 1, amount: 2, article: ShortName("a".into()), variant: Id(3) };
    let (columns, written) = insert::<OrderLine, _>(&line);
    assert_eq!(columns, [0, 1, 2, 3]);
    assert_eq!(written, [Value::I64(1), Value::I64(2), text("a"), Value::I64(3)]);
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
fn an_error_names_the_column_of_the_entity() {
    let row = vec![Value::Null, Value::Null];
    let error = <PostHead as Projection<Post>>::decode(&row).expect_err("no title");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(error.to_string(), "expected String, found null (column: title)");
}
