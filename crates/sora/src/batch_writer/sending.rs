//! One chunk on its way to the store, until each of its rows has an outcome.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sora_core::provider::Session;
use sora_core::write::{Outcome, Write, WriteReport};
use sora_core::{Error, ErrorKind, Result, Retry};

use super::chunk::{Chunk, places};
use super::delivery::Delivery;
use super::repeats::Repeats;
use crate::collect::Nothing;

/// Where a chunk goes.
#[derive(Debug)]
pub(super) enum Course {
    /// Each row stands alone.
    Rows,
    /// All rows or none.
    Whole,
    /// Into a transaction that is still to be opened.
    Open,
    /// Into a transaction that other chunks were written in before.
    Inside(Box<dyn Session>),
}

/// What became of a chunk.
#[derive(Debug)]
pub(super) struct Sent {
    /// One outcome for each row that was not refused.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) waited: Duration,
    /// Why no other chunk can be written.
    pub(super) fatal: Option<Error>,
    /// The transaction, if it goes on.
    pub(super) session: Option<Box<dyn Session>>,
}

/// So many rows that fail alone for no reason of their own, and none that is written, show that it
/// is the store that fails.
const STORE_FAILURES_MAX: u32 = 16;

/// Sends a chunk. `errors_left` is how many rows may fail before nothing more is sent.
pub(super) async fn send(
    delivery: Arc<Delivery>,
    chunk: Arc<Chunk>,
    course: Course,
    errors_left: Option<u64>,
) -> Sent {
    delivery.chunks.fetch_add(1, Ordering::Relaxed);
    let mut pass = Pass {
        outcomes: vec![None; chunk.rows.len()],
        is_atomic: !matches!(course, Course::Rows),
        delivery: &delivery,
        chunk: &chunk,
        session: None,
        parts: VecDeque::new(),
        repeats: Repeats::None,
        failures: 0,
        errors_left,
        store_failures: 0,
        waited: Duration::ZERO,
        fatal: None,
    };
    pass.begin();
    match course {
        Course::Rows | Course::Whole => {}
        Course::Inside(session) => pass.session = Some(session),
        Course::Open => pass.open().await,
    }
    pass.run().await;
    let Pass { outcomes, session, waited, fatal, .. } = pass;
    let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Skipped));
    Sent { outcomes: outcomes.collect(), waited, fatal, session }
}

struct Pass<'a> {
    delivery: &'a Delivery,
    chunk: &'a Chunk,
    is_atomic: bool,
    session: Option<Box<dyn Session>>,
    outcomes: Vec<Option<Outcome>>,
    /// What is still to be sent, first the first.
    parts: VecDeque<Part>,
    repeats: Repeats,
    failures: u64,
    errors_left: Option<u64>,
    store_failures: u32,
    waited: Duration,
    fatal: Option<Error>,
}

/// Rows that go in one write, no two of one key unless the write is all or nothing.
struct Part {
    places: Vec<u32>,
    /// Whether they are in the order of the stream.
    is_straight: bool,
    attempts: u32,
}

impl Pass<'_> {
    /// Sets up the first write: all rows, or one of each key.
    fn begin(&mut self) {
        let identity = &self.delivery.identity;
        let rows = self.chunk.rows.len();
        let groups = self.chunk.repeats(identity);
        self.repeats = Repeats::new(self.delivery, self.is_atomic, groups);
        let left_out = self.repeats.left_out(rows);
        let order = self.chunk.order().filter(|_| identity.is_sortable);
        let mut places: Vec<u32> = match order {
            Some(order) => order.to_vec(),
            None => places(rows).collect(),
        };
        if !left_out.is_empty() {
            places.retain(|place| !left_out[*place as usize]);
        }
        if !places.is_empty() {
            let is_straight = places.is_sorted();
            self.parts.push_back(Part { places, is_straight, attempts: 0 });
        }
    }

    async fn open(&mut self) {
        let mut attempts = 0;
        loop {
            match self.delivery.open().await {
                Ok(session) => return self.session = Some(session),
                Err(error) if self.may_repeat(attempts, &error).await => attempts += 1,
                Err(error) => return self.fatal = Some(error),
            }
        }
    }

    async fn run(&mut self) {
        while !self.is_stopped() {
            if let Some(part) = self.parts.pop_front() {
                self.send(part).await;
            } else if !self.go_on() {
                break;
            }
        }
        // What a failure has left unsent; a key's other rows have nothing to go by.
        self.parts.clear();
        while self.go_on() {
            self.parts.clear();
        }
    }

    fn is_stopped(&self) -> bool {
        self.fatal.is_some()
            || self.errors_left.is_some_and(|left| self.failures >= left)
            || (self.is_atomic && self.failures > 0)
    }

    async fn send(&mut self, part: Part) {
        match self.write(&part.places).await {
            Ok(report) => {
                self.waited += report.waited;
                if report.outcomes.len() != part.places.len() {
                    let error = miscounted(part.places.len(), report.outcomes.len());
                    self.end(&part.places, &Outcome::Unknown(error));
                } else if report.outcomes.iter().all(is_applied) {
                    self.take_all(&part, report.outcomes);
                } else if self.is_atomic {
                    self.take_whole(part, report.outcomes).await;
                } else {
                    self.take_each(&part, report.outcomes).await;
                }
            }
            Err(error) => self.take_error(part, error).await,
        }
    }

    async fn write(&mut self, places: &[u32]) -> Result<WriteReport> {
        let Delivery { table, .. } = self.delivery;
        let change = self.delivery.change(self.chunk, places)?;
        let mut write = Write::new(table.binding(), change);
        write.atomic = self.is_atomic;
        match &mut self.session {
            Some(session) => session.write(&write, &mut Nothing).await,
            None => {
                table.pass_writers(self.delivery.location).await?;
                table.write_once(&write, &mut Nothing).await
            }
        }
    }

    /// Takes the outcomes of rows that were all applied, as nearly always: nothing that was known of
    /// them can be better.
    fn take_all(&mut self, part: &Part, outcomes: Vec<Outcome>) {
        if part.is_straight && outcomes.len() == self.outcomes.len() {
            self.outcomes = outcomes.into_iter().map(Some).collect();
            return;
        }
        for (place, outcome) in part.places.iter().zip(outcomes) {
            self.outcomes[*place as usize] = Some(outcome);
        }
    }

    /// Takes the outcomes of rows that stand alone.
    async fn take_each(&mut self, part: &Part, outcomes: Vec<Outcome>) {
        let (mut again, mut straight) = (Vec::new(), Vec::new());
        let mut reason = None;
        for (place, outcome) in part.places.iter().zip(outcomes) {
            match outcome.error() {
                Some(error) if self.can_repeat(part.attempts, error) => {
                    reason.get_or_insert_with(|| error.clone());
                    again.push(*place);
                }
                // A row may refer to another one of the chunk, which the order of the keys has put
                // behind it.
                Some(error) if error.kind() == ErrorKind::Constraint && !part.is_straight => {
                    straight.push(*place);
                }
                Some(_) => self.failures += 1,
                None => {}
            }
            self.record(*place, outcome);
        }
        if let Some(error) = reason {
            if self.may_repeat(part.attempts, &error).await {
                let attempts = part.attempts + 1;
                self.parts.push_front(Part { places: again, attempts, ..*part });
            } else {
                self.failures += again.len() as u64;
            }
        }
        if !straight.is_empty() {
            straight.sort_unstable();
            self.parts.push_front(Part { places: straight, is_straight: true, attempts: 0 });
        }
    }

    /// Takes the outcomes of rows that are written all or none.
    async fn take_whole(&mut self, mut part: Part, outcomes: Vec<Outcome>) {
        if let Some(error) = outcomes.iter().find_map(Outcome::error).cloned() {
            if self.may_repeat(part.attempts, &error).await {
                part.attempts += 1;
                return self.parts.push_front(part);
            }
            if !part.is_straight && !error.is_unknown() {
                // The first that fails is the first of the stream, and not that of the keys.
                part.places.sort_unstable();
                return self.parts.push_front(Part { is_straight: true, ..part });
            }
            self.failures += 1;
        }
        for (place, outcome) in part.places.into_iter().zip(outcomes) {
            self.record(place, outcome);
        }
    }

    /// Takes the failure of a write as a whole: nothing of it was written, or that is unknown.
    async fn take_error(&mut self, mut part: Part, error: Error) {
        let outcome = match error.is_unknown() {
            true => Outcome::Unknown(error.clone()),
            false => Outcome::Failed(error.clone()),
        };
        if self.may_repeat(part.attempts, &error).await {
            for place in &part.places {
                self.record(*place, outcome.clone());
            }
            part.attempts += 1;
            return self.parts.push_front(part);
        }
        if !self.is_atomic && part.places.len() > 1 && is_divisible(&error) {
            return self.divide(part);
        }
        if !error.is_unknown() {
            let is_lone = part.places.len() == 1 && is_of_the_store(&error);
            self.store_failures += u32::from(is_lone);
            if is_fatal(&error) || self.store_failures >= STORE_FAILURES_MAX && self.is_barren() {
                self.fatal = Some(error);
            }
        }
        self.end(&part.places, &outcome);
    }

    /// Sends the halves one after the other, so that in the end the row is alone that is to blame.
    ///
    /// In the order of the stream: a row that refers to one before it is not sent before that one.
    fn divide(&mut self, part: Part) {
        let mut left = part.places;
        left.sort_unstable();
        let right = left.split_off(left.len() / 2);
        for places in [right, left] {
            self.parts.push_front(Part { places, is_straight: true, attempts: part.attempts });
        }
    }

    /// Whether no row has been written.
    fn is_barren(&self) -> bool {
        !self.outcomes.iter().any(|outcome| matches!(outcome, Some(Outcome::Applied(_))))
    }

    /// Sets what became of a row. If it was sent before and never confirmed, only its success tells
    /// more than that.
    fn record(&mut self, place: u32, outcome: Outcome) {
        let known = &mut self.outcomes[place as usize];
        if !matches!(
            (&known, &outcome),
            (Some(Outcome::Unknown(_)), Outcome::Failed(_) | Outcome::Skipped)
        ) {
            *known = Some(outcome);
        }
    }

    fn end(&mut self, places: &[u32], outcome: &Outcome) {
        self.failures += places.len() as u64;
        for place in places {
            self.record(*place, outcome.clone());
        }
    }

    /// Settles rows whose key came more than once, or sends the next of them. Returns whether there
    /// were any to send.
    fn go_on(&mut self) -> bool {
        let Some(next) = self.repeats.next(&mut self.outcomes) else { return false };
        self.parts.push_back(straight(next));
        true
    }

    fn can_repeat(&self, attempts: u32, error: &Error) -> bool {
        let Delivery { options, .. } = self.delivery;
        // What was written in a transaction before would be lost with it.
        let is_inside = self.session.is_some() || self.delivery.table.transaction().is_some();
        if is_inside || attempts >= options.retries_max {
            return false;
        }
        match error.retry() {
            Retry::Safe => true,
            Retry::IfIdempotent => self.delivery.is_idempotent(),
            // The table was read anew, and may fit now.
            Retry::Never => error.kind() == ErrorKind::Schema && attempts == 0,
        }
    }

    /// Waits before a repetition, if there may be one.
    async fn may_repeat(&mut self, attempts: u32, error: &Error) -> bool {
        if !self.can_repeat(attempts, error) || !self.delivery.spend() {
            return false;
        }
        if error.kind() != ErrorKind::Schema {
            let options = &self.delivery.options;
            options.clock.sleep(options.pause(attempts)).await;
        }
        true
    }
}

fn is_applied(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Applied(_))
}

fn straight(places: Vec<u32>) -> Part {
    Part { places, is_straight: true, attempts: 0 }
}

/// Whether a row of the write may be to blame.
fn is_divisible(error: &Error) -> bool {
    let passes = matches!(error.kind(), ErrorKind::Busy | ErrorKind::Serialization);
    !error.is_unknown() && !is_fatal(error) && !passes
}

/// Whether no row can be written after it.
fn is_fatal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Cancelled
            | ErrorKind::NotFound
            | ErrorKind::ReadOnly
            | ErrorKind::Schema
            | ErrorKind::Unavailable
            | ErrorKind::Unsupported
    )
}

/// Whether it says nothing about the row.
fn is_of_the_store(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Internal | ErrorKind::Store | ErrorKind::Timeout)
}

fn miscounted(rows: usize, outcomes: usize) -> Error {
    let message = format!("the store gave {outcomes} outcomes of {rows} rows");
    Error::new(ErrorKind::Internal, message).with_retry(Retry::IfIdempotent)
}
