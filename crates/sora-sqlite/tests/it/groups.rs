//! Writes that are committed together.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake};

use sora_core::provider::{DynProvider, SessionOptions};
use sora_core::write::{OnConflict, Outcome, Target, Write, WriteReport};
use sora_core::{Binding, Column, ErrorKind, Result, Retry, RowBuffer, Schema, Type, Value};
use sora_sqlite::{Sqlite, SqliteConfig};

use crate::support::{
    Store, all_rows, bind, delete, fill, found, insert, lines, outcomes, patch, read, read_inside,
    rows_of, visible,
};

async fn ids(sqlite: &Sqlite) -> Arc<Binding> {
    let schema = Schema::builder("ids").column(Column::new("id", Type::I64)).key(["id"]);
    bind(sqlite, schema.build().expect("a schema")).await
}

pub(crate) fn rows(binding: &Arc<Binding>, ids: impl IntoIterator<Item = i64>) -> Write {
    let rows: Vec<[Value; 1]> = ids.into_iter().map(|id| [Value::I64(id)]).collect();
    let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
    insert(binding, &rows, OnConflict::Fail)
}

type Writing<'a> = Pin<Box<dyn Future<Output = Result<WriteReport>> + Send + 'a>>;

pub(crate) async fn write(provider: &dyn DynProvider, write: Write) -> Result<WriteReport> {
    provider.write(&write, &mut RowBuffer::new(0)).await
}

async fn poll_once<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Has writes wait behind a session, so that they stand together when it ends, and returns what
/// became of each.
pub(crate) async fn behind_session(
    sqlite: &Sqlite,
    writes: Vec<Write>,
) -> Vec<Result<WriteReport>> {
    let session = DynProvider::open(sqlite, SessionOptions::default()).await.expect("a session");
    let mut waiting: Vec<Writing<'_>> = Vec::new();
    for one in writes {
        waiting.push(Box::pin(write(sqlite, one)));
    }
    for one in &mut waiting {
        assert!(poll_once(one).await.is_none(), "it did not wait");
    }
    session.rollback().await.expect("rolled back");
    let mut all = Vec::new();
    for one in waiting {
        all.push(one.await);
    }
    all
}

/// The frames of the write-ahead log that end a commit (<https://sqlite.org/fileformat2.html#walformat>).
pub(crate) fn commits(store: &Store) -> usize {
    let log = std::fs::read(format!("{}-wal", store.path().display())).unwrap_or_default();
    let word = |bytes: &[u8], at: usize| {
        u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    };
    if log.len() < 32 {
        return 0;
    }
    let (page, salt) = (word(&log, 8) as usize, word(&log, 16));
    let frames = log[32..].chunks_exact(24 + page);
    frames.filter(|frame| word(frame, 8) == salt && word(frame, 4) > 0).count()
}

pub(crate) fn words(all: &[Result<WriteReport>]) -> Vec<String> {
    let word = |written: &Result<WriteReport>| match written {
        Ok(report) => {
            let words = outcomes(report);
            let short = |word: &String| word.split(':').next().unwrap_or_default().to_owned();
            words.iter().map(short).collect::<Vec<_>>().join(" ")
        }
        Err(error) => format!("all {:?}", error.kind()),
    };
    all.iter().map(word).collect()
}

#[tokio::test]
async fn writes_that_wait_together_are_one_commit() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let before = commits(&store);
    let all =
        behind_session(&store.sqlite, (1..=20).map(|id| rows(&binding, [id])).collect()).await;
    assert_eq!(words(&all), ["Inserted"; 20]);
    assert_eq!(commits(&store), before + 1);
    assert_eq!(read(&store.sqlite, &all_rows(&binding)).await.expect("read").len(), 20);
}

/// Says on a channel that it was woken, and waits to be told to go on, if it has somebody to tell it.
struct Halting(mpsc::Sender<usize>, usize, Option<Mutex<mpsc::Receiver<()>>>);

impl Wake for Halting {
    fn wake(self: Arc<Self>) {
        self.0.send(self.1).expect("the test runs");
        if let Some(go_on) = &self.2 {
            go_on.lock().expect("the channel").recv().expect("told to go on");
        }
    }
}

#[tokio::test]
async fn a_caller_that_is_answered_wakes_the_others_of_its_group() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let session =
        DynProvider::open(&store.sqlite, SessionOptions::default()).await.expect("a session");
    let (woken, who) = mpsc::channel();
    let (go_on, told) = mpsc::channel();
    let mut told = Some(Mutex::new(told));
    let mut waiting: Vec<Writing<'_>> = Vec::new();
    for id in 0..3 {
        let mut one: Writing<'_> = Box::pin(write(&store.sqlite, rows(&binding, [id])));
        let waker = Arc::new(Halting(woken.clone(), waiting.len(), told.take())).into();
        assert!(one.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        waiting.push(one);
    }
    session.rollback().await.expect("rolled back");
    // The thread that wrote is held by the first waker, and comes to no other.
    assert_eq!(who.recv(), Ok(0));
    assert_eq!(who.try_recv(), Err(mpsc::TryRecvError::Empty));
    let first = waiting.remove(0).await.expect("written");
    assert_eq!(outcomes(&first), ["Inserted"]);
    assert_eq!([who.try_recv(), who.try_recv()], [Ok(1), Ok(2)]);
    go_on.send(()).expect("the thread waits");
    for one in waiting {
        assert_eq!(outcomes(&one.await.expect("written")), ["Inserted"]);
    }
}

#[tokio::test]
async fn each_write_of_a_group_has_its_own_outcome() {
    let store = Store::new().await;
    let schema = Schema::builder("people")
        .column(Column::new("id", Type::I64))
        .column(Column::new("email", Type::Text).nullable())
        .column(Column::new("version", Type::I64))
        .key(["id"])
        .unique(["email"])
        .version("version");
    let binding = bind(&store.sqlite, schema.build().expect("a schema")).await;
    let person = |id: i64, email: &str| [Value::I64(id), Value::Text(email.into()), Value::I64(1)];
    fill(&store.sqlite, &binding, &[&person(1, "a"), &person(2, "b")]).await;
    let add = |people: &[[Value; 3]]| {
        let people: Vec<&[Value]> = people.iter().map(|person| &person[..]).collect();
        insert(&binding, &people, OnConflict::Fail)
    };
    let mut atomic = add(&[person(5, "e"), person(6, "a"), person(7, "g")]);
    atomic.atomic = true;
    let mut stale = delete(&binding, Target::keys(rows_of(&[&[Value::I64(2)]])));
    if let sora_core::write::Change::Delete { version, .. } = &mut stale.change {
        *version = Some(9);
    }
    let gone = Target::keys(rows_of(&[&[Value::I64(99)]]));
    let gone = patch(&binding, gone, &[("email", false, Value::Null)]);
    let writes = vec![
        add(&[person(3, "c")]),
        add(&[person(4, "a")]),
        atomic,
        add(&[person(8, "h"), person(1, "i"), person(9, "j")]),
        stale,
        gone,
        add(&[person(10, "k")]),
    ];
    let before = commits(&store);
    let all = behind_session(&store.sqlite, writes).await;
    assert_eq!(
        words(&all),
        [
            "Inserted",
            "Conflict",
            "Cancelled Conflict Cancelled",
            "Inserted Conflict Inserted",
            "Version",
            "Missing",
            "Inserted"
        ]
    );
    assert_eq!(commits(&store), before + 1);
    assert_eq!(store.rows("SELECT group_concat(id ORDER BY id) FROM people"), ["1,2,3,8,9,10"]);
}

#[tokio::test]
async fn a_group_returns_to_each_caller_its_rows() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let session =
        DynProvider::open(&store.sqlite, SessionOptions::default()).await.expect("a session");
    let one = async |id| {
        let mut write = rows(&binding, [id, id + 100]);
        write.returning = Some(visible(&binding));
        let mut returned = RowBuffer::new(1);
        let provider: &dyn DynProvider = &store.sqlite;
        provider.write(&write, &mut returned).await.expect("written");
        lines(&returned)
    };
    let end = async || session.rollback().await.expect("rolled back");
    let (first, second, ()) = tokio::join!(biased; one(1), one(2), end());
    assert_eq!((first, second), (vec!["1".into(), "101".into()], vec!["2".into(), "102".into()]));
}

#[tokio::test]
async fn a_deferred_foreign_key_fails_only_its_own_caller() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1);
         CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id)
         DEFERRABLE INITIALLY DEFERRED)",
    );
    let binding = found(&store.sqlite, "child").await;
    let child = |id, parent| {
        let row: &[Value] = &[Value::I64(id), Value::I64(parent)];
        insert(&binding, &[row], OnConflict::Fail)
    };
    let mut atomic = child(5, 9);
    atomic.atomic = true;
    let writes = vec![child(1, 1), child(2, 9), child(3, 1), child(4, 9), atomic, child(6, 1)];
    let all = behind_session(&store.sqlite, writes).await;
    let failed = "all Constraint";
    assert_eq!(words(&all), ["Inserted", failed, "Inserted", failed, failed, "Inserted"]);
    assert_eq!(store.rows("SELECT group_concat(id ORDER BY id) FROM child"), ["1,3,6"]);
}

#[tokio::test]
async fn what_undoes_the_whole_transaction_fails_only_its_own_caller() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT;
         CREATE TRIGGER no BEFORE INSERT ON t WHEN new.id = 13
         BEGIN SELECT RAISE(ROLLBACK, 'unlucky'); END",
    );
    let binding = found(&store.sqlite, "t").await;
    let mut atomic = rows(&binding, [20, 13]);
    atomic.atomic = true;
    let writes = vec![rows(&binding, [1]), rows(&binding, [13]), atomic, rows(&binding, [2])];
    let all = behind_session(&store.sqlite, writes).await;
    assert_eq!(words(&all), ["Inserted", "all Constraint", "all Constraint", "Inserted"]);
    assert_eq!(store.rows("SELECT group_concat(id ORDER BY id) FROM t"), ["1,2"]);
}

#[tokio::test]
async fn a_table_that_has_changed_fails_only_who_knows_the_old_one() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    store.sql("CREATE TABLE old (id INTEGER PRIMARY KEY)");
    let old = found(&store.sqlite, "old").await;
    store.sql("DROP TABLE old");
    let writes = vec![rows(&binding, [1]), rows(&old, [1]), rows(&binding, [2])];
    let all = behind_session(&store.sqlite, writes).await;
    assert_eq!(words(&all), ["Inserted", "all Schema", "Inserted"]);
}

#[tokio::test]
async fn groups_are_bounded() {
    let group = |writes, rows| {
        Store::with(move |config| config.group_writes_max(writes).group_rows_max(rows))
    };
    // The lengths of the writes, and how many commits they are.
    for (store, lengths, expected) in [
        (group(3, 1_000).await, vec![1; 7], 3),
        (group(100, 4).await, vec![2, 2, 1, 5, 1, 3, 1], 5),
        (group(1, 1_000).await, vec![1, 1], 2),
        (group(100, 0).await, vec![1, 1], 2),
    ] {
        let binding = ids(&store.sqlite).await;
        let before = commits(&store);
        let mut next = 0;
        let writes = lengths.iter().map(|length| {
            next += length;
            rows(&binding, next - length..next)
        });
        let all = behind_session(&store.sqlite, writes.collect()).await;
        assert!(all.iter().all(|written| matches!(written, Ok(report) if report.affected > 0)));
        assert_eq!(commits(&store), before + expected, "{lengths:?}");
    }
}

#[tokio::test]
async fn sessions_and_writes_come_first_come_first_served() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let sqlite = &store.sqlite;
    let first = DynProvider::open(sqlite, SessionOptions::default()).await.expect("a session");
    let mut before: Writing<'_> = Box::pin(write(sqlite, rows(&binding, [1])));
    let mut session = DynProvider::open(sqlite, SessionOptions::default());
    let mut behind: Writing<'_> = Box::pin(write(sqlite, rows(&binding, [2])));
    assert!(poll_once(&mut before).await.is_none());
    assert!(poll_once(&mut session).await.is_none());
    assert!(poll_once(&mut behind).await.is_none());
    first.rollback().await.expect("rolled back");
    let mut session = session.await.expect("a session");
    assert_eq!(words(&[before.await]), ["Inserted"]);
    assert_eq!(read_inside(&mut *session, &all_rows(&binding)).await.expect("read"), ["1"]);
    assert!(poll_once(&mut behind).await.is_none(), "a write inside a session of others");
    session.commit().await.expect("committed");
    assert_eq!(words(&[behind.await]), ["Inserted"]);
}

#[tokio::test]
async fn who_finds_no_place_in_time_is_told_and_nothing_is_written() {
    let store = Store::with(|config| config.queue_max(2).busy_timeout_ms(5)).await;
    let binding = ids(&store.sqlite).await;
    let session =
        DynProvider::open(&store.sqlite, SessionOptions::default()).await.expect("a session");
    let one = |id| write(&store.sqlite, rows(&binding, [id]));
    let open = async || DynProvider::open(&store.sqlite, SessionOptions::default()).await.map(drop);
    let (first, second, third, opened) = tokio::join!(biased; one(1), one(2), one(3), open());
    for written in [first, second, third] {
        let error = written.expect_err("busy");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Busy, Retry::Safe));
    }
    assert_eq!(opened.expect_err("busy").kind(), ErrorKind::Busy);
    session.rollback().await.expect("rolled back");
    assert_eq!(words(&[one(5).await]), ["Inserted"]);
    assert_eq!(read(&store.sqlite, &all_rows(&binding)).await.expect("read"), ["5"]);
}

#[tokio::test]
async fn beyond_the_queue_writes_wait_and_are_done() {
    let store = Store::with(|config| config.queue_max(1)).await;
    let binding = ids(&store.sqlite).await;
    let all = behind_session(&store.sqlite, (0..9).map(|id| rows(&binding, [id])).collect()).await;
    assert_eq!(words(&all), ["Inserted"; 9]);
}

#[tokio::test]
async fn a_write_that_is_dropped_before_its_turn_is_not_begun() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let session =
        DynProvider::open(&store.sqlite, SessionOptions::default()).await.expect("a session");
    let mut waiting: Vec<Writing<'_>> = Vec::new();
    for id in 0..6 {
        let mut one: Writing<'_> = Box::pin(write(&store.sqlite, rows(&binding, [id])));
        assert!(poll_once(&mut one).await.is_none());
        waiting.push(one);
    }
    let mut opening = DynProvider::open(&store.sqlite, SessionOptions::default());
    assert!(poll_once(&mut opening).await.is_none());
    drop(opening);
    drop(waiting.remove(4));
    drop(waiting.remove(0));
    session.rollback().await.expect("rolled back");
    for one in waiting {
        one.await.expect("written");
    }
    let rows = read(&store.sqlite, &all_rows(&binding)).await.expect("read");
    assert_eq!(rows, ["1", "2", "3", "5"]);
}

#[tokio::test]
async fn a_write_dropped_at_any_poll_is_done_wholly_or_not_at_all() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    for polls in 0..64 {
        let first = polls * 10;
        let mut dropped: Writing<'_> =
            Box::pin(write(&store.sqlite, rows(&binding, first..first + 5)));
        for _ in 0..polls {
            if poll_once(&mut dropped).await.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(dropped);
        // Behind it in the line, so that it is done by then, if it is done.
        write(&store.sqlite, rows(&binding, [first + 9])).await.expect("written");
        let left = format!("SELECT count(*) FROM ids WHERE id BETWEEN {first} AND {first} + 4");
        let left = &store.rows(&left)[0];
        assert!(left == "0" || left == "5", "{left} of 5 rows after {polls} polls");
    }
}

#[tokio::test]
async fn a_lock_of_another_program_fails_the_group_and_nothing_is_written() {
    let store = Store::with(|config| config.busy_timeout_ms(5)).await;
    let binding = ids(&store.sqlite).await;
    let other = rusqlite::Connection::open(store.path()).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let one = |id| write(&store.sqlite, rows(&binding, [id]));
    // The others gather while the first waits for the lock.
    let (first, second, third) = tokio::join!(biased; one(1), one(2), one(3));
    assert_eq!(words(&[first, second, third]), ["all Busy"; 3]);
    other.execute_batch("ROLLBACK").expect("unlocked");
    assert_eq!(words(&[one(4).await]), ["Inserted"]);
    assert_eq!(read(&store.sqlite, &all_rows(&binding)).await.expect("read"), ["4"]);
}

#[tokio::test]
async fn a_database_in_memory_commits_groups_too() {
    let sqlite = Sqlite::open(SqliteConfig::memory()).await.expect("opened");
    let binding = ids(&sqlite).await;
    let writes = vec![rows(&binding, [1]), rows(&binding, [1]), rows(&binding, [2])];
    let all = behind_session(&sqlite, writes).await;
    assert_eq!(words(&all), ["Inserted", "Conflict", "Inserted"]);
}

/// `SplitMix64` (<https://prng.di.unimi.it/splitmix64.c>).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Writes many rows from many tasks, some of them poisoned, some dropped; returns for each row
/// whether it must be there, must not, or may.
async fn storm(sqlite: Arc<Sqlite>, binding: Arc<Binding>, task: i64) -> Vec<(i64, Option<bool>)> {
    let mut seen = Vec::new();
    for nth in 0..60 {
        let id = task * 1_000 + nth * 2;
        let chance = mix(id.cast_unsigned()) % 10;
        // The row 1 is taken already.
        let ids = if chance == 0 { vec![id, 1] } else { vec![id] };
        let mut one = rows(&binding, ids);
        one.atomic = chance.is_multiple_of(2);
        let mut writing: Writing<'_> = Box::pin(write(&*sqlite, one));
        if chance == 9 {
            let polls = mix(id.cast_unsigned() + 1) % 4;
            let mut done = None;
            for _ in 0..polls {
                done = poll_once(&mut writing).await.map(|written| written.is_ok());
                if done.is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            seen.push((id, done));
            continue;
        }
        let report = writing.await.expect("a report");
        seen.push((id, Some(matches!(report.outcomes[0], Outcome::Applied(_)))));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_of_a_storm_are_what_is_in_the_table() {
    let store = Store::with(|config| config.queue_max(8)).await;
    let binding = ids(&store.sqlite).await;
    let Store { sqlite, directory } = store;
    fill(&sqlite, &binding, &[&[Value::I64(1)]]).await;
    let sqlite = Arc::new(sqlite);
    let tasks: Vec<_> =
        (1..=24).map(|task| tokio::spawn(storm(sqlite.clone(), binding.clone(), task))).collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.expect("joined"));
    }
    assert_eq!(seen.len(), 24 * 60);
    // What was dropped while it ran is done before this.
    DynProvider::open(&*sqlite, SessionOptions::default())
        .await
        .expect("a session")
        .rollback()
        .await
        .expect("rolled back");
    let there = read(&*sqlite, &all_rows(&binding)).await.expect("read");
    let there: std::collections::BTreeSet<i64> =
        there.iter().map(|id| id.parse().expect("a number")).collect();
    for (id, expected) in &seen {
        assert!(
            expected.is_none_or(|expected| there.contains(id) == expected),
            "{id} {expected:?}"
        );
    }
    let unknown = there.iter().filter(|id| seen.contains(&(**id, None))).count();
    let applied = seen.iter().filter(|(_, expected)| *expected == Some(true)).count();
    assert_eq!(there.len(), 1 + applied + unknown);
    drop(directory);
}
