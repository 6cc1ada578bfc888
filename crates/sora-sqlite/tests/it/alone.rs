//! Writes that nobody else waits beside.

use sora_core::Value;
use sora_core::write::OnConflict;

use crate::groups::{behind_session, commits, rows, words, write};
use crate::support::{Store, found, insert, outcomes, update};

/// A row of its own is a transaction by its statement alone, where one of a group is inside another's.
#[tokio::test]
async fn a_lone_write_ends_as_it_does_in_a_group() {
    let schema = "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1), (2);
         CREATE TABLE t (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parent(id)
         DEFERRABLE INITIALLY DEFERRED, CHECK (id < 90)) STRICT;
         CREATE TRIGGER no BEFORE INSERT ON t WHEN new.id = 13
         BEGIN SELECT RAISE(ROLLBACK, 'unlucky'); END;
         INSERT INTO t VALUES (1, 1);
         CREATE TABLE free (id INTEGER PRIMARY KEY)";
    let row =
        |id: i64, parent: Option<i64>| [Value::I64(id), parent.map_or(Value::Null, Value::I64)];
    let replace = OnConflict::Update([0].into());
    // Whether it is an update, what is written, and what became of it.
    for (is_update, row, on_conflict, expected) in [
        (false, row(2, Some(1)), OnConflict::Fail, "Inserted"),
        (false, row(1, Some(1)), OnConflict::Fail, "Conflict"),
        (false, row(1, Some(1)), OnConflict::Ignore, "Unchanged"),
        (false, row(1, Some(2)), replace.clone(), "Upserted"),
        (false, row(3, Some(1)), replace, "Upserted"),
        (false, row(2, Some(9)), OnConflict::Fail, "all Constraint"),
        (false, row(2, None), OnConflict::Fail, "Constraint"),
        (false, row(99, Some(1)), OnConflict::Fail, "Constraint"),
        (false, row(13, Some(1)), OnConflict::Fail, "all Constraint"),
        (true, row(1, Some(2)), OnConflict::Fail, "Updated"),
        (true, row(5, Some(1)), OnConflict::Fail, "Missing"),
    ] {
        for atomic in [false, true] {
            let mut ends = Vec::new();
            for is_alone in [true, false] {
                let store = Store::new().await;
                store.sql(schema);
                let (t, free) =
                    (found(&store.sqlite, "t").await, found(&store.sqlite, "free").await);
                let mut one = match is_update {
                    true => update(&t, &[&row], false),
                    false => insert(&t, &[&row], on_conflict.clone()),
                };
                one.atomic = atomic;
                let before = commits(&store);
                let end = match is_alone {
                    true => write(&store.sqlite, one).await,
                    false => {
                        behind_session(&store.sqlite, vec![one, rows(&free, [1])]).await.remove(0)
                    }
                };
                let at = format!("{row:?} {on_conflict:?} atomic {atomic} alone {is_alone}");
                assert_eq!(words(std::slice::from_ref(&end)), [expected], "{at}");
                let is_written = ["Inserted", "Upserted", "Updated"].contains(&expected);
                if is_alone {
                    assert_eq!(commits(&store) - before, usize::from(is_written), "{at}");
                }
                // Nothing is left open.
                assert_eq!(
                    words(&[write(&store.sqlite, rows(&free, [2])).await]),
                    ["Inserted"],
                    "{at}"
                );
                let said = match end {
                    Ok(report) => format!("{:?} {}", outcomes(&report), report.affected),
                    Err(error) => format!("{error} {:?} {:?}", error.retry(), error.constraint()),
                };
                ends.push((said, store.rows("SELECT id || '|' || parent FROM t")));
            }
            assert_eq!(ends[0], ends[1], "{row:?} {on_conflict:?} atomic {atomic}");
        }
    }
}
