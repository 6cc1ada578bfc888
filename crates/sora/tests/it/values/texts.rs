//! Text, bytes and UUIDs, all ordered by bytes.

use sora::text::Parameters;
use sora::{Entity, ErrorKind, Filter, Value};

use super::{fails, holds, keeps, kept, refuses, sorts};
use crate::stores::{repository, stores};

#[derive(Clone, Debug, PartialEq, Entity)]
struct Notes {
    #[sora(key)]
    id: i64,
    text: Option<String>,
    #[sora(unique)]
    code: String,
    number: i64,
}

fn note(id: i64, text: &str) -> Notes {
    Notes { id, text: Some(text.into()), code: format!("c{id}"), number: id }
}

#[tokio::test]
async fn text_goes_by_bytes() {
    for store in stores().await {
        let table = repository::<Notes>(&store).await;
        holds(
            &table,
            &[
                note(1, ""),
                note(2, "Zoë"),
                note(3, "a"),
                note(4, "ab"),
                note(5, "it's \"50%\"_"),
                note(6, "Éa"),
                note(7, "éa"),
                note(8, "\u{10ffff}"),
                Notes { text: None, ..note(9, "") },
            ],
        )
        .await;
        let order = [9, 1, 2, 3, 4, 5, 6, 7, 8];
        sorts(&table, [Notes::TEXT.asc(), Notes::TEXT.desc()], order).await;
        keeps(
            &table,
            &[
                ("text = ''", &[1]),
                ("text < 'a'", &[1, 2]),
                ("text > 'Éa'", &[7, 8]),
                ("text = 'A'", &[]),
                ("text LIKE 'A%'", &[]),
                ("text LIKE '_a'", &[6, 7]),
                ("text ILIKE 'A%'", &[3, 4]),
                // Only ASCII letters are folded.
                ("text ILIKE 'éA'", &[7]),
                ("text LIKE '%50!%%' ESCAPE '!'", &[5]),
                ("text = 'it''s \"50%\"_'", &[5]),
                ("NOT text LIKE '%'", &[]),
            ],
        )
        .await;
        assert_eq!(kept(&table, Notes::TEXT.contains("%\"_")).await, [5]);
    }
}

#[tokio::test]
async fn text_holds_no_zero_character() {
    let literal = "cannot be compared with a text that contains U+0000";
    for store in stores().await {
        let table = repository::<Notes>(&store).await;
        holds(&table, &[note(1, "a")]).await;
        let why = "\"text\" cannot hold a text that contains U+0000";
        fails(table.insert(note(2, "a\0")).await, ErrorKind::InvalidInput, why);
        fails(table.upsert(note(1, "\0")).await, ErrorKind::InvalidInput, why);
        fails(table.update(&note(1, "a\0b")).await, ErrorKind::InvalidInput, why);
        fails(table.patch(1, [Notes::TEXT.set("\0")]).await, ErrorKind::InvalidInput, why);
        let filter = table.query(Notes::TEXT.eq("a\0")).fetch().await;
        fails(filter, ErrorKind::InvalidInput, literal);
        let list = table.query(Notes::TEXT.is_in(["a", "\0"])).fetch().await;
        fails(list, ErrorKind::InvalidInput, literal);
        let pattern = table.query(Notes::TEXT.starts_with("a\0")).fetch().await;
        fails(pattern, ErrorKind::InvalidInput, "a pattern cannot contain U+0000");
        assert_eq!(kept(&table, Filter::all()).await, [1]);
    }
    refuses::<Notes>(&[("text = 'a\0'", literal), ("text LIKE '\0%'", "U+0000")]);
    let parameters = Parameters::from([Value::Text("\0".into())]);
    fails(Filter::<Notes>::parse("text = ?", &parameters), ErrorKind::InvalidInput, literal);
}

#[tokio::test]
async fn numbers_and_texts_are_never_taken_for_each_other() {
    let text = "\"text\" is text and cannot be compared with";
    let number = "\"number\" is i64 and cannot be compared with a text";
    refuses::<Notes>(&[
        ("text = 5", text),
        ("text IN ('5', 5)", text),
        ("text < 1.5", text),
        ("5 = text", text),
        ("text = TRUE", text),
        ("text = X'35'", text),
        ("number = '5'", number),
        ("number BETWEEN 1 AND '5'", number),
        ("number LIKE '5%'", "\"number\" is matched with LIKE, which only text can be"),
        ("text = code", "a column beside a column cannot be compared"),
        ("number < id", "a column beside a column cannot be compared"),
    ]);
    for store in stores().await {
        let table = repository::<Notes>(&store).await;
        holds(&table, &[note(5, "5")]).await;
        let cells = |text, number| [Value::I64(6), text, Value::Text("c6".into()), number];
        let digits = Value::Text("6".into());
        let written = super::write(table.table(), &cells(digits.clone(), digits.clone())).await;
        fails(written, ErrorKind::InvalidInput, "\"number\" is i64, not text");
        let written = super::write(table.table(), &cells(Value::I64(6), Value::I64(6))).await;
        fails(written, ErrorKind::InvalidInput, "\"text\" is text, not i64");
        keeps(&table, &[("text = '5' AND number = 5", &[5]), ("text = '5.0'", &[])]).await;
    }
}

#[derive(Clone, Debug, PartialEq, Entity)]
struct Blobs {
    #[sora(key)]
    id: i64,
    bytes: Option<Vec<u8>>,
}

#[tokio::test]
async fn bytes_go_by_bytes() {
    for store in stores().await {
        let table = repository::<Blobs>(&store).await;
        let row = |id, bytes: &[u8]| Blobs { id, bytes: Some(bytes.into()) };
        holds(
            &table,
            &[
                row(1, b"\xff"),
                row(2, b""),
                row(3, b"\0\0"),
                row(4, b"\0"),
                Blobs { id: 5, bytes: None },
                row(6, b"\x80abc"),
            ],
        )
        .await;
        sorts(&table, [Blobs::BYTES.asc(), Blobs::BYTES.desc()], [5, 2, 4, 3, 6, 1]).await;
        keeps(
            &table,
            &[
                ("bytes = X''", &[2]),
                ("bytes > x'00'", &[1, 3, 6]),
                ("bytes BETWEEN X'80' AND X'80FF'", &[6]),
                ("bytes IN (X'FF', NULL)", &[1]),
            ],
        )
        .await;
        assert_eq!(kept(&table, Blobs::BYTES.lt(&b"\x80"[..])).await, [2, 3, 4]);
    }
    refuses::<Blobs>(&[("bytes = 'ff'", "\"bytes\" is bytes and cannot be compared with a text")]);
}

#[cfg(feature = "uuid")]
mod uuids {
    use uuid::Uuid;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Entity)]
    struct Tags {
        #[sora(key)]
        id: i64,
        uuid: Option<Uuid>,
        written: String,
    }

    #[tokio::test]
    async fn uuids_go_by_bytes_and_their_texts_are_text() {
        const LETTERS: &str = "0190A6F2-7C1E-7D3A-9B1F-00FF00FF00FF";
        for store in stores().await {
            let table = repository::<Tags>(&store).await;
            let row = |id, uuid: &str| Tags {
                id,
                uuid: Some(Uuid::parse_str(uuid).expect("a UUID")),
                written: uuid.into(),
            };
            holds(
                &table,
                &[
                    row(1, "ffffffff-ffff-ffff-ffff-ffffffffffff"),
                    row(2, LETTERS),
                    row(3, "00000000-0000-0000-0000-000000000000"),
                    row(4, "80000000-0000-0000-0000-000000000000"),
                    Tags { id: 5, uuid: None, written: String::new() },
                ],
            )
            .await;
            sorts(&table, [Tags::UUID.asc(), Tags::UUID.desc()], [5, 3, 2, 4, 1]).await;
            keeps(
                &table,
                &[
                    ("uuid = '0190a6f2-7c1e-7d3a-9b1f-00ff00ff00ff'", &[2]),
                    ("uuid = '0190A6F27C1E7D3A9B1F00FF00FF00FF'", &[2]),
                    ("uuid > '7fffffff-ffff-ffff-ffff-ffffffffffff'", &[1, 4]),
                    // The column is text, whatever it holds.
                    ("written = '0190a6f2-7c1e-7d3a-9b1f-00ff00ff00ff'", &[]),
                    ("written = '0190A6F2-7C1E-7D3A-9B1F-00FF00FF00FF'", &[2]),
                ],
            )
            .await;
            let uuid = Uuid::parse_str(LETTERS).expect("a UUID");
            assert_eq!(kept(&table, Tags::UUID.le(uuid)).await, [2, 3]);
        }
        refuses::<Tags>(&[
            ("uuid = 'x'", "\"uuid\" is a UUID, which \"x\" is not"),
            ("uuid = 5", "\"uuid\" is uuid and cannot be compared with a number"),
        ]);
    }
}
