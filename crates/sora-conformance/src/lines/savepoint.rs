//! What a session does beside reading, writing and ending: savepoints, options, calls given up.

use sora_core::provider::{Isolation, Savepoint, Session, SessionOptions};
use sora_core::{ErrorKind, RowBuffer};

use super::insert::{player, three};
use super::race::give_up;
use super::session::{add, begun};
use crate::report::{Verdict, check, failed, same};
use crate::store::{Fixture, Store};

pub(crate) const LEVELS: [Isolation; 3] =
    [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

/// Returns options for a level of isolation.
pub(crate) fn level(isolation: Isolation, read_only: bool) -> SessionOptions {
    let mut options = SessionOptions::new(isolation);
    options.read_only = read_only;
    options
}

/// How many rows a session sees.
async fn seen(fixture: &Fixture<'_>, session: &mut Box<dyn Session>) -> Verdict<usize> {
    Ok(fixture.stored_in(session).await?.len())
}

pub(crate) async fn gone_back_to(store: &Store) -> Verdict {
    let (fixture, mut session) = begun(store).await?;
    session.savepoint(Savepoint::Set(1)).await?;
    add(&fixture, &mut session, &player(5, "e", 50)).await?;
    session.savepoint(Savepoint::Set(2)).await?;
    add(&fixture, &mut session, &player(6, "f", 60)).await?;
    session.savepoint(Savepoint::RollBack(2)).await?;
    same("rows behind the inner savepoint", &seen(&fixture, &mut session).await?, &5)?;
    session.savepoint(Savepoint::RollBack(1)).await?;
    same("rows behind the outer savepoint", &seen(&fixture, &mut session).await?, &4)?;
    // Its place is free, and the outer one takes those inside it along.
    session.savepoint(Savepoint::Set(1)).await?;
    add(&fixture, &mut session, &player(5, "e", 50)).await?;
    session.savepoint(Savepoint::Set(2)).await?;
    add(&fixture, &mut session, &player(6, "f", 60)).await?;
    session.savepoint(Savepoint::RollBack(1)).await?;
    session.commit().await?;
    same("rows", &fixture.stored().await?.len(), &4)
}

pub(crate) async fn forgotten(store: &Store) -> Verdict {
    let (fixture, mut session) = begun(store).await?;
    session.savepoint(Savepoint::Set(1)).await?;
    add(&fixture, &mut session, &player(5, "e", 50)).await?;
    session.savepoint(Savepoint::Set(2)).await?;
    add(&fixture, &mut session, &player(6, "f", 60)).await?;
    session.savepoint(Savepoint::Release(2)).await?;
    session.savepoint(Savepoint::Release(1)).await?;
    same("rows behind savepoints", &seen(&fixture, &mut session).await?, &6)?;
    // What was written behind a forgotten one still belongs to the one around it.
    session.savepoint(Savepoint::Set(1)).await?;
    session.savepoint(Savepoint::Set(2)).await?;
    add(&fixture, &mut session, &player(7, "g", 70)).await?;
    session.savepoint(Savepoint::Release(2)).await?;
    session.savepoint(Savepoint::RollBack(1)).await?;
    session.commit().await?;
    same("rows", &fixture.stored().await?.len(), &6)
}

pub(crate) async fn read_only(store: &Store) -> Verdict {
    store.needs_sessions()?;
    let fixture = three(store).await?;
    for isolation in LEVELS {
        let mut session = store.provider.open(level(isolation, true)).await?;
        same("rows that it sees", &seen(&fixture, &mut session).await?, &3)?;
        match session.write(&fixture.delete(fixture.ids(&[1])?), &mut RowBuffer::new(0)).await {
            Err(error) => same("kind", &error.kind(), &ErrorKind::ReadOnly)?,
            Ok(report) => return failed(format!("a write was done: {report:?}")),
        }
        session.commit().await?;
    }
    same("rows", &fixture.stored().await?.len(), &3)
}

pub(crate) async fn isolated(store: &Store) -> Verdict {
    store.needs_sessions()?;
    for isolation in LEVELS {
        for read_only in [false, true] {
            let session = store.provider.open(level(isolation, read_only)).await?;
            let given = session.isolation();
            session.rollback().await?;
            check(given >= isolation, || format!("{isolation} was asked for, {given} is given"))?;
        }
    }
    Ok(())
}

pub(crate) async fn read_given_up(store: &Store) -> Verdict {
    /// Polls before a read is given up.
    const POLLS_MAX: i64 = 4;
    let (fixture, mut session) = begun(store).await?;
    let scan = fixture.scan();
    for polls in 0..=POLLS_MAX {
        give_up(session.read(&scan, &mut RowBuffer::new(3)), polls);
        same("rows that it sees", &seen(&fixture, &mut session).await?, &4)?;
    }
    add(&fixture, &mut session, &player(5, "e", 50)).await?;
    session.commit().await?;
    same("rows", &fixture.stored().await?.len(), &5)
}
