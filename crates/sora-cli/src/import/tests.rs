//! Imports that were interrupted before their end.

use std::sync::Arc;

use sora::write::{Change, OnConflict};
use sora::{Cell, Filter, Repository};

use super::ledger::{Entry, State};
use crate::tests::Session;

/// Sets how far the only import of the table has come, as an interruption would leave it.
fn interrupt(session: &Session, state: State) {
    let patched = session.runtime.block_on(async {
        let entries: Repository<Entry> = session.store.repository().await.expect("a ledger");
        let all: Filter<Entry> = Entry::TABLE_NAME.eq("t");
        entries.patch_where(all, [Entry::STATE.set(state.name())]).await.expect("patched")
    });
    assert_eq!(patched, 1);
}

fn add_row(session: &Session, id: i64, text: &str) {
    session.runtime.block_on(async {
        let table = session.store.table("t").await.expect("a table");
        let mut intake = table.intake(&[0, 1]);
        let cells = [Cell::I64(id), Cell::Text(text)];
        intake.row(|out| cells.into_iter().try_for_each(|cell| out.cell(cell))).expect("a row");
        let columns = intake.columns().clone();
        let rows = Arc::new(intake.finish());
        let change = Change::Insert { rows, columns, on_conflict: OnConflict::Fail };
        assert_eq!(table.write(change).await.expect("written").affected, 1);
    });
}

fn all(session: &Session) -> String {
    session.done(&["query", "t", "--format", "csv"])
}

#[test]
fn a_replacement_that_was_interrupted_deletes_what_it_replaces() {
    let session = Session::new();
    let old = session.file("old.csv", "id,x\n1,old\n2,old\n");
    let new = session.file("new.csv", "id,x\n2,new\n");
    session.done(&["import", &old, "--table", "t", "--key", "id"]);
    session.done(&["import", &new, "--table", "t", "--replace"]);
    // As if the rows of the old file had not been deleted yet.
    add_row(&session, 1, "old");
    interrupt(&session, State::Replacing);
    let other = session.file("other.csv", "id,x\n3,other\n");
    let refused = session.failed(&["import", &other, "--table", "t"]);
    assert!(refused.contains("was about to replace the rows of the table t"), "{refused}");
    session.done(&["import", &new, "--table", "t"]);
    assert_eq!(all(&session), "id,x\n2,new\n");
    session.done(&["import", &other, "--table", "t"]);
    assert_eq!(all(&session), "id,x\n2,new\n3,other\n");
}

#[test]
fn numbers_that_an_interrupted_import_has_taken_are_its_own() {
    let session = Session::new();
    let broken = session.file("a.csv", "x,y\na1,1\na2\na3,3\n");
    let said = session.run(&["import", &broken, "--table", "t", "--on-error", "stop"]);
    assert!(said.failure.is_some());
    assert_eq!(all(&session), "row,x,y\n1,a1,1\n");
    let behind = session.file("b.csv", "x,y\nb1,1\n");
    session.done(&["import", &behind, "--table", "t", "--append"]);
    assert_eq!(all(&session), "row,x,y\n1,a1,1\n4,b1,1\n");
    let said = session.run(&["import", &broken, "--table", "t"]);
    assert!(said.err.contains("completing it"), "{}", said.err);
    assert_eq!(all(&session), "row,x,y\n1,a1,1\n3,a3,3\n4,b1,1\n");
}

#[test]
fn an_interrupted_import_is_completed_as_it_was_begun() {
    let session = Session::new();
    let file = session.file("a.csv", "x\na1\na2\n");
    session.done(&["import", &file, "--table", "t"]);
    interrupt(&session, State::Incomplete);
    let said = session.run(&["import", &file, "--table", "t"]);
    assert!(said.failure.is_none() && said.err.contains("completing it"), "{said:?}");
    assert_eq!(all(&session), "row,x\n1,a1\n2,a2\n");
    assert!(session.done(&["import", &file, "--table", "t"]).contains("nothing changed"));
}
