//! Outcomes that are final, in the order of the stream.

use std::ops::Range;
use std::sync::Arc;

use sora_core::write::{Effect, Outcome};
use sora_core::{BufferedRow, Error, Retry};

use super::chunk::{Chunk, Identity};

/// Rows of a batch that follow each other and have their outcomes.
///
/// What was settled before is final too: whoever keeps the end of the range can go on from there.
#[derive(Debug)]
pub struct Settled {
    first: u64,
    outcomes: Vec<Outcome>,
    chunk: Option<Arc<Chunk>>,
    is_by_key: bool,
}

/// A row that was not written, or of which that is not known.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DeadLetter<'a> {
    /// Its index in the stream.
    pub index: u64,
    /// Its cells as they were sent; none of a row that was refused before.
    pub row: Option<BufferedRow<'a>>,
    /// Why. If [`is_unknown`](Error::is_unknown), it may have been written.
    pub error: &'a Error,
}

impl Settled {
    pub(super) fn new(chunk: Arc<Chunk>, sent: Vec<Outcome>, identity: &Identity) -> Self {
        let is_by_key = chunk.is_by_key(identity);
        let outcomes = if chunk.refused.is_empty() { sent } else { merged(&chunk, sent) };
        Self { first: chunk.first, outcomes, chunk: Some(chunk), is_by_key }
    }

    /// The indexes of the rows in the stream.
    pub fn indexes(&self) -> Range<u64> {
        self.first..self.first + self.outcomes.len() as u64
    }

    /// One outcome for each row.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Whether it is known that the rows came in the order of their keys and no key comes twice.
    pub fn is_by_key(&self) -> bool {
        self.is_by_key
    }

    /// Iterates over the rows: cells and outcome. A row that was refused before it was sent has no
    /// cells, and the rows of an atomic stream are not kept until it is committed.
    pub fn iter(&self) -> impl Iterator<Item = (Option<BufferedRow<'_>>, &Outcome)> {
        let refused = self.chunk.as_ref().map_or(&[][..], |chunk| &chunk.refused);
        let mut refused = refused.iter().map(|(place, _)| *place).peekable();
        let mut rows = self.chunk.as_ref().map(|chunk| chunk.rows.iter());
        self.outcomes.iter().enumerate().map(move |(place, outcome)| {
            if refused.next_if_eq(&place).is_some() {
                return (None, outcome);
            }
            (rows.as_mut().and_then(Iterator::next), outcome)
        })
    }

    /// The rows that failed or are unknown.
    pub fn dead_letters(&self) -> impl Iterator<Item = DeadLetter<'_>> {
        self.iter().zip(self.first..).filter_map(|((row, outcome), index)| {
            outcome.error().map(|error| DeadLetter { index, row, error })
        })
    }
}

/// Puts the refused rows between the others.
fn merged(chunk: &Chunk, sent: Vec<Outcome>) -> Vec<Outcome> {
    let mut refused = chunk.refused.iter().peekable();
    let mut sent = sent.into_iter();
    let outcome = |place: usize| match refused.next_if(|(at, _)| *at == place) {
        Some((_, error)) => Outcome::Failed(error.clone()),
        None => sent.next().unwrap_or(Outcome::Skipped),
    };
    (0..chunk.len()).map(outcome).collect()
}

/// The outcomes of a chunk whose transaction is still open: a byte for each row at most.
#[derive(Debug)]
pub(super) struct Held {
    first: u64,
    len: usize,
    effects: Effects,
}

#[derive(Debug)]
enum Effects {
    All(Effect),
    Each(Box<[Effect]>),
    /// The chunk in which a row failed, which is as it will be.
    Failed(Settled),
}

const _: () = assert!(size_of::<Effect>() == 1);

/// How a transaction ended.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Committed,
    /// It was undone because a row failed.
    Undone,
    /// Its commit failed.
    Failed(Error),
}

impl Held {
    pub(super) fn new(settled: Settled) -> Self {
        let Settled { first, outcomes, .. } = &settled;
        let (first, len) = (*first, outcomes.len());
        let effect = |outcome: &Outcome| match outcome {
            Outcome::Applied(effect) => Some(*effect),
            _ => None,
        };
        let effects: Option<Box<[Effect]>> = outcomes.iter().map(effect).collect();
        let effects = match effects {
            None => Effects::Failed(settled),
            Some(effects) => match effects.first() {
                Some(first) if effects.iter().all(|effect| effect == first) => Effects::All(*first),
                _ => Effects::Each(effects),
            },
        };
        Self { first, len, effects }
    }

    /// Returns the outcomes that the end of the transaction has given the rows.
    pub(super) fn settle(&self, verdict: &Verdict) -> Settled {
        let Self { first, len, effects } = self;
        let outcome = |effect: Effect| match verdict {
            Verdict::Committed => Outcome::Applied(effect),
            Verdict::Undone => Outcome::Skipped,
            Verdict::Failed(error) if error.is_unknown() => Outcome::Unknown(error.clone()),
            Verdict::Failed(error) => Outcome::Failed(error.clone()),
        };
        let outcomes = match effects {
            Effects::All(effect) => (0..*len).map(|_| outcome(*effect)).collect(),
            Effects::Each(effects) => effects.iter().map(|effect| outcome(*effect)).collect(),
            Effects::Failed(settled) => {
                let undone = |before: &Outcome| match before {
                    Outcome::Applied(effect) => outcome(*effect),
                    // Without a commit it was not done, whatever became of the write.
                    Outcome::Unknown(error) => {
                        Outcome::Failed(error.clone().with_retry(Retry::Safe))
                    }
                    before => before.clone(),
                };
                let outcomes = settled.outcomes.iter().map(undone).collect();
                let Settled { chunk, is_by_key, .. } = settled;
                return Settled {
                    first: *first,
                    outcomes,
                    chunk: chunk.clone(),
                    is_by_key: *is_by_key,
                };
            }
        };
        Settled { first: *first, outcomes, chunk: None, is_by_key: false }
    }
}
