//! Keys that come more than once in a chunk.

use std::collections::VecDeque;

use sora_core::write::{Effect, Outcome};

use super::BatchMode;
use super::delivery::Delivery;

/// The rows of keys that come more than once, each group in the order of the stream.
#[derive(Debug)]
pub(super) enum Repeats {
    /// No key does, or the store is told all at once.
    None,
    /// The last row is written, and if it fails the one before it.
    LastWins(Vec<Vec<u32>>),
    /// The first row is written; those behind it find what it has left.
    FirstWins(Vec<Vec<u32>>),
    /// One after another, each in the next write.
    InTurn(VecDeque<Vec<u32>>),
}

impl Repeats {
    pub(super) fn new(delivery: &Delivery, is_atomic: bool, groups: Vec<Vec<u32>>) -> Self {
        match delivery.mode {
            _ if groups.is_empty() => Self::None,
            BatchMode::Delete => Self::FirstWins(groups),
            BatchMode::Upsert => Self::LastWins(groups),
            BatchMode::Update if !delivery.checks_version() => Self::LastWins(groups),
            // All or nothing is one write.
            _ if is_atomic => Self::None,
            BatchMode::Insert | BatchMode::InsertOrIgnore | BatchMode::Update => {
                let most = groups.iter().map(Vec::len).max().unwrap_or(0);
                Self::InTurn((1..most).map(|at| turn(&groups, at)).collect())
            }
        }
    }

    /// Which of the rows are not in the first write; empty if all are.
    pub(super) fn left_out(&self, rows: usize) -> Vec<bool> {
        let places: Vec<u32> = match self {
            Self::None => return Vec::new(),
            Self::LastWins(groups) => {
                groups.iter().flat_map(|group| &group[..group.len() - 1]).copied().collect()
            }
            Self::FirstWins(groups) => {
                groups.iter().flat_map(|group| &group[1..]).copied().collect()
            }
            Self::InTurn(turns) => turns.iter().flatten().copied().collect(),
        };
        let mut left_out = vec![false; rows];
        for place in places {
            left_out[place as usize] = true;
        }
        left_out
    }

    /// Gives the rows their outcomes that follow from those of the last write, and returns those to
    /// be sent next, in the order of the stream.
    pub(super) fn next(&mut self, outcomes: &mut [Option<Outcome>]) -> Option<Vec<u32>> {
        match self {
            Self::None => None,
            Self::LastWins(groups) => {
                let mut next = Vec::new();
                groups.retain_mut(|group| {
                    let failed = supersede(group, outcomes);
                    next.extend(failed);
                    failed.is_some()
                });
                next.sort_unstable();
                (!next.is_empty()).then_some(next)
            }
            Self::FirstWins(groups) => {
                groups.drain(..).for_each(|group| follow(&group, outcomes));
                None
            }
            Self::InTurn(turns) => turns.pop_front(),
        }
    }
}

/// Gives all rows of a key the outcome that follows from its last one, or takes that one away and
/// returns the one before it, if it failed.
fn supersede(group: &mut Vec<u32>, outcomes: &mut [Option<Outcome>]) -> Option<u32> {
    let last = group.pop()?;
    let effect = match &outcomes[last as usize] {
        Some(Outcome::Failed(_)) => return group.last().copied(),
        Some(Outcome::Applied(Effect::Missing)) => Some(Effect::Missing),
        Some(Outcome::Applied(_)) => Some(Effect::Superseded),
        // Nobody knows what to put in its place, so nothing is.
        _ => None,
    };
    for place in group.drain(..) {
        outcomes[place as usize] = effect.map(Outcome::Applied);
    }
    None
}

/// Gives all rows of a key that is deleted the outcome that follows from the first.
fn follow(group: &[u32], outcomes: &mut [Option<Outcome>]) {
    let Some((first, others)) = group.split_first() else { return };
    let outcome = match &outcomes[*first as usize] {
        Some(Outcome::Applied(_)) => Some(Outcome::Applied(Effect::Missing)),
        outcome => outcome.clone(),
    };
    for place in others {
        outcomes[*place as usize].clone_from(&outcome);
    }
}

/// The rows of each key that come at a place among those of their key.
fn turn(groups: &[Vec<u32>], at: usize) -> Vec<u32> {
    let mut turn: Vec<u32> = groups.iter().filter_map(|group| group.get(at).copied()).collect();
    turn.sort_unstable();
    turn
}
