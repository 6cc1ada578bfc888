//! The protocol of loads and writes, in every order in which threads can take its steps.
//!
//! `cargo xtask model` runs it. The store is one number that a write makes larger; what is cached
//! must never be smaller than what had been written when the look-up began.

mod lease;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::fence::{Entered, Fence, Load};

/// One row, and the cache of it.
struct World {
    stored: AtomicU64,
    cached: Mutex<Option<u64>>,
    /// What all cached values were taken out by, where no key is named.
    era: AtomicU64,
    fence: Fence<Ticket>,
    tickets: AtomicU64,
}

#[derive(Clone, Debug)]
struct Ticket(u64);

impl Load for Ticket {
    fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

const KEY: &[u8] = b"key";

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            stored: AtomicU64::new(0),
            cached: Mutex::new(None),
            era: AtomicU64::new(0),
            fence: Fence::new(1, 16),
            tickets: AtomicU64::new(0),
        })
    }

    fn look_up(&self) -> u64 {
        if let Some(value) = *self.cached.lock().unwrap() {
            return value;
        }
        let ticket = || Ticket(self.tickets.fetch_add(1, Ordering::SeqCst));
        match self.fence.enter(KEY, 0, ticket) {
            Entered::Leads(ticket) => {
                let value = self.stored.load(Ordering::SeqCst);
                self.fence.finish(KEY, &ticket, || *self.cached.lock().unwrap() = Some(value));
                value
            }
            // Whoever joins waits for a load that began before: here it reads for itself.
            Entered::Joins(_) | Entered::Alone => self.stored.load(Ordering::SeqCst),
        }
    }

    fn write(&self) -> u64 {
        self.fence.begin_write(KEY, || *self.cached.lock().unwrap() = None);
        let value = self.stored.fetch_add(1, Ordering::SeqCst) + 1;
        self.fence.end_write(KEY, 0, 0);
        value
    }

    fn write_unnamed(&self) -> u64 {
        self.fence.begin_write_of_all(|| self.clear());
        let value = self.stored.fetch_add(1, Ordering::SeqCst) + 1;
        self.fence.end_write_of_all(0);
        value
    }

    /// Another process writes, and tells it.
    fn hear(&self) -> u64 {
        let value = self.stored.fetch_add(1, Ordering::SeqCst) + 1;
        self.fence.invalidate(KEY, || *self.cached.lock().unwrap() = None);
        value
    }

    fn hear_unnamed(&self) -> u64 {
        let value = self.stored.fetch_add(1, Ordering::SeqCst) + 1;
        self.fence.invalidate_all(|| self.clear());
        value
    }

    fn clear(&self) {
        self.era.fetch_add(1, Ordering::SeqCst);
        *self.cached.lock().unwrap() = None;
    }
}

/// Takes every order in which threads are interrupted at most so often where they need not be: see
/// Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded
/// Programs", 2007. Of two threads three find what there is to find.
fn explore(check: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(check);
}

/// One thread looks up, one writes and looks up what it wrote; then everybody must see it.
fn check(write: fn(&World) -> u64) {
    explore(move || {
        let world = World::new();
        let reader = thread::spawn({
            let world = world.clone();
            move || world.look_up()
        });
        let written = write(&world);
        let own = world.look_up();
        assert!(own >= written, "its own write is not seen");
        reader.join().unwrap();
        assert!(world.look_up() >= written, "a stale value was cached");
    });
}

#[test]
fn a_write_by_key_is_seen_by_all_that_come_behind_it() {
    check(World::write);
}

#[test]
fn a_write_that_names_no_key_is_seen_likewise() {
    check(World::write_unnamed);
}

#[test]
fn what_another_process_wrote_is_seen_when_it_was_told() {
    check(World::hear);
    check(World::hear_unnamed);
}

#[test]
fn two_writers_and_a_reader_leave_the_last_value() {
    explore(|| {
        let world = World::new();
        let threads = [World::write as fn(&World) -> u64, World::look_up].map(|run| {
            let world = world.clone();
            thread::spawn(move || run(&world))
        });
        let written = world.write();
        assert!(world.look_up() >= written);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(world.look_up(), 2);
    });
}

#[test]
#[should_panic(expected = "stale")]
fn without_the_fence_a_stale_value_is_found() {
    explore(|| {
        let world = World::new();
        world.fence.is_removed.store(true, Ordering::Relaxed);
        let reader = thread::spawn({
            let world = world.clone();
            move || world.look_up()
        });
        let written = world.write();
        reader.join().unwrap();
        assert!(world.look_up() >= written, "a stale value was cached");
    });
}
