//! Rows that are not in memory: from the shared tier, or from the store by one process for all.

use std::panic::Location;
use std::slice;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sora_core::remote::{RemoteName, Slot, Token};
use sora_core::{Operation, RowBuffer, Source};
use tokio::time::{Instant, timeout};

use super::frame::{self, Head, Unread};
use super::patience::patiently;
use super::{RemoteTable, Shared, Tier};
use crate::Table;
use crate::cache::CacheMode;
use crate::cache::landing::{Keep, Landing};
use crate::cache::memory::Erased;
use crate::cache::numbers::{Counters, count};
use crate::cache::space::Space;
use crate::cache::tags::{self, TagNames};

/// Loads rows that these landings wait for; `keys` has the key of each, in their order.
///
/// One round trip to the tier for what is there. For the rest a second takes the leases, one read of
/// the store gets the rows, and a third round trip puts them there. What another process loads is
/// waited for, as long as a lease lasts.
pub(in crate::cache) async fn lead(
    space: &Space,
    shared: &Shared,
    table: Table,
    keys: RowBuffer,
    landings: Vec<Landing>,
    mode: CacheMode,
    location: &'static Location<'static>,
) {
    let token = shared.tier.token();
    let load = Load { shared, space, table, keys, mode, token, location };
    let places = 0..landings.len();
    let rows = landings.into_iter().zip(places).map(|(landing, place)| {
        let name = shared.table.name(landing.key.clone());
        Wanted { landing, place, name, is_odd: false }
    });
    load.table.gather_look_ups();
    let run = Box::pin(load.run(rows.collect()));
    patiently(shared.tier.config.wait_max_ms, run).await;
}

/// A load of some rows.
pub(super) struct Load<'a> {
    pub(super) shared: &'a Shared,
    pub(super) space: &'a Space,
    pub(super) table: Table,
    pub(super) keys: RowBuffer,
    pub(super) mode: CacheMode,
    /// Of all leases that it takes.
    pub(super) token: Token,
    pub(super) location: &'static Location<'static>,
}

/// A row that somebody waits for.
pub(super) struct Wanted {
    pub(super) landing: Landing,
    /// Where its key is.
    pub(super) place: usize,
    pub(super) name: RemoteName,
    /// Its name was empty and could not be leased.
    is_odd: bool,
}

/// What is to be done for the rows that one look at the tier did not give.
#[derive(Default)]
struct Sorted {
    /// Their leases are to be taken.
    empty: Vec<Wanted>,
    /// The same, when what stands there has been taken out.
    outdated: Vec<Wanted>,
    /// This process has their leases.
    leased: Vec<Wanted>,
    /// Another process has.
    theirs: Vec<Wanted>,
    /// They were found, and are good if none of their tags has been invalidated.
    tagged: Vec<Tagged>,
    /// They are read from the store, put nowhere but in memory, and kept there so long.
    plain: Vec<(Wanted, Keep)>,
}

impl Sorted {
    /// Whether nothing is left to be done.
    fn is_done(&self) -> bool {
        let Self { empty, outdated, leased, theirs, tagged, plain } = self;
        let rows = [empty, outdated, leased, theirs];
        rows.iter().all(|rows| rows.is_empty()) && tagged.is_empty() && plain.is_empty()
    }
}

impl Sorted {
    /// Lets the loads have tasks of their own.
    fn let_go(&self) {
        let Self { empty, outdated, leased, theirs, tagged, plain } = self;
        let rows = [empty, outdated, leased, theirs].into_iter().flatten();
        let rows = rows.chain(tagged.iter().map(|tagged| &tagged.wanted));
        rows.chain(plain.iter().map(|(wanted, _)| wanted)).for_each(|it| it.landing.let_go());
    }
}

/// A row that was found, and what tags it.
struct Tagged {
    wanted: Wanted,
    row: (Erased, u64),
    head: Head,
    names: TagNames,
}

/// What the rows were read under whose leases are held: it goes in their frames.
#[derive(Clone, Copy, Default)]
pub(super) struct Read {
    pub(super) generation: u64,
    /// How often tags had been invalidated.
    pub(super) tagged: u64,
}

/// What is waited before another process's load is looked for again: at first, and at most.
const POLL_MS: (u64, u64) = (4, 64);

impl Load<'_> {
    async fn run(&self, wanted: Vec<Wanted>) {
        let mut wanted = self.round(wanted).await;
        if wanted.is_empty() {
            return;
        }
        self.counters().lease_waits.fetch_add(wanted.len() as u64, Ordering::Relaxed);
        let give_up = Instant::now() + Duration::from_millis(self.tier().config.lease_time_ms);
        let mut poll_ms = POLL_MS.0;
        while !wanted.is_empty() {
            if Instant::now() >= give_up {
                // Whoever has the lease takes too long: its value, or none, is for others.
                let plain = wanted.into_iter().map(|wanted| (wanted, Keep::Not)).collect();
                return Box::pin(self.read_store(Vec::new(), plain, Read::default())).await;
            }
            let keys = wanted.iter().map(|wanted| (&*wanted.landing.key).into()).collect();
            let change = self.shared.table.wait(keys);
            // A change that came before this was registered is found by looking.
            let poll = Duration::from_millis(poll_ms);
            _ = timeout(poll, change.notify.notified()).await;
            drop(change);
            poll_ms = (poll_ms * 2).min(POLL_MS.1);
            wanted = self.round(wanted).await;
        }
    }

    /// Lands what can be landed now, and returns what other processes load.
    async fn round(&self, wanted: Vec<Wanted>) -> Vec<Wanted> {
        let mut sorted = Sorted::default();
        let wanted = self.keep_apart(wanted, &mut sorted);
        let keep = self.keep();
        let mut read = Read::default();
        if wanted.is_empty() {
            // The tier is not asked.
        } else if self.mode.reads_remote() {
            read.generation = self.look(wanted, keep, &mut sorted).await;
        } else {
            // Refreshed: what stands there is replaced.
            match self.tier().number(&self.table_of().generation).await {
                Ok(known) => (read.generation, sorted.outdated) = (known, wanted),
                Err(_) => self.untold(wanted, &mut sorted),
            }
        }
        if sorted.is_done() {
            return Vec::new();
        }
        // Other processes wait for leases, and the store is slower.
        sorted.let_go();
        // Apart, so that the future of a row that is there is small.
        Box::pin(self.load(sorted, read, keep)).await
    }

    /// Loads what the tier does not have, and returns what other processes load.
    async fn load(&self, mut sorted: Sorted, mut read: Read, keep: Keep) -> Vec<Wanted> {
        self.take_out(&mut sorted).await;
        read.tagged = self.count_tagged(&mut sorted).await;
        self.take_leases(&mut sorted, read.generation, keep).await;
        read.generation = self.hold_generation(&mut sorted).await;
        let Sorted { leased, theirs, plain, .. } = sorted;
        self.read_store(leased, plain, read).await;
        theirs
    }

    /// Looks rows up, lands what is there, and returns the generation of the table.
    async fn look(&self, wanted: Vec<Wanted>, keep: Keep, sorted: &mut Sorted) -> u64 {
        renew(&wanted);
        let mut watch = self.table.watch(self.operation(), self.location);
        let looked = match &*wanted {
            [one] => self.tier().fetch(self.table_of(), slice::from_ref(&one.name)).await,
            _ => self.tier().fetch(self.table_of(), &names(&wanted)).await,
        };
        let Ok((slots, generation)) = looked else {
            watch.discard();
            self.untold(wanted, sorted);
            return 0;
        };
        let mut found = 0;
        for (wanted, slot) in wanted.into_iter().zip(slots) {
            found += self.sort(wanted, slot, generation, keep, sorted);
        }
        found += self.land_tagged(keep, sorted).await;
        match found {
            0 => watch.discard(),
            found => {
                watch.read_remote(found);
                watch.done();
            }
        }
        generation
    }

    /// Leaves out what the tier must not be asked of: what may be written this moment, and what it was
    /// not told yet.
    fn keep_apart(&self, wanted: Vec<Wanted>, sorted: &mut Sorted) -> Vec<Wanted> {
        let now_ms = self.space.now_ms();
        let may_ask = |wanted: &Wanted| {
            let key = &wanted.landing.key;
            let only_reads = self.mode == CacheMode::ReadOnly;
            let may =
                wanted.landing.leads || only_reads && !self.space.fence.is_written(key, now_ms);
            may && !self.tier().journal.holds(self.table_of(), key)
        };
        if wanted.iter().all(may_ask) {
            return wanted;
        }
        let untold = self.space.keep(self.mode);
        let (asked, apart): (Vec<_>, Vec<_>) = wanted.into_iter().partition(may_ask);
        sorted.plain.extend(apart.into_iter().map(|wanted| (wanted, untold)));
        asked
    }

    /// Says what is to be done for a row, or lands it; returns 1 if it was there.
    fn sort(
        &self,
        wanted: Wanted,
        slot: Slot,
        generation: u64,
        keep: Keep,
        sorted: &mut Sorted,
    ) -> u64 {
        let counters = self.counters();
        match slot {
            Slot::Empty => {
                count(&counters.remote_misses);
                sorted.empty.push(wanted);
            }
            Slot::Leased(_) => sorted.theirs.push(wanted),
            // What is loaded now may be written behind it, and nobody will tell.
            Slot::Blocked => sorted.plain.push((wanted, Keep::Not)),
            Slot::Value(bytes) => match self.read(&bytes, generation) {
                Held::Row(Some(row), head, names) if names.iter().any(Option::is_some) => {
                    sorted.tagged.push(Tagged { wanted, row, head, names });
                }
                Held::Row(row, head, _) => {
                    self.land_found(wanted, row, head, keep);
                    return 1;
                }
                // It stays for those who can read it.
                Held::Foreign => {
                    count(&counters.remote_foreign);
                    // Of its tags nobody would be told.
                    let is_told = self.space.tags.is_empty();
                    let keep = if is_told { keep } else { self.space.keep(self.mode) };
                    sorted.plain.push((wanted, keep));
                }
                Held::Outdated => {
                    count(&counters.remote_outdated);
                    sorted.outdated.push(wanted);
                }
                Held::Broken => {
                    count(&counters.remote_undecodable);
                    sorted.outdated.push(wanted);
                }
            },
        }
        0
    }

    fn read(&self, bytes: &[u8], generation: u64) -> Held {
        let frame = match frame::open(bytes, self.tier().config.value_bytes_max) {
            Ok(frame) => frame,
            Err(Unread::Broken) => return Held::Broken,
            // Others may have room for it.
            Err(Unread::TooLarge) => return Held::Foreign,
        };
        if frame.head.generation != generation {
            return Held::Outdated;
        }
        if frame.head.fingerprint != self.space.fingerprint {
            return Held::Foreign;
        }
        match frame.row(self.table.columns().len()) {
            None => Held::Row(None, frame.head, TagNames::default()),
            Some(Err(())) => Held::Broken,
            Some(Ok(row)) => {
                match (self.space.memory.decode(&row), tags::names(&self.space.tags, &row)) {
                    (Ok(decoded), Ok(names)) => Held::Row(Some(decoded), frame.head, names),
                    _ => Held::Broken,
                }
            }
        }
    }

    /// Hands out what was found.
    fn land_found(&self, wanted: Wanted, row: Option<(Erased, u64)>, head: Head, keep: Keep) {
        let counters = self.counters();
        count(if row.is_some() { &counters.remote_hits } else { &counters.remote_missing_hits });
        let keep = match keep {
            Keep::Long => Keep::For(self.left_ms(head.expires_ms)),
            keep => keep,
        };
        wanted.landing.land(row, Source::Remote, keep);
    }

    /// Hands out what was found and has no tag that was invalidated since; returns how many rows.
    async fn land_tagged(&self, keep: Keep, sorted: &mut Sorted) -> u64 {
        let tagged = std::mem::take(&mut sorted.tagged);
        if tagged.is_empty() {
            return 0;
        }
        let names: Vec<&TagNames> = tagged.iter().map(|tagged| &tagged.names).collect();
        let Ok(numbers) = self.tier().tag_numbers(&names).await else {
            self.untold(tagged.into_iter().map(|tagged| tagged.wanted).collect(), sorted);
            return 0;
        };
        let mut landed = 0;
        for (Tagged { wanted, row, head, .. }, numbers) in tagged.into_iter().zip(numbers) {
            if head.tags == numbers {
                self.land_found(wanted, Some(row), head, keep);
                landed += 1;
            } else {
                count(&self.counters().remote_outdated);
                sorted.outdated.push(wanted);
            }
        }
        landed
    }

    /// How often tags were invalidated so far, if rows are about to be loaded that may have some.
    async fn count_tagged(&self, sorted: &mut Sorted) -> u64 {
        if self.space.tags.is_empty() || sorted.empty.is_empty() {
            return 0;
        }
        match self.tier().number(&self.table_of().tagged).await {
            Ok(number) => number,
            Err(_) => {
                let empty = std::mem::take(&mut sorted.empty);
                self.untold(empty, sorted);
                0
            }
        }
    }

    /// Takes out of the tier what must not stay there.
    async fn take_out(&self, sorted: &mut Sorted) {
        let outdated = std::mem::take(&mut sorted.outdated);
        if outdated.is_empty() {
            return;
        }
        if !self.mode.fills_remote() {
            // Who only reads leaves it to others.
            return sorted.empty.extend(outdated);
        }
        match self.tier().remove(&names(&outdated)).await {
            Ok(()) => sorted.empty.extend(outdated),
            Err(_) => self.untold(outdated, sorted),
        }
    }

    async fn take_leases(&self, sorted: &mut Sorted, generation: u64, keep: Keep) {
        let empty = std::mem::take(&mut sorted.empty);
        if empty.is_empty() {
            return;
        }
        if !self.mode.fills_remote() {
            sorted.plain.extend(empty.into_iter().map(|wanted| (wanted, Keep::Not)));
            return;
        }
        renew(&empty);
        match self.tier().lease(&names(&empty), self.token).await {
            Ok(slots) => {
                let mut odd = Vec::new();
                for (mut wanted, slot) in empty.into_iter().zip(slots) {
                    match slot {
                        Slot::Leased(token) if token == self.token => sorted.leased.push(wanted),
                        // Something that is no value stands there, such as a list.
                        Slot::Empty if wanted.is_odd => odd.push(wanted),
                        // Or it was removed again at once, or filled with what is old already.
                        Slot::Empty => {
                            wanted.is_odd = true;
                            sorted.theirs.push(wanted);
                        }
                        slot => _ = self.sort(wanted, slot, generation, keep, sorted),
                    }
                }
                if !odd.is_empty() {
                    // Whether it is gone is seen by looking.
                    _ = self.tier().remove(&names(&odd)).await;
                    sorted.theirs.extend(odd);
                }
                self.land_tagged(keep, sorted).await;
                let again = sorted.outdated.drain(..);
                sorted.theirs.extend(again);
            }
            Err(_) => self.untold(empty, sorted),
        }
    }

    /// Returns the generation that rows are put there with. Should it have been forgotten since the tier
    /// was asked, with a connection, say, it is read again: else nobody would tell of its change.
    async fn hold_generation(&self, sorted: &mut Sorted) -> u64 {
        if sorted.leased.is_empty() {
            return 0;
        }
        match self.tier().number(&self.table_of().generation).await {
            Ok(generation) => generation,
            Err(_) => {
                let leased = std::mem::take(&mut sorted.leased);
                self.untold(leased, sorted);
                0
            }
        }
    }

    /// What the tier does not answer of is read from the store.
    fn untold(&self, wanted: Vec<Wanted>, sorted: &mut Sorted) {
        let untold = self.space.keep(self.mode);
        sorted.plain.extend(wanted.into_iter().map(|wanted| (wanted, untold)));
    }

    /// How long memory keeps what the tier tells the changes of.
    pub(super) fn keep(&self) -> Keep {
        match self.tier().config.remote.capability().tracks {
            true if self.mode.fills() => Keep::Long,
            _ => self.space.keep(self.mode),
        }
    }

    /// How long a value has left, by the clock of who put it there, and never more than it may have.
    fn left_ms(&self, expires_ms: u64) -> u64 {
        let left_ms = expires_ms.saturating_sub(self.space.time.wall_ms());
        left_ms.min(self.space.policy.remote_time_to_live_ms)
    }

    fn operation(&self) -> Operation {
        if self.keys.len() == 1 { Operation::Get } else { Operation::GetMany }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.space.counters
    }

    pub(super) fn tier(&self) -> &Tier {
        &self.shared.tier
    }

    pub(super) fn table_of(&self) -> &RemoteTable {
        &self.shared.table
    }
}

/// What stands under a name.
enum Held {
    /// A row, or that there is none, and what tags it.
    Row(Option<(Erased, u64)>, Head, TagNames),
    /// A row by another schema.
    Foreign,
    /// A row of an older generation.
    Outdated,
    /// No row.
    Broken,
}

pub(super) fn names(wanted: &[Wanted]) -> Vec<RemoteName> {
    wanted.iter().map(|wanted| wanted.name.clone()).collect()
}

fn renew(wanted: &[Wanted]) {
    for wanted in wanted {
        wanted.landing.renew();
    }
}
