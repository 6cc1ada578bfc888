//! The same of two nodes that share a tier: leases, fills and removals in every order.

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::super::fence::{Entered, Fence};
use super::{KEY, Ticket, explore};

/// What both nodes see: the row, and what stands under its name.
struct Shared {
    stored: AtomicU64,
    slot: Mutex<Slot>,
    /// Whether a fill looks if its lease still stands.
    is_fenced: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Empty,
    Leased(u64),
    Value(u64),
}

struct Node {
    shared: Arc<Shared>,
    /// Of the first of its loads; each has one of its own.
    token: u64,
    cached: Mutex<Option<u64>>,
    fence: Fence<Ticket>,
    tickets: AtomicU64,
}

impl Node {
    fn pair(is_fenced: bool) -> [Arc<Self>; 2] {
        let (stored, slot) = (AtomicU64::new(0), Mutex::new(Slot::Empty));
        let shared = Arc::new(Shared { stored, slot, is_fenced });
        [100, 200].map(|token| {
            Arc::new(Self {
                shared: shared.clone(),
                token,
                cached: Mutex::new(None),
                fence: Fence::new(1, 16),
                tickets: AtomicU64::new(0),
            })
        })
    }

    fn look_up(&self) -> u64 {
        if let Some(value) = *self.cached.lock().unwrap() {
            return value;
        }
        let ticket = || Ticket(self.tickets.fetch_add(1, Ordering::SeqCst));
        let Entered::Leads(ticket) = self.fence.enter(KEY, 0, ticket) else { return self.load() };
        self.fence.renew(KEY, &ticket, 0);
        let found = *self.shared.slot.lock().unwrap();
        if let Slot::Value(value) = found {
            self.keep(&ticket, value);
            return value;
        }
        self.fence.renew(KEY, &ticket, 0);
        let token = self.token + ticket.0;
        if !self.lease(token) {
            // Another node loads it: here this one does as well, and keeps nothing.
            self.fence.finish(KEY, &ticket, || {});
            return self.load();
        }
        let value = self.load();
        if self.fill(token, value) {
            self.keep(&ticket, value);
        } else {
            self.fence.finish(KEY, &ticket, || {});
        }
        value
    }

    /// Writes the row, takes it out of the tier, and has the other node told.
    fn write(&self, other: &Self) -> u64 {
        self.fence.begin_write(KEY, || *self.cached.lock().unwrap() = None);
        let value = self.shared.stored.fetch_add(1, Ordering::SeqCst) + 1;
        *self.shared.slot.lock().unwrap() = Slot::Empty;
        other.fence.invalidate(KEY, || *other.cached.lock().unwrap() = None);
        self.fence.end_write(KEY, 0, 0);
        value
    }

    fn load(&self) -> u64 {
        self.shared.stored.load(Ordering::SeqCst)
    }

    fn lease(&self, token: u64) -> bool {
        let mut slot = self.shared.slot.lock().unwrap();
        let is_free = *slot == Slot::Empty;
        if is_free {
            *slot = Slot::Leased(token);
        }
        is_free
    }

    fn fill(&self, token: u64, value: u64) -> bool {
        let mut slot = self.shared.slot.lock().unwrap();
        let stands = *slot == Slot::Leased(token) || !self.shared.is_fenced;
        if stands {
            *slot = Slot::Value(value);
        }
        stands
    }

    fn keep(&self, ticket: &Ticket, value: u64) {
        self.fence.finish(KEY, ticket, || *self.cached.lock().unwrap() = Some(value));
    }
}

/// One node looks up while the other writes; then both must see what was written.
fn check(is_fenced: bool) {
    explore(move || {
        let [one, other] = Node::pair(is_fenced);
        let reader = thread::spawn({
            let one = one.clone();
            move || one.look_up()
        });
        let written = other.write(&one);
        assert!(other.look_up() >= written, "its own write is not seen: stale");
        reader.join().unwrap();
        assert!(one.look_up() >= written, "the other node keeps a stale value");
        assert!(other.look_up() >= written, "the tier keeps a stale value");
    });
}

#[test]
fn a_write_of_one_node_is_seen_by_the_other() {
    check(true);
}

#[test]
#[should_panic(expected = "stale")]
fn without_the_lease_a_stale_value_is_found() {
    check(false);
}

#[test]
fn the_writer_s_own_node_loads_meanwhile() {
    explore(|| {
        let [one, other] = Node::pair(true);
        let reader = thread::spawn({
            let one = one.clone();
            move || one.look_up()
        });
        let written = one.write(&other);
        assert!(one.look_up() >= written, "its own write is not seen");
        reader.join().unwrap();
        assert!(other.look_up() >= written, "the tier keeps a stale value");
    });
}
