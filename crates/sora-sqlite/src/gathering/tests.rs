use std::pin::pin;
use std::task::Context;

use sora_core::read::{Access, Pace};
use sora_core::{Binding, Cell, CellSink};

use super::*;
use crate::connection::{Link, Role};
use crate::describe;

/// A table of two rows, a connection that reads it and one that writes.
struct Scene {
    config: SqliteConfig,
    gauge: crate::gauge::Gauges,
    reading: Held,
    writing: Link,
    binding: Arc<Binding>,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = SqliteConfig::file(directory.path().join("test.db")).expect("a path");
        let config = config.clock(crate::Clock::new(|| 0)).settle().expect("settled");
        let writing = Link::open(&config, Role::Write).expect("opened");
        let table = "CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL) STRICT;
            INSERT INTO t VALUES (1, 'one'), (2, 'two')";
        writing.db.execute_batch(table).expect("a table");
        let live = describe::describe(&writing.db, Some("t")).expect("described").remove(0);
        let schema = live.to_schema().expect("a schema");
        let binding = Binding::new(Arc::new(schema), Arc::new(live)).expect("bound");
        let reading = Held::new(Link::open(&config, Role::Inline).expect("opened"), &config);
        let (gauge, binding) = (crate::gauge::Gauges::default(), Arc::new(binding));
        Self { config, gauge, reading, writing, binding, _directory: directory }
    }

    fn put_down<'g>(&self, gathering: &'g Gathering, key: i64) -> Ticket<'g> {
        let mut keys = RowBuffer::new(1);
        keys.cell(Cell::I64(key)).expect("a key");
        let mut read = Read::new(self.binding.clone(), Arc::from([0, 1]));
        read.access = Access::Keys(Arc::new(keys));
        read.pace = Pace::Lookup;
        assert!(is_of_one_key(&read));
        gathering.put_down(&read, &self.config).expect("a place")
    }

    /// Gives a look-up its turn, and says whether it is or was read.
    fn turn(&mut self, ticket: &Ticket<'_>) -> bool {
        let gauge = self.gauge.at(crate::gauge::Place::Lookups);
        ticket.turn(&self.config, gauge, || Some(&mut self.reading))
    }

    fn sql(&self, statement: &str) {
        self.writing.db.execute_batch(statement).expect("run");
    }
}

/// The answer in a word, which must be there.
fn word(ticket: Ticket<'_>) -> String {
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(answer) = pin!(ticket.answer()).poll(&mut context) else {
        return "waits".into();
    };
    let mut rows = RowBuffer::new(2);
    match answer.deliver(&mut rows) {
        None => "elsewhere".into(),
        Some(Err(error)) => format!("{:?}", error.kind()),
        Some(Ok(report)) => match rows.row(0).map(|row| row.get(1).to_string()) {
            Some(name) if report.received == 1 => name,
            None if report.received == 0 => "none".into(),
            other => format!("{other:?} of {report:?}"),
        },
    }
}

/// Who has its turn first has read for all; what was written before it is seen, by all the same.
#[test]
fn one_reads_for_all_what_was_written_before() {
    let mut scene = Scene::new();
    let gathering = Gathering::default();
    let tickets: Vec<_> = [1, 2, 3, 1].map(|key| scene.put_down(&gathering, key)).into();
    scene.sql("UPDATE t SET name = 'two again' WHERE id = 2");
    assert!(scene.turn(&tickets[2]));
    scene.sql("DELETE FROM t");
    for ticket in &tickets {
        assert!(ticket.turn(&scene.config, scene.gauge.at(crate::gauge::Place::Lookups), none));
    }
    let words: Vec<String> = tickets.into_iter().map(word).collect();
    assert_eq!(words, ["'one'", "'two again'", "none", "'one'"]);
    // Nothing is left of the transaction.
    let late = scene.put_down(&gathering, 1);
    assert!(scene.turn(&late));
    assert_eq!(word(late), "none");
    let state = gathering.state();
    assert_eq!((state.places.len(), state.free.len()), (4, 4));
}

fn none() -> Option<&'static mut Held> {
    None
}

#[test]
fn without_a_connection_all_wait_for_the_next_turn() {
    let mut scene = Scene::new();
    let gathering = Gathering::default();
    let (one, two) = (scene.put_down(&gathering, 1), scene.put_down(&gathering, 2));
    assert!(!one.turn(&scene.config, scene.gauge.at(crate::gauge::Place::Lookups), none));
    assert!(scene.turn(&two));
    assert_eq!([word(one), word(two)], ["'one'", "'two'"]);
}

#[test]
fn who_is_gone_keeps_nobody_waiting() {
    let mut scene = Scene::new();
    let gathering = Gathering::default();
    for gone in 0..3 {
        let mut tickets: Vec<_> = [1, 2, 1].map(|key| scene.put_down(&gathering, key)).into();
        drop(tickets.remove(gone));
        assert!(scene.turn(&tickets[1]));
        assert!(tickets.into_iter().map(word).all(|word| word.starts_with('\'')));
        let state = gathering.state();
        assert_eq!((state.places.len(), state.free.len(), state.waiting.len()), (3, 3, 0));
    }
    // Gone while it is read, and after.
    let tickets = [1, 2].map(|key| scene.put_down(&gathering, key));
    let [one, two] = tickets;
    let reads = gathering.state().take(one.place);
    let batch = Batch { gathering: &gathering, reads, answers: Vec::new() };
    drop(one);
    drop(batch);
    drop(two);
    let state = gathering.state();
    assert_eq!((state.places.len(), state.free.len()), (3, 3));
}

/// Whoever reads panics: those that it has not answered are read in another way.
#[test]
fn a_batch_that_is_cut_off_answers_all() {
    let scene = Scene::new();
    let gathering = Gathering::default();
    let ticket = scene.put_down(&gathering, 1);
    let reads = gathering.state().take(ticket.place);
    let batch = Batch { gathering: &gathering, reads, answers: Vec::new() };
    let mut answer = pin!(ticket.answer());
    let mut context = Context::from_waker(Waker::noop());
    assert!(answer.as_mut().poll(&mut context).is_pending());
    drop(batch);
    assert!(matches!(answer.poll(&mut context), Poll::Ready(Answer::Elsewhere)));
}

#[test]
fn an_error_is_that_of_its_look_up_alone() {
    let mut scene = Scene::new();
    let gathering = Gathering::default();
    let one = scene.put_down(&gathering, 1);
    scene.sql("CREATE TABLE u (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL) STRICT");
    let live = describe::describe(&scene.writing.db, Some("u")).expect("described").remove(0);
    let schema = live.to_schema().expect("a schema");
    let other = Binding::new(Arc::new(schema), Arc::new(live)).expect("bound");
    let binding = std::mem::replace(&mut scene.binding, Arc::new(other));
    let failing = scene.put_down(&gathering, 1);
    scene.binding = binding;
    let two = scene.put_down(&gathering, 2);
    scene.sql("DROP TABLE u");
    assert!(scene.turn(&failing));
    assert_eq!([one, failing, two].map(word), ["'one'", "Schema", "'two'"]);
}

#[test]
fn it_is_open_while_look_ups_come_close_together() {
    // Of each batch its size and how long it took to come together; whether the next are put down.
    type Batches = &'static [(usize, u64, bool)];
    let cases: [(&str, Batches); 5] = [
        ("one alone", &[(1, 0, false), (1, 0, false)]),
        ("many in loops", &[(8, 99_999, true), (8, 400, true), (64, 3_200, true)]),
        ("they leave", &[(8, 0, true), (2, 0, true), (1, 0, false), (1, 0, false)]),
        ("the machine is busy", &[(8, 0, true), (8, 401, true), (8, 401, true), (8, 400, true)]),
        (
            "far apart",
            &[
                (8, 0, true),
                (8, 401, true),
                (8, 401, true),
                (8, 401, false),
                (8, 0, false),
                (8, 0, true),
                (8, 401, false),
                (8, 0, false),
                (8, 0, false),
                (8, 0, true),
            ],
        ),
    ];
    for (name, batches) in cases {
        let (mut state, mut is_open) = (State::default(), false);
        for (place, (taken, gathered_us, expected)) in batches.iter().enumerate() {
            is_open = state.is_open_next(is_open, *taken, *gathered_us);
            assert_eq!(is_open, *expected, "{name}, batch {place}");
        }
    }
}
