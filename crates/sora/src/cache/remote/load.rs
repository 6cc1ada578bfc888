//! Rows that are not in memory: from the shared tier, or from the store by one process for all.

use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sora_core::remote::{Fill, RemoteName, Slot, Token};
use sora_core::{Operation, RowBuffer, Source};
use tokio::time::{Instant, timeout};

use super::frame::{self, Head};
use super::{RemoteTable, Shared, Tier};
use crate::Table;
use crate::cache::CacheMode;
use crate::cache::landing::{Keep, Landing, LoadedRow, fail_all};
use crate::cache::memory::Erased;
use crate::cache::numbers::{Counters, count};
use crate::cache::space::Space;

/// Loads rows that these landings wait for; `keys` has the key of each, in their order.
///
/// One round trip to the tier for what is there. For the rest a second takes the leases, one read of
/// the store gets the rows, and a third round trip puts them there. What another process loads is
/// waited for, as long as a lease lasts.
pub(in crate::cache) async fn lead(
    shared: &Shared,
    table: Table,
    keys: RowBuffer,
    landings: Vec<Landing>,
    mode: CacheMode,
    location: &'static Location<'static>,
) {
    let Some(space) = landings.first().map(|landing| landing.space.clone()) else { return };
    let token = shared.tier.token();
    let load = Load { shared, space: &space, table, keys, mode, token, location };
    let places = 0..landings.len();
    let rows = landings.into_iter().zip(places).map(|(landing, place)| {
        let name = shared.table.name(&landing.key);
        Wanted { landing, place, name }
    });
    load.run(rows.collect()).await;
}

struct Load<'a> {
    shared: &'a Shared,
    space: &'a Space,
    table: Table,
    keys: RowBuffer,
    mode: CacheMode,
    /// Of all leases that it takes.
    token: Token,
    location: &'static Location<'static>,
}

/// A row that somebody waits for.
struct Wanted {
    landing: Landing,
    /// Where its key is.
    place: usize,
    name: RemoteName,
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
    /// They are read from the store, put nowhere but in memory, and kept there so long.
    plain: Vec<(Wanted, Keep)>,
}

/// What is waited before another process's load is looked for again: at first, and at most.
const POLL_MS: (u64, u64) = (4, 64);

impl Load<'_> {
    async fn run(&self, wanted: Vec<Wanted>) {
        let give_up = Instant::now() + Duration::from_millis(self.tier().config.lease_time_ms);
        let mut poll_ms = POLL_MS.0;
        let mut wanted = self.round(wanted).await;
        if !wanted.is_empty() {
            self.counters().lease_waits.fetch_add(wanted.len() as u64, Ordering::Relaxed);
        }
        while !wanted.is_empty() {
            if Instant::now() >= give_up {
                // Whoever has the lease takes too long: its value, or none, is for others.
                let plain = wanted.into_iter().map(|wanted| (wanted, Keep::Not)).collect();
                return self.read_store(Vec::new(), plain, 0).await;
            }
            let keys = wanted.iter().map(|wanted| wanted.landing.key.clone()).collect();
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
        let mut generation = 0;
        if self.mode.reads_remote() && !wanted.is_empty() {
            renew(&wanted);
            let names = names(&wanted);
            let mut watch = self.table.watch(self.operation(), self.location);
            match self.tier().fetch(self.table_of(), &names).await {
                Ok((slots, known)) => {
                    generation = known;
                    let mut found = 0;
                    for (wanted, slot) in wanted.into_iter().zip(slots) {
                        found += self.sort(wanted, slot, generation, keep, &mut sorted);
                    }
                    match found {
                        0 => watch.discard(),
                        found => {
                            watch.read_remote(found);
                            watch.done();
                        }
                    }
                }
                Err(_) => {
                    watch.discard();
                    self.untold(wanted, &mut sorted);
                }
            }
        } else {
            // Refreshed: what stands there is replaced.
            match self.tier().generation_of(self.table_of()).await {
                Ok(known) => (generation, sorted.outdated) = (known, wanted),
                Err(_) => self.untold(wanted, &mut sorted),
            }
        }
        self.take_out(&mut sorted).await;
        self.take_leases(&mut sorted, generation, keep).await;
        let Sorted { leased, theirs, plain, .. } = sorted;
        self.read_store(leased, plain, generation).await;
        theirs
    }

    /// Leaves out what the tier must not be asked of: what may be written this moment, and what it was
    /// not told yet.
    fn keep_apart(&self, wanted: Vec<Wanted>, sorted: &mut Sorted) -> Vec<Wanted> {
        let now_ms = self.space.now_ms();
        let untold = self.space.keep(self.mode);
        let (asked, apart): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|wanted| {
            let key = &wanted.landing.key;
            let only_reads = self.mode == CacheMode::ReadOnly;
            let may =
                wanted.landing.leads || only_reads && !self.space.fence.is_written(key, now_ms);
            may && !self.tier().journal.holds(self.table_of(), key)
        });
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
                Held::Row(row, expires_ms) => {
                    let counter = match row {
                        Some(_) => &counters.remote_hits,
                        None => &counters.remote_missing_hits,
                    };
                    count(counter);
                    let keep = match keep {
                        Keep::Long => Keep::For(self.left_ms(expires_ms)),
                        keep => keep,
                    };
                    wanted.landing.land(row, Source::Remote, keep);
                    return 1;
                }
                // It stays for those who can read it.
                Held::Foreign => {
                    count(&counters.remote_foreign);
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
        let Some(frame) = frame::open(bytes, self.tier().config.value_bytes_max) else {
            return Held::Broken;
        };
        if frame.head.generation != generation {
            return Held::Outdated;
        }
        if frame.head.fingerprint != self.table.schema().fingerprint() {
            return Held::Foreign;
        }
        match frame.row(self.table.columns().len()) {
            None => Held::Row(None, frame.head.expires_ms),
            Some(Err(())) => Held::Broken,
            Some(Ok(row)) => match self.space.memory.decode(&row) {
                Ok(decoded) => Held::Row(Some(decoded), frame.head.expires_ms),
                Err(_) => Held::Broken,
            },
        }
    }

    /// Takes out of the tier what must not stay there.
    async fn take_out(&self, sorted: &mut Sorted) {
        let outdated = std::mem::take(&mut sorted.outdated);
        if outdated.is_empty() {
            return;
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
                for (wanted, slot) in empty.into_iter().zip(slots) {
                    match slot {
                        Slot::Leased(token) if token == self.token => sorted.leased.push(wanted),
                        // Removed again at once, or filled meanwhile with what is old already.
                        Slot::Empty => sorted.theirs.push(wanted),
                        slot => _ = self.sort(wanted, slot, generation, keep, sorted),
                    }
                }
                let again = sorted.outdated.drain(..);
                sorted.theirs.extend(again);
            }
            Err(_) => self.untold(empty, sorted),
        }
    }

    /// Reads rows of the store, and fills those in whose leases are held.
    async fn read_store(&self, leased: Vec<Wanted>, plain: Vec<(Wanted, Keep)>, generation: u64) {
        if leased.is_empty() && plain.is_empty() {
            return;
        }
        let to_fill = leased.len();
        let wanted = leased.iter().chain(plain.iter().map(|(wanted, _)| wanted));
        let keys =
            self.keys.pick(wanted.map(|wanted| wanted.place).collect::<Vec<_>>().into_iter());
        let rows = match keys {
            Ok(keys) => self.space.load_rows(&self.table, keys, to_fill > 0, self.location).await,
            Err(error) => Err(error),
        };
        let mut rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                if to_fill > 0 {
                    self.tier().release(&names(&leased), self.token).await;
                }
                let plain = plain.into_iter().map(|(wanted, _)| wanted);
                return fail_all(leased.into_iter().chain(plain).map(|it| it.landing), &error);
            }
        };
        for ((wanted, keep), row) in plain.into_iter().zip(rows.split_off(to_fill)) {
            wanted.landing.land(row.map(|row| row.decoded), Source::Store, keep);
        }
        if to_fill > 0 {
            self.fill(leased, rows, generation).await;
        }
    }

    /// Puts rows in the tier, and lands them as it says.
    async fn fill(&self, leased: Vec<Wanted>, rows: Vec<Option<LoadedRow>>, generation: u64) {
        let counters = self.counters();
        let untold = self.space.keep(self.mode);
        let (mut fills, mut filled, mut given_back) = (Vec::new(), Vec::new(), Vec::new());
        for (wanted, row) in leased.into_iter().zip(rows) {
            let framed = match &row {
                Some(row) => {
                    row.encoded.as_deref().and_then(|cells| self.frame(Some(cells), generation))
                }
                None => self.frame(None, generation),
            };
            match framed {
                Some((value, time_to_live_ms)) => {
                    fills.push(Fill { name: wanted.name, value, time_to_live_ms });
                    filled.push((wanted.landing, row));
                }
                None => {
                    count(&counters.remote_too_large);
                    given_back.push(wanted.name);
                    let row = row.map(|row| row.decoded);
                    // Nothing stands there that somebody could be told of.
                    wanted.landing.land(row, Source::Store, untold);
                }
            }
        }
        if !given_back.is_empty() {
            self.tier().release(&given_back, self.token).await;
        }
        if fills.is_empty() {
            return;
        }
        let told = self.keep();
        let answers = match self.tier().fill(fills, self.token).await {
            Ok(answers) => answers.into_iter().map(Some).collect(),
            Err(_) => vec![None; filled.len()],
        };
        for ((landing, row), answer) in filled.into_iter().zip(answers) {
            let keep = match answer {
                Some(true) => {
                    count(&counters.remote_fills);
                    told
                }
                // Somebody has written the row meanwhile.
                Some(false) => {
                    count(&counters.remote_fills_refused);
                    Keep::Not
                }
                None => untold,
            };
            landing.land(row.map(|row| row.decoded), Source::Store, keep);
        }
    }

    /// The frame of a row, and how long it stays; none if it is too large, or is not to be there.
    fn frame(&self, encoded: Option<&[u8]>, generation: u64) -> Option<(Vec<u8>, u64)> {
        let (policy, config) = (&self.space.policy, &self.tier().config);
        let time_ms = match encoded {
            Some(_) => policy.remote_time_to_live_ms,
            None => policy.remote_time_to_live_ms.min(policy.missing_time_to_live_ms),
        };
        let is_small = encoded.is_none_or(|encoded| encoded.len() <= config.value_bytes_max);
        if time_ms == 0 || !is_small {
            return None;
        }
        // For ever, to any server.
        let time_ms = time_ms.min(365 * 24 * 3_600 * 1_000);
        let head = Head {
            fingerprint: self.table.schema().fingerprint(),
            generation,
            expires_ms: self.space.time.wall_ms().saturating_add(time_ms),
        };
        let sealed = frame::seal(head, encoded, config.compress_bytes_min).ok()?;
        Some((sealed, time_ms))
    }

    /// What the tier does not answer of is read from the store.
    fn untold(&self, wanted: Vec<Wanted>, sorted: &mut Sorted) {
        let untold = self.space.keep(self.mode);
        sorted.plain.extend(wanted.into_iter().map(|wanted| (wanted, untold)));
    }

    /// How long memory keeps what the tier tells the changes of.
    fn keep(&self) -> Keep {
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

    fn counters(&self) -> &Counters {
        &self.space.counters
    }

    fn tier(&self) -> &Tier {
        &self.shared.tier
    }

    fn table_of(&self) -> &RemoteTable {
        &self.shared.table
    }
}

/// What stands under a name.
enum Held {
    /// A row, or that there is none, and when it is old.
    Row(Option<(Erased, u64)>, u64),
    /// A row by another schema.
    Foreign,
    /// A row of an older generation.
    Outdated,
    /// No row.
    Broken,
}

fn names(wanted: &[Wanted]) -> Vec<RemoteName> {
    wanted.iter().map(|wanted| wanted.name.clone()).collect()
}

fn renew(wanted: &[Wanted]) {
    for wanted in wanted {
        wanted.landing.renew();
    }
}
