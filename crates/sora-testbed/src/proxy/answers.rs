//! The way of answers through a Redis proxy.

use std::collections::VecDeque;

use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

use super::fault::{Connection, Direction, Faults};
use super::frames::Frames;
use super::relay::{BUFFER_BYTES, End, Passed, drain, end, pass};
use super::wire::{PushAction, Wire};

/// Behind this a delayed connection is read no further.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How an invalidation goes on behind its first line.
const INVALIDATE: &[u8] = b"$10\r\ninvalidate\r\n";

/// What waits to be passed on to a client.
#[derive(Debug, Default)]
struct Queue {
    /// What keeps its place.
    answers: VecDeque<Item>,
    /// What others overtake.
    late: Vec<Item>,
    held: Vec<Item>,
    bytes: usize,
    /// Whether an answer was passed on in part: nothing may come between.
    is_inside: bool,
}

#[derive(Debug)]
struct Item {
    bytes: Vec<u8>,
    is_push: bool,
    ends: bool,
    /// When it is passed on, and what calls of `clear` it waits behind.
    due: Instant,
    clears: usize,
}

/// Passes on what a server says, until its end; an error ends both directions.
pub(super) async fn relay(
    (mut from, mut to): (ReadHalf<'_>, WriteHalf<'_>),
    connection: Connection,
    faults: &Faults,
    wire: &Wire,
    number: usize,
) -> Result<(), End> {
    let mut queue = Queue::default();
    let mut frames = Frames::default();
    let mut push = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut releases = wire.releases();
    let mut ended = None;
    loop {
        while let Some(item) = queue.take_due(faults.clears()) {
            faults.wait_open(Direction::ToClient).await;
            if !item.is_push {
                wire.answered(number);
            }
            let passed =
                pass(&item.bytes, &mut to, Direction::ToClient, connection, faults).await?;
            if passed == Passed::HalfClosed {
                drain(from, &mut buffer).await;
                return Ok(());
            }
        }
        if queue.answers.is_empty()
            && let Some(read) = ended.take()
        {
            return end(read, &mut to, Direction::ToClient, connection, faults).await;
        }
        let (due, clears) = queue.next().unwrap_or((Instant::now(), usize::MAX));
        tokio::select! {
            read = from.read(&mut buffer), if ended.is_none() && queue.bytes < QUEUE_BYTES_MAX => {
                let Ok(length @ 1..) = read else {
                    ended = Some(read);
                    continue;
                };
                let mut rest = &buffer[..length];
                while !rest.is_empty() {
                    let piece = frames.next(rest);
                    let (bytes, behind) = rest.split_at(piece.length);
                    rest = behind;
                    if piece.is_push {
                        push.extend_from_slice(bytes);
                        if piece.ends {
                            queue.push(std::mem::take(&mut push), faults, wire);
                        }
                    } else {
                        queue.answer(std::mem::take(&mut push), bytes, piece.ends, faults);
                    }
                }
                if frames.is_foreign() {
                    wire.is_foreign(number);
                }
            }
            () = sleep_until(due), if clears != usize::MAX => {}
            () = faults.wait_cleared(clears), if clears != usize::MAX => {}
            () = wire.wait_released(releases.count) => {
                releases = wire.releases();
                queue.release(releases.is_reversed);
            }
        }
    }
}

impl Queue {
    /// Takes in a part of an answer, behind what turned out to be no push.
    fn answer(&mut self, mut before: Vec<u8>, bytes: &[u8], ends: bool, faults: &Faults) {
        before.extend_from_slice(bytes);
        let item = Item::new(before, false, ends, faults);
        self.bytes += item.bytes.len();
        self.answers.push_back(item);
    }

    /// Takes in a whole push.
    fn push(&mut self, bytes: Vec<u8>, faults: &Faults, wire: &Wire) {
        let behind_line = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let is_invalidation = bytes[behind_line..].starts_with(INVALIDATE);
        let mut item = Item::new(bytes, true, true, faults);
        let action = if is_invalidation { wire.pushed() } else { PushAction::Pass };
        let length = item.bytes.len();
        self.bytes += length;
        match action {
            PushAction::Pass => self.answers.push_back(item),
            PushAction::Duplicate => {
                let again = Item { bytes: item.bytes.clone(), ..item };
                self.bytes += length;
                self.answers.extend([item, again]);
            }
            PushAction::Delay(by) => {
                item.due += by;
                self.late.push(item);
            }
            PushAction::Hold => self.held.push(item),
            PushAction::Drop => self.bytes -= length,
        }
    }

    fn release(&mut self, is_reversed: bool) {
        if is_reversed {
            self.held.reverse();
        }
        let now = Instant::now();
        let due = |item| Item { due: now, ..item };
        self.late.extend(self.held.drain(..).map(due));
    }

    /// When the next one is due, and the calls of `clear` that it waits behind.
    fn next(&self) -> Option<(Instant, usize)> {
        let late = self.late.iter().filter(|_| !self.is_inside);
        let next = self.answers.front().into_iter().chain(late).min_by_key(|item| item.due)?;
        Some((next.due, next.clears))
    }

    /// Takes what is to be passed on now.
    fn take_due(&mut self, clears: usize) -> Option<Item> {
        let now = Instant::now();
        let is_due = |item: &Item| item.due <= now || item.clears < clears;
        let late = self.late.iter().enumerate().filter(|(_, item)| is_due(item));
        let late = late.min_by_key(|(_, item)| item.due).map(|(at, _)| at);
        let item = match late {
            Some(at) if !self.is_inside => self.late.remove(at),
            _ => {
                is_due(self.answers.front()?).then_some(())?;
                self.answers.pop_front()?
            }
        };
        self.bytes -= item.bytes.len();
        self.is_inside = !item.ends;
        Some(item)
    }
}

impl Item {
    fn new(bytes: Vec<u8>, is_push: bool, ends: bool, faults: &Faults) -> Self {
        let due = Instant::now() + faults.delay_of(Direction::ToClient).unwrap_or_default();
        Self { bytes, is_push, ends, due, clears: faults.clears() }
    }
}
