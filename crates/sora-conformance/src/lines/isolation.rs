//! Transactions at the same time: what each level of isolation keeps apart.
//!
//! The anomalies are those of <https://www.microsoft.com/en-us/research/publication/a-critique-of-ansi-sql-isolation-levels/>.

use std::pin::pin;
use std::time::Duration;

use sora_core::provider::{Isolation, Session, SessionOptions};
use sora_core::write::{Change, Write};
use sora_core::{Assignment, Error, ErrorKind, RowBuffer, Value};

use super::insert::{SCORE, player, three};
use super::savepoint::{LEVELS, level};
use super::session::{add, begun, within};
use crate::report::{Verdict, check, failed, same, skipped};
use crate::store::{Fixture, Store};

/// How long a second writer is watched to see whether it waits. If that is too short, a false claim
/// is missed, and nothing fails that should not.
const WATCHED: Duration = Duration::from_millis(50);
/// How long whatever waits for nobody may take.
const AT_ONCE: Duration = Duration::from_secs(10);

pub(crate) async fn writers(store: &Store) -> Verdict {
    let (fixture, first) = begun(store).await?;
    let mut opening = pin!(store.provider.open(SessionOptions::default()));
    let is_alone = store.capability().writer_wait_ms.is_some();
    let limit = if is_alone { WATCHED } else { AT_ONCE };
    let opened = match (within(limit, opening.as_mut()).await, is_alone) {
        (Some(Err(error)), true) if error.kind() == ErrorKind::Busy => return Ok(()),
        (Some(Ok(_)), true) => return failed("it claims one writer, and two sessions are open"),
        (None, false) => {
            return failed("it does not claim one writer, and a session waits for one");
        }
        (Some(opened), _) => {
            let mut second = opened?;
            add(&fixture, &mut second, &player(5, "e", 50)).await?;
            first.commit().await?;
            second
        }
        (None, true) => {
            first.commit().await?;
            let mut second = opening.await?;
            add(&fixture, &mut second, &player(5, "e", 50)).await?;
            second
        }
    };
    opened.commit().await?;
    same("rows", &fixture.stored().await?.len(), &5)
}

/// Skips a line about sessions that write at the same time where there are none.
fn needs_company(store: &Store) -> Verdict {
    store.needs_sessions()?;
    match store.capability().writer_wait_ms {
        None => Ok(()),
        Some(_) => skipped("one session writes at a time"),
    }
}

fn set(fixture: &Fixture<'_>, id: i64, score: i64) -> Verdict<Write> {
    let score = Assignment { column: SCORE, add: false, value: Value::I64(score) };
    let change =
        Change::Patch { target: fixture.ids(&[id])?, assignments: [score].into(), version: None };
    Ok(Write::new(fixture.binding.clone(), change))
}

/// Sets a score in a session that then commits, and says whether it has lost against another.
async fn sets(
    fixture: &Fixture<'_>,
    session: &mut Box<dyn Session>,
    (id, score): (i64, i64),
) -> Verdict<bool> {
    let report = match session.write(&set(fixture, id, score)?, &mut RowBuffer::new(0)).await {
        Ok(report) => report,
        Err(error) => return has_lost(error),
    };
    report.first_error().cloned().map_or(Ok(false), has_lost)
}

async fn commits(session: Box<dyn Session>) -> Verdict<bool> {
    session.commit().await.map_or_else(has_lost, |()| Ok(false))
}

fn has_lost(error: Error) -> Verdict<bool> {
    match error.kind() {
        ErrorKind::Serialization => Ok(true),
        _ => Err(error.into()),
    }
}

pub(crate) async fn dirty_read(store: &Store) -> Verdict {
    needs_company(store)?;
    let fixture = three(store).await?;
    let before = fixture.stored().await?;
    for isolation in LEVELS {
        let mut first = store.provider.open(level(isolation, false)).await?;
        let mut second = store.provider.open(level(isolation, false)).await?;
        check(!sets(&fixture, &mut first, (1, 99)).await?, || {
            "nobody was there to lose against".into()
        })?;
        same("rows that another session sees", &fixture.stored_in(&mut second).await?, &before)?;
        first.rollback().await?;
        second.rollback().await?;
    }
    Ok(())
}

pub(crate) async fn repeated_read(store: &Store) -> Verdict {
    needs_company(store)?;
    let fixture = three(store).await?;
    for (isolation, score) in [(Isolation::RepeatableRead, 51), (Isolation::Serializable, 52)] {
        let mut session = store.provider.open(level(isolation, false)).await?;
        let before = fixture.stored_in(&mut session).await?;
        let mut other = store.provider.open(level(isolation, false)).await?;
        sets(&fixture, &mut other, (1, score)).await?;
        other.commit().await?;
        same("rows read again", &fixture.stored_in(&mut session).await?, &before)?;
        session.rollback().await?;
        same("the row", &fixture.stored().await?[0], &player(1, "a", score))?;
    }
    Ok(())
}

pub(crate) async fn lost_update(store: &Store) -> Verdict {
    needs_company(store)?;
    let fixture = three(store).await?;
    for (isolation, score) in [(Isolation::RepeatableRead, 51), (Isolation::Serializable, 52)] {
        let mut first = store.provider.open(level(isolation, false)).await?;
        let mut second = store.provider.open(level(isolation, false)).await?;
        for session in [&mut first, &mut second] {
            fixture.stored_in(session).await?;
        }
        let has_lost = sets(&fixture, &mut first, (1, score)).await? || commits(first).await?;
        check(!has_lost, || "the first to commit has lost".into())?;
        let has_lost = sets(&fixture, &mut second, (1, 90)).await? || commits(second).await?;
        check(has_lost, || format!("an update was lost at {isolation}"))?;
        same("the row", &fixture.stored().await?[0], &player(1, "a", score))?;
    }
    Ok(())
}

pub(crate) async fn write_skew(store: &Store) -> Verdict {
    needs_company(store)?;
    let fixture = three(store).await?;
    let mut first = store.provider.open(level(Isolation::Serializable, false)).await?;
    let mut second = store.provider.open(level(Isolation::Serializable, false)).await?;
    for session in [&mut first, &mut second] {
        fixture.stored_in(session).await?;
    }
    let lost_first = sets(&fixture, &mut first, (1, 0)).await?;
    let lost_second = sets(&fixture, &mut second, (2, 0)).await?;
    let lost_first = lost_first || commits(first).await?;
    let lost_second = lost_second || commits(second).await?;
    check(lost_first || lost_second, || {
        "each of two has changed what the other had read, and both are committed".into()
    })?;
    let scores: Vec<_> = fixture.stored().await?.into_iter().map(|row| row[2].clone()).collect();
    let kept = |lost: bool, before: i64| Value::I64(if lost { before } else { 0 });
    let expected = vec![kept(lost_first, 10), kept(lost_second, 20), Value::I64(30)];
    same("scores", &scores, &expected)
}
