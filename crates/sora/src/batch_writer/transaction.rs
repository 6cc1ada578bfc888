//! The one transaction of an atomic stream.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use sora_core::provider::{BoxFuture, Session};
use sora_core::{Error, Result};

use super::settled::{Held, Settled, Verdict};

/// How far the transaction has come, and the outcomes that wait for its end.
pub(super) enum Transaction {
    /// There is none: each chunk is durable before its outcomes are handed out.
    None,
    /// Begun with the first chunk, whose task has the session while it runs.
    Open { session: Option<Box<dyn Session>>, held: VecDeque<Held> },
    /// Being committed or undone.
    Ending { end: BoxFuture<'static, Result<()>>, is_commit: bool, held: VecDeque<Held> },
    /// What was held has become final.
    Ended { verdict: Verdict, held: VecDeque<Held> },
}

impl Transaction {
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether its commit may be done or not.
    pub(super) fn is_committing(&self) -> bool {
        matches!(self, Self::Ending { is_commit: true, .. })
    }

    /// The outcomes that its end has made final, each chunk once.
    pub(super) fn pop(&mut self) -> Option<Settled> {
        match self {
            Self::Ended { verdict, held } => Some(held.pop_front()?.settle(verdict)),
            _ => None,
        }
    }

    /// The outcomes that its end has made final.
    pub(super) fn settled(&self) -> impl Iterator<Item = Settled> {
        let ended = match self {
            Self::Ended { verdict, held } => Some((verdict, held)),
            _ => None,
        };
        ended.into_iter().flat_map(|(verdict, held)| held.iter().map(|held| held.settle(verdict)))
    }

    /// Gives up its end, if that is on its way. A session that is dropped before is undone.
    pub(super) fn cut_off(&mut self, error: &Error) {
        if let Self::Ending { is_commit, held, .. } = self {
            let verdict = match is_commit {
                true => Verdict::Failed(error.clone()),
                false => Verdict::Undone,
            };
            *self = Self::Ended { verdict, held: std::mem::take(held) };
        }
    }

    /// Commits it, or undoes it. Returns why it could not be committed.
    pub(super) fn poll_end(
        &mut self,
        is_good: bool,
        context: &mut Context<'_>,
    ) -> Poll<Option<Error>> {
        if let Self::Open { session, held } = self {
            let end = match session.take() {
                Some(session) if is_good => session.commit(),
                Some(session) => session.rollback(),
                None => Box::pin(async { Ok(()) }),
            };
            *self = Self::Ending { end, is_commit: is_good, held: std::mem::take(held) };
        }
        let Self::Ending { end, is_commit, held } = self else { return Poll::Ready(None) };
        let ended = ready!(end.as_mut().poll(context));
        let (verdict, error) = match (*is_commit, ended) {
            (true, Ok(())) => (Verdict::Committed, None),
            (true, Err(error)) => (Verdict::Failed(error.clone()), Some(error)),
            // One that cannot be undone is not committed either.
            (false, _) => (Verdict::Undone, None),
        };
        *self = Self::Ended { verdict, held: std::mem::take(held) };
        Poll::Ready(error)
    }
}
