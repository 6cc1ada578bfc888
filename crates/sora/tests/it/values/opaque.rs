//! JSON, which is stored and read and nothing else.

use std::collections::{BTreeMap, HashMap};

use sora::json::Json;
use sora::{Entity, ErrorKind, Filter, Query, RowBuffer, Value};

use super::{fails, holds, keeps, kept, refuses, write};
use crate::stores::{repository, stores};

#[derive(Clone, Debug, PartialEq, Entity)]
struct Documents {
    #[sora(key)]
    id: i64,
    /// JSON `null` is a value, and no value is null.
    maybe: Option<Json<Option<i64>>>,
    #[sora(json)]
    map: BTreeMap<String, Vec<f64>>,
}

fn document(id: i64, maybe: Option<Json<Option<i64>>>) -> Documents {
    Documents { id, maybe, map: BTreeMap::from([("é\"".into(), vec![1.5])]) }
}

#[tokio::test]
async fn json_is_null_or_not() {
    for store in stores().await {
        let table = repository::<Documents>(&store).await;
        holds(
            &table,
            &[document(1, None), document(2, Some(Json(None))), document(3, Some(Json(Some(5))))],
        )
        .await;
        keeps(
            &table,
            &[
                ("maybe IS NULL", &[1]),
                ("maybe IS NOT NULL", &[2, 3]),
                ("map IS NULL", &[]),
                ("NOT (maybe IS NULL OR id = 3)", &[2]),
            ],
        )
        .await;
        assert_eq!(kept(&table, Documents::MAYBE.is_null()).await, [1]);
        let compared = table.query(Documents::MAYBE.eq(Json(None))).fetch().await;
        fails(compared, ErrorKind::InvalidInput, "json, which can only be compared by IS NULL");
        let sorted = table.query(Filter::all()).sort(Documents::MAYBE.asc()).fetch().await;
        fails(sorted, ErrorKind::InvalidInput, "\"maybe\" is json, which has no order");
        table.patch(3, [Documents::MAYBE.set_null()]).await.expect("written");
        assert_eq!(kept(&table, Documents::MAYBE.is_null()).await, [1, 3]);
        table.patch(3, [Documents::MAYBE.set(Json(None))]).await.expect("written");
        assert_eq!(kept(&table, Documents::MAYBE.is_null()).await, [1]);
    }
    let why = "\"maybe\" is json, which can only be compared by IS NULL";
    refuses::<Documents>(&[
        ("maybe = 'null'", why),
        ("maybe = NULL", why),
        ("maybe IN ('1')", why),
        ("maybe LIKE '%1%'", "\"maybe\" is matched with LIKE"),
        ("maybe", "\"maybe\" stands alone"),
    ]);
}

#[derive(Clone, Debug, PartialEq, Entity)]
struct Maps {
    #[sora(key)]
    id: i64,
    #[sora(json)]
    map: HashMap<String, Option<f64>>,
}

#[tokio::test]
async fn json_is_canonical_text() {
    for store in stores().await {
        let table = repository::<Maps>(&store).await;
        let keys = ["b", "é", "a\"", "ab", "", "B", "c/d", "\n"];
        let map = || keys.into_iter().map(|key| (key.to_owned(), None));
        // Two maps with the same keys go through them in orders of their own.
        let rows: Vec<Maps> = (0..8).map(|id| Maps { id, map: map().collect() }).collect();
        holds(&table, &rows).await;
        let query = Query { columns: Some(vec![1]), ..Query::default() };
        let mut cells = RowBuffer::new(1);
        table.table().query(&query, &mut cells).await.expect("a query");
        assert_eq!(cells.len(), rows.len());
        let text =
            r#"{"":null,"\n":null,"B":null,"a\"":null,"ab":null,"b":null,"c/d":null,"é":null}"#;
        for row in cells.iter() {
            assert_eq!(row.get(0).to_value(), Value::Json(text.into()));
        }
        let row = |json| [Value::I64(9), json];
        let wrong = write(table.table(), &row(Value::Text("{}".into()))).await;
        fails(wrong, ErrorKind::InvalidInput, "\"map\" is json, not text");
        let map = HashMap::from([(String::from("zero\0"), None)]);
        let zero = table.insert(Maps { id: 9, map }).await;
        fails(zero, ErrorKind::InvalidInput, "U+0000");
    }
}
