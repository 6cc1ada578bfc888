//! Look-ups on the thread of their caller.

use std::sync::{Mutex, MutexGuard};

use sora_core::read::{Access, Output, Pace, Read};

use crate::held::Held;

/// Connections for inline reads, each used by one thread at a time.
#[derive(Debug)]
pub(crate) struct Pool {
    links: Box<[Mutex<Held>]>,
}

/// Keys of one look-up that still count as few.
const KEYS_MAX: usize = 4;

impl Pool {
    /// The most connections: more threads than that hardly look up at the same moment.
    const LINKS_MAX: usize = 8;

    /// How many connections suit this machine.
    pub(crate) fn links_wanted() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).min(Self::LINKS_MAX)
    }

    pub(crate) fn new(links: Vec<Held>) -> Self {
        Self { links: links.into_iter().map(Mutex::new).collect() }
    }

    /// Returns a connection that nobody uses now. One that panicked in use is left alone.
    pub(crate) fn free(&self) -> Option<MutexGuard<'_, Held>> {
        self.links.iter().find_map(|link| link.try_lock().ok())
    }
}

/// Whether a read is so small that a thread's hop would cost more than the read.
pub(crate) fn is_small(read: &Read) -> bool {
    let few = matches!(&read.access, Access::Keys(keys) if keys.len() <= KEYS_MAX);
    few && read.pace == Pace::Lookup && read.output == Output::Rows
}
