//! Rows that are read from the store, and put in the shared tier.

use std::sync::Arc;

use sora_core::Source;
use sora_core::remote::{Fill, RemoteName, Token};
use tokio::runtime::Handle;

use super::frame::{self, Head};
use super::load::{Load, Read, Wanted, names};
use super::tagged::TagNumbers;
use super::tier::Tier;
use crate::cache::landing::{Keep, LoadedRow, fail_all};
use crate::cache::numbers::count;
use crate::cache::tags::TagNames;

/// Leases that are held while rows are read. Dropped before that has ended, by a panic, it gives them
/// back in the background.
struct Leases<'a> {
    tier: &'a Arc<Tier>,
    names: Vec<RemoteName>,
    token: Token,
}

impl Load<'_> {
    /// Reads rows of the store, and fills those in whose leases are held.
    pub(super) async fn read_store(
        &self,
        leased: Vec<Wanted>,
        plain: Vec<(Wanted, Keep)>,
        read: Read,
    ) {
        if leased.is_empty() && plain.is_empty() {
            return;
        }
        let to_fill = leased.len();
        let wanted = leased.iter().chain(plain.iter().map(|(wanted, _)| wanted));
        let keys =
            self.keys.pick(wanted.map(|wanted| wanted.place).collect::<Vec<_>>().into_iter());
        let reading = Leases { tier: &self.shared.tier, names: names(&leased), token: self.token };
        let rows = match keys {
            Ok(keys) => self.space.load_rows(&self.table, keys, to_fill > 0, self.location).await,
            Err(error) => Err(error),
        };
        let held = reading.keep();
        let mut rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                if to_fill > 0 {
                    self.tier().release(&held, self.token).await;
                }
                let plain = plain.into_iter().map(|(wanted, _)| wanted);
                return fail_all(leased.into_iter().chain(plain).map(|it| it.landing), &error);
            }
        };
        for ((wanted, keep), row) in plain.into_iter().zip(rows.split_off(to_fill)) {
            wanted.landing.land(row.map(|row| row.decoded), Source::Store, keep);
        }
        if to_fill > 0 {
            self.fill(leased, rows, read).await;
        }
    }

    /// Puts rows in the tier, and lands them as it says.
    async fn fill(&self, leased: Vec<Wanted>, rows: Vec<Option<LoadedRow>>, read: Read) {
        let counters = self.counters();
        let untold = self.space.keep(self.mode);
        let Some(numbers) = self.numbers_of(&rows, read).await else {
            self.tier().release(&names(&leased), self.token).await;
            for (wanted, row) in leased.into_iter().zip(rows) {
                count(&counters.remote_fills_refused);
                wanted.landing.land(row.map(|row| row.decoded), Source::Store, Keep::Not);
            }
            return;
        };
        let (mut fills, mut filled, mut given_back) = (Vec::new(), Vec::new(), Vec::new());
        for ((wanted, row), tags) in leased.into_iter().zip(rows).zip(numbers) {
            let framed = match &row {
                Some(row) => {
                    row.encoded.as_deref().and_then(|cells| self.frame(Some(cells), read, tags))
                }
                None => self.frame(None, read, tags),
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
        let table = self.table_of();
        let counted = [(&*table.generation, read.generation), (&*table.tagged, read.tagged)];
        let counted = if self.space.tags.is_empty() { &counted[..1] } else { &counted[..] };
        let answers = match self.tier().fill(fills, self.token, counted).await {
            Ok(answers) => answers.into_iter().map(Some).collect(),
            Err(_) => vec![None; filled.len()],
        };
        for ((landing, row), answer) in filled.into_iter().zip(answers) {
            let keep = match answer {
                Some(true) => {
                    count(&counters.remote_fills);
                    told
                }
                // Somebody has written the row meanwhile, or invalidated all.
                Some(false) => {
                    count(&counters.remote_fills_refused);
                    Keep::Not
                }
                None => untold,
            };
            landing.land(row.map(|row| row.decoded), Source::Store, keep);
        }
    }

    /// The generations of the tags of some rows; none if any tag may have been invalidated since they
    /// were read, or nobody knows.
    async fn numbers_of(&self, rows: &[Option<LoadedRow>], read: Read) -> Option<Vec<TagNumbers>> {
        if self.space.tags.is_empty() {
            return Some(vec![TagNumbers::default(); rows.len()]);
        }
        let none = TagNames::default();
        let names = rows.iter().map(|row| row.as_ref().map_or(&none, |row| &row.tags));
        let names: Vec<&TagNames> = names.collect();
        let numbers = self.tier().tag_numbers(&names).await.ok()?;
        if names.iter().all(|names| names.iter().all(Option::is_none)) {
            return Some(numbers);
        }
        // Also where all were known: another load may have learnt them behind this one's read.
        let tagged = self.tier().tagged_now(&self.table_of().tagged).await.ok()?;
        (tagged == read.tagged).then_some(numbers)
    }

    /// The frame of a row, and how long it stays; none if it is too large, or is not to be there.
    fn frame(
        &self,
        encoded: Option<&[u8]>,
        read: Read,
        tags: TagNumbers,
    ) -> Option<(Vec<u8>, u64)> {
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
            fingerprint: self.space.fingerprint,
            generation: read.generation,
            tags,
            expires_ms: self.space.time.wall_ms().saturating_add(time_ms),
        };
        let sealed = frame::seal(head, encoded, config.compress_bytes_min).ok()?;
        Some((sealed, time_ms))
    }
}

impl Leases<'_> {
    /// The reading has ended: whoever has their names sees to them.
    fn keep(mut self) -> Vec<RemoteName> {
        std::mem::take(&mut self.names)
    }
}

impl Drop for Leases<'_> {
    fn drop(&mut self) {
        let (names, token) = (std::mem::take(&mut self.names), self.token);
        if let Ok(runtime) = Handle::try_current()
            && !names.is_empty()
        {
            let tier = self.tier.clone();
            runtime.spawn(async move { tier.release(&names, token).await });
        }
    }
}
