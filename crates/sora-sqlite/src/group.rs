//! Group commit: writes of several callers in one transaction, each with its own outcome.

use sora_core::write::{Change, Target};
use sora_core::{Error, ErrorKind, Result};

use crate::answer::Answered;
use crate::bulk::Cache;
use crate::connection::Link;
use crate::line::Queued;
use crate::write::{self, Written};

/// Runs writes and answers their callers behind the commit. What one of them does wrong is its own
/// failure alone: a statement that fails undoes only itself, an atomic write is a savepoint, and
/// when the transaction as a whole is undone by one of them, each is run alone.
pub(crate) fn run(
    link: &mut Link,
    cache: &mut Cache,
    group: &mut Vec<Queued>,
    answered: &Answered,
) {
    let most = group.iter().map(|one| one.write.change.len()).max();
    cache.suit(&link.db, most.unwrap_or(0));
    if let [one] = &group[..] {
        let written = write::run(link, &one.write);
        return answer(group, [written], answered);
    }
    match together(link, group) {
        Together::Done(all) => answer(group, all.into_iter().map(Ok), answered),
        // All have the same error: nothing was committed, or it is unknown whether it was.
        Together::Failed(error) => {
            answer(group, std::iter::repeat_with(|| Err(error.clone())), answered);
        }
        Together::Undone => {
            for one in group.drain(..) {
                let _ = one.reply.send(write::run(link, &one.write));
            }
        }
    }
}

/// The size of the rows of a group; none if it changes others.
pub(crate) fn bytes(group: &[Queued]) -> Option<u64> {
    let mut bytes = 0;
    for one in group {
        let rows = match &one.write.change {
            Change::Insert { rows, .. } | Change::Update { rows, .. } => rows,
            Change::Delete { target: Target { keys: Some(keys), .. }, .. } => keys,
            _ => return None,
        };
        bytes += rows.size() as u64;
    }
    Some(bytes)
}

/// What became of a group.
enum Together {
    /// It is committed.
    Done(Vec<Written>),
    /// It failed in a way that running each alone would not mend.
    Failed(Error),
    /// Nothing was committed, and one of the writes may be the cause.
    Undone,
}

fn together(link: &mut Link, group: &[Queued]) -> Together {
    if let Err(error) = write::begin(link) {
        return Together::Failed(error);
    }
    let mut all = Vec::with_capacity(group.len());
    for one in group {
        match write::run_inside(link, &one.write) {
            Ok(written) if !link.db.is_autocommit() => all.push(written),
            _ => {
                write::roll_back(link);
                return Together::Undone;
            }
        }
    }
    match write::commit(link) {
        Ok(()) => Together::Done(all),
        // A deferred foreign key tells at the commit, and not whose row it was.
        Err(error) if error.kind() == ErrorKind::Constraint => Together::Undone,
        Err(error) => Together::Failed(error),
    }
}

fn answer(
    group: &mut Vec<Queued>,
    all: impl IntoIterator<Item = Result<Written>>,
    answered: &Answered,
) {
    answered.send(group.drain(..).map(|one| one.reply).zip(all));
}
