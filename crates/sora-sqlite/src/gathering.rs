//! Look-ups that come close together, in one transaction.
//!
//! Two thirds of a look-up by key are the transaction around it: two calls of the system take and give
//! back a lock of the file, a third asks for its size, and all connections of the process to that file
//! do so under one mutex. So callers of one thread put their look-ups down and let each other run, and
//! whoever runs again first reads for all. It begins after all of them were put down, so each sees
//! every write that was committed before it was called.
//!
//! Nobody waits to be woken by another, but while a look-up is being read on another thread: each lets
//! the others run and then reads itself what nobody has read. A caller that is dropped, or not polled
//! any more, keeps nobody waiting.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::DerefMut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use sora_core::read::{Read, ReadReport};
use sora_core::{Error, ErrorKind, Result, RowBuffer, RowSink};

use crate::config::SqliteConfig;
use crate::gauge::Gauge;
use crate::held::{Held, is_lookup};

/// The gatherings of a store.
#[derive(Debug)]
pub(crate) struct Gatherings(Box<[Gathering]>);

/// The look-ups of the callers of a thread; of several, if there are more threads than gatherings.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// Whether look-ups come so close together that each is put down.
    is_open: AtomicBool,
    state: Mutex<State>,
}

/// A look-up that was put down. It leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket<'g> {
    gathering: &'g Gathering,
    place: usize,
    is_over: bool,
}

/// Look-ups that are read together. Those without an answer are read elsewhere when it is dropped.
#[derive(Debug)]
struct Batch<'g> {
    gathering: &'g Gathering,
    reads: Vec<(usize, Read)>,
    answers: Vec<Answer>,
}

/// What a look-up gave.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The row of a place in one of the buffers.
    Row(Arc<Vec<RowBuffer>>, usize, usize),
    Missing,
    Failed(Error),
    /// It is to be read on a thread.
    Elsewhere,
}

#[derive(Debug, Default)]
struct State {
    places: Vec<Place>,
    free: Vec<usize>,
    /// Those that nobody has begun to read, the oldest first.
    waiting: VecDeque<usize>,
    /// When the oldest was put down.
    since_us: u64,
    /// How many were read together lately.
    size: usize,
    /// How often in a row they came too far apart.
    slow: u32,
    /// How often it is not opened although that would be due.
    refused: u32,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a place is used again, so it allocates nothing")]
enum Place {
    Free,
    Waits(Read),
    IsRead(Option<Waker>),
    /// It is being read, and its caller is gone.
    Left,
    Answered(Answer),
}

/// Look-ups that are put down at the same time; one more is read on a thread.
const WAITING_MAX: usize = 1_024;

/// Look-ups in one transaction: some 70 microseconds.
const BATCH_MAX: usize = 64;

/// Look-ups in a transaction from which on it pays to let others run.
const SIZE_MIN: usize = 4;

/// How far apart look-ups may come. Beyond, what runs between them is more than what is saved.
const APART_US_MAX: u64 = 50;

/// How often in a row they may: on a busy machine a thread is kept waiting now and then.
const SLOW_MAX: u32 = 3;

const NONE: usize = usize::MAX;

thread_local! {
    /// Which of the gatherings of each store is that of the thread, once it has put a look-up down.
    static NUMBER: Cell<usize> = const { Cell::new(NONE) };
}

impl Gatherings {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Gathering::default()).collect())
    }

    /// Whether look-ups of this thread are put down.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.0.get(NUMBER.get()).is_some_and(Gathering::is_open)
    }

    /// Returns the gathering of this thread, and its number: the first threads have one each.
    pub(crate) fn here(&self) -> (&Gathering, usize) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        if NUMBER.get() == NONE {
            NUMBER.set(NEXT.fetch_add(1, Ordering::Relaxed) % self.0.len());
        }
        let number = NUMBER.get() % self.0.len();
        (&self.0[number], number)
    }
}

impl Gathering {
    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Puts a look-up down, if there is a place.
    pub(crate) fn put_down(&self, read: &Read, config: &SqliteConfig) -> Option<Ticket<'_>> {
        let mut state = self.state();
        let place = match state.free.pop() {
            Some(place) => place,
            None if state.places.len() < WAITING_MAX => {
                state.places.push(Place::Free);
                state.places.len() - 1
            }
            None => return None,
        };
        state.places[place] = Place::Waits(read.clone());
        if state.waiting.is_empty() {
            state.since_us = config.clock.now_us();
        }
        state.waiting.push_back(place);
        Some(Ticket { gathering: self, place, is_over: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// Reads it now, and all others that wait, if nobody has begun to; false if there is no connection.
    pub(crate) fn turn<L: DerefMut<Target = Held>>(
        &self,
        config: &SqliteConfig,
        gauge: &Gauge,
        connection: impl FnOnce() -> Option<L>,
    ) -> bool {
        let mut state = self.gathering.state();
        if !matches!(state.places[self.place], Place::Waits(_)) {
            return true;
        }
        let Some(mut link) = connection() else { return false };
        let reads = state.take(self.place);
        let now_us = config.clock.now_us();
        let gathered_us = now_us.saturating_sub(std::mem::replace(&mut state.since_us, now_us));
        let is_open = self.gathering.is_open();
        let is_open = state.is_open_next(is_open, reads.len(), gathered_us);
        self.gathering.is_open.store(is_open, Ordering::Relaxed);
        drop(state);
        let answers = Vec::with_capacity(reads.len());
        Batch { gathering: self.gathering, reads, answers }.read(&mut link, config, gauge);
        true
    }

    /// Waits for who reads it now.
    pub(crate) async fn answer(mut self) -> Answer {
        poll_fn(|context| {
            let mut state = self.gathering.state();
            if let Place::IsRead(waker) = &mut state.places[self.place] {
                *waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            self.is_over = true;
            Poll::Ready(state.answer(self.place))
        })
        .await
    }
}

impl State {
    /// Takes one that waits and those that wait longest.
    fn take(&mut self, first: usize) -> Vec<(usize, Read)> {
        let mut reads = Vec::with_capacity(BATCH_MAX.min(self.waiting.len()));
        if self.waiting.front() != Some(&first) {
            self.waiting.retain(|place| *place != first);
            self.waiting.push_front(first);
        }
        while reads.len() < BATCH_MAX
            && let Some(place) = self.waiting.pop_front()
        {
            let waited = std::mem::replace(&mut self.places[place], Place::IsRead(None));
            if let Place::Waits(read) = waited {
                reads.push((place, read));
            }
        }
        reads
    }

    /// Takes the answer of a place, and leaves it free.
    fn answer(&mut self, place: usize) -> Answer {
        self.free.push(place);
        match std::mem::replace(&mut self.places[place], Place::Free) {
            Place::Answered(answer) => answer,
            _ => Answer::Elsewhere,
        }
    }

    /// Says whether the next look-ups are put down, by how many were read together now.
    fn is_open_next(&mut self, was_open: bool, taken: usize, gathered_us: u64) -> bool {
        if !was_open {
            // Each of them had to let others run anyway, so there are as many that look up in a loop.
            let is_due = taken >= SIZE_MIN;
            if is_due && self.refused > 0 {
                self.refused -= 1;
                return false;
            }
            self.size = taken;
            return is_due;
        }
        self.size = usize::midpoint(self.size, taken);
        if gathered_us > taken as u64 * APART_US_MAX {
            self.slow = (self.slow + 1).min(SLOW_MAX + 8);
            self.refused = (1 << self.slow) >> SLOW_MAX;
            return self.refused == 0;
        }
        self.slow = 0;
        self.size >= SIZE_MIN
    }
}

impl Batch<'_> {
    /// Reads all of them on a connection, as long as none is slow.
    fn read(mut self, link: &mut Held, config: &SqliteConfig, gauge: &Gauge) {
        let mut rows: Vec<RowBuffer> = Vec::new();
        // Which of the buffers has the row, and where.
        let mut found = Vec::with_capacity(self.reads.len());
        let all = self.reads.len();
        let reads = &self.reads;
        link.together(all > 1, |link| {
            let mut start_us = config.clock.now_us();
            for (_, read) in reads {
                let width = read.columns.len();
                let buffer = match rows.iter().position(|rows| rows.width() == width) {
                    Some(buffer) => buffer,
                    None => {
                        rows.push(RowBuffer::with_capacity(width, all));
                        rows.len() - 1
                    }
                };
                let place = rows[buffer].len();
                let done = link.run_until(u64::MAX, read, &mut rows[buffer]);
                found.push((buffer, place, done));
                start_us = gauge.note(config, start_us);
                if !gauge.is_inline() {
                    break;
                }
            }
        });
        let rows = Arc::new(rows);
        self.answers.extend(found.into_iter().map(|(buffer, place, done)| match done {
            Some(Ok(report)) if report.received > 0 => Answer::Row(rows.clone(), buffer, place),
            Some(Ok(_)) => Answer::Missing,
            // Somebody holds a lock, which a thread may wait for.
            Some(Err(error)) if error.kind() != ErrorKind::Busy => Answer::Failed(error),
            _ => Answer::Elsewhere,
        }));
    }
}

impl Answer {
    /// Pushes the row into the caller's sink; `None` if it is to be read on a thread.
    pub(crate) fn deliver(self, sink: &mut dyn RowSink) -> Option<Result<ReadReport>> {
        match self {
            Self::Row(rows, buffer, place) => {
                let row = rows.get(buffer).and_then(|rows| rows.row(place))?;
                Some(sink.row(&row).map(|_| ReadReport::received(1)))
            }
            Self::Missing => Some(Ok(ReadReport::default())),
            Self::Failed(error) => Some(Err(error)),
            Self::Elsewhere => None,
        }
    }
}

/// Whether a read has at most one row, and all that is left to be done with it is to hand it out.
pub(crate) fn is_of_one_key(read: &Read) -> bool {
    is_lookup(read) && read.residual.is_empty() && read.limit_each.is_none()
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut wakers = Vec::new();
        let mut state = self.gathering.state();
        let mut answers = std::mem::take(&mut self.answers).into_iter();
        for (place, _) in &self.reads {
            let answer = answers.next().unwrap_or(Answer::Elsewhere);
            match std::mem::replace(&mut state.places[*place], Place::Answered(answer)) {
                Place::IsRead(waker) => wakers.extend(waker),
                _ => drop(state.answer(*place)),
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.gathering.state();
        let place = self.place;
        if let Place::IsRead(_) = state.places[place] {
            state.places[place] = Place::Left;
            return;
        }
        state.waiting.retain(|waiting| *waiting != place);
        drop(state.answer(place));
    }
}

#[cfg(test)]
mod tests;
