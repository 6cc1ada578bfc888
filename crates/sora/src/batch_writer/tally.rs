//! Counts outcomes and tells progress.

use std::fmt;
use std::time::Duration;

use sora_core::Error;

use super::options::BatchOptions;
use super::report::{BatchCounts, BatchEnd, BatchErrors, BatchProgress, BatchReport};
use super::settled::{DeadLetter, Settled};

pub(super) type OnProgress<'a> = Box<dyn FnMut(&BatchProgress) + Send + 'a>;
pub(super) type OnDeadLetter<'a> = Box<dyn FnMut(DeadLetter<'_>) + Send + 'a>;

/// What has become of the rows so far, and who wants to know.
pub(super) struct Tally<'a> {
    options: BatchOptions,
    started: Duration,
    taken: u64,
    answered: u64,
    counts: BatchCounts,
    errors: Vec<BatchErrors>,
    on_progress: Option<OnProgress<'a>>,
    on_dead_letter: Option<OnDeadLetter<'a>>,
    /// What the last progress told: rows, and when.
    told: (u64, Duration),
    is_final: bool,
}

impl<'a> Tally<'a> {
    pub(super) fn new(options: BatchOptions) -> Self {
        let started = options.clock.now();
        Self {
            options,
            started,
            taken: 0,
            answered: 0,
            counts: BatchCounts::default(),
            errors: Vec::new(),
            on_progress: None,
            on_dead_letter: None,
            told: (0, started),
            is_final: false,
        }
    }

    pub(super) fn on_progress(&mut self, tell: OnProgress<'a>) {
        self.on_progress = Some(tell);
    }

    pub(super) fn on_dead_letter(&mut self, take: OnDeadLetter<'a>) {
        self.on_dead_letter = Some(take);
    }

    /// Takes a row and returns its index.
    pub(super) fn take(&mut self) -> u64 {
        self.taken += 1;
        self.taken - 1
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn counts(&self) -> &BatchCounts {
        &self.counts
    }

    /// Rows that the store has answered, or that will not be sent.
    pub(super) fn answered(&mut self, rows: u64) {
        self.answered += rows;
    }

    /// Counts final outcomes.
    pub(super) fn settle(&mut self, settled: &Settled) {
        let failed = self.counts.failed + self.counts.unknown;
        settled.outcomes().iter().for_each(|outcome| self.counts.add(outcome));
        if self.counts.failed + self.counts.unknown == failed {
            return;
        }
        for letter in settled.dead_letters() {
            self.keep(letter.index, letter.error);
            if let Some(take) = &mut self.on_dead_letter {
                take(letter);
            }
        }
    }

    /// Counts rows that end without an outcome of their own, because the writer is dropped.
    pub(super) fn abandon(&mut self, unknown: u64, skipped: u64) {
        self.counts.unknown += unknown;
        self.counts.skipped += skipped;
        self.answered = self.taken;
    }

    /// Tells progress if there was enough of it.
    pub(super) fn tell(&mut self) {
        let (rows, at) = self.told;
        let more = self.answered - rows;
        if self.on_progress.is_none() || more == 0 {
            return;
        }
        let now = self.options.clock.now();
        if more >= self.options.progress_rows
            || now.saturating_sub(at) >= self.options.progress_interval
        {
            self.told = (self.answered, now);
            self.say(now);
        }
    }

    /// Tells the last progress, once.
    pub(super) fn tell_final(&mut self) {
        if !self.is_final {
            self.is_final = true;
            self.say(self.options.clock.now());
        }
    }

    fn say(&mut self, now: Duration) {
        let progress = BatchProgress {
            taken: self.taken,
            answered: self.answered,
            counts: self.counts,
            elapsed: now.saturating_sub(self.started),
            is_final: self.is_final,
        };
        if let Some(tell) = &mut self.on_progress {
            tell(&progress);
        }
    }

    pub(super) fn report(&mut self, chunks: u64, retries: u64, end: BatchEnd) -> BatchReport {
        BatchReport {
            rows: self.taken,
            counts: self.counts,
            errors: std::mem::take(&mut self.errors),
            chunks,
            retries,
            elapsed: self.options.clock.now().saturating_sub(self.started),
            end,
        }
    }

    fn keep(&mut self, index: u64, error: &Error) {
        let at = self.errors.iter().position(|errors| errors.kind == error.kind());
        let at = at.unwrap_or_else(|| {
            self.errors.push(BatchErrors { kind: error.kind(), count: 0, samples: Vec::new() });
            self.errors.len() - 1
        });
        let errors = &mut self.errors[at];
        errors.count += 1;
        if errors.samples.len() < self.options.samples_max {
            errors.samples.push((index, error.clone()));
        }
    }
}

impl fmt::Debug for Tally<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("taken", &self.taken).finish_non_exhaustive()
    }
}
