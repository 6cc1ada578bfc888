//! Counts keys that come more than once in a file, in flat memory.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use sora::{BufferedRow, Cell, CellSink, RowBuffer};

/// Takes the keys of rows and says at the end how many came again.
///
/// A key is kept as a hash of 64 bits: among ten million keys two different ones are taken for equal
/// with a probability of 3 in a million. Hashes beyond a bound go to temporary files, sorted.
#[derive(Debug, Default)]
pub(super) struct KeyCount {
    hashes: Vec<u64>,
    runs: Vec<File>,
    keys: u64,
    /// The key before, and whether each was above the one before it: then none came again, and
    /// nothing needs to be sorted.
    last: RowBuffer,
    is_unordered: bool,
}

/// Hashes in memory: 16 MiB.
const HASHES_MAX: usize = 2 * 1024 * 1024;
/// Runs that are open at once; more are merged into one.
const RUNS_MAX: usize = 64;

impl KeyCount {
    /// Takes the key of a row, whose columns stand at these positions. If it is known that it is above
    /// the one before it, [`last`](KeyCount::last) must be told the last such key.
    pub(super) fn add(
        &mut self,
        row: &BufferedRow<'_>,
        positions: &[usize],
        is_above: bool,
    ) -> io::Result<()> {
        self.hashes.push(match *positions {
            // A key of one number stands for itself.
            [position] if let Cell::I64(number) = row.get(position) => number.cast_unsigned(),
            _ => {
                let mut hasher = DefaultHasher::new();
                for position in positions {
                    hash(row.get(*position), &mut hasher);
                }
                hasher.finish()
            }
        });
        if !is_above {
            self.look_at_order(row, positions);
        }
        self.keys += 1;
        if self.hashes.len() >= HASHES_MAX { self.spill() } else { Ok(()) }
    }

    /// Returns how many of the keys had come before.
    pub(super) fn duplicates(mut self) -> io::Result<u64> {
        if !self.is_unordered {
            return Ok(0);
        }
        let mut distinct = 0;
        self.merge(|_| {
            distinct += 1;
            Ok(())
        })?;
        Ok(self.keys - distinct)
    }

    fn look_at_order(&mut self, row: &BufferedRow<'_>, positions: &[usize]) {
        if self.is_unordered {
            return;
        }
        if let Some(last) = self.last.row(0) {
            let orders = positions.iter().enumerate();
            let order = orders
                .map(|(at, position)| row.get(*position).sort_order(last.get(at)))
                .find(|order| order.is_ne());
            self.is_unordered = !order.is_some_and(std::cmp::Ordering::is_gt);
        }
        self.last(row, positions);
    }

    /// Keeps the key of a row, to be compared with the next.
    pub(super) fn last(&mut self, row: &BufferedRow<'_>, positions: &[usize]) {
        if self.last.width() != positions.len() {
            self.last = RowBuffer::new(positions.len());
        }
        self.last.clear();
        for position in positions {
            // A key that does not fit a buffer does not fit a store; the order is then unknown.
            self.is_unordered |= self.last.cell(row.get(*position)).is_err();
        }
    }

    /// Writes the hashes to a file. Repetitions within it are already dropped there.
    fn spill(&mut self) -> io::Result<()> {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let mut run = BufWriter::new(tempfile::tempfile()?);
        for hash in self.hashes.drain(..) {
            run.write_all(&hash.to_le_bytes())?;
        }
        self.runs.push(run.into_inner()?);
        if self.runs.len() >= RUNS_MAX {
            let mut merged = BufWriter::new(tempfile::tempfile()?);
            self.merge(|hash| merged.write_all(&hash.to_le_bytes()))?;
            self.runs = vec![merged.into_inner()?];
        }
        Ok(())
    }

    /// Hands out the distinct hashes of all runs and of memory, in order.
    fn merge(&mut self, mut take: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
        self.hashes.sort_unstable();
        let mut runs: Vec<Box<dyn Iterator<Item = io::Result<u64>>>> = Vec::new();
        for mut file in self.runs.drain(..) {
            file.seek(SeekFrom::Start(0))?;
            let mut reader = BufReader::new(file);
            runs.push(Box::new(std::iter::from_fn(move || next_hash(&mut reader))));
        }
        runs.push(Box::new(self.hashes.drain(..).map(Ok)));
        let mut heads: Vec<Option<u64>> =
            runs.iter_mut().map(|run| run.next().transpose()).collect::<io::Result<_>>()?;
        let mut last = None;
        // A handful of runs: looking at all heads is as good as a heap.
        while let Some((at, hash)) = smallest(&heads) {
            heads[at] = runs[at].next().transpose()?;
            if last != Some(hash) {
                last = Some(hash);
                take(hash)?;
            }
        }
        Ok(())
    }
}

fn next_hash(reader: &mut impl Read) -> Option<io::Result<u64>> {
    let mut bytes = [0; 8];
    match reader.read_exact(&mut bytes) {
        Ok(()) => Some(Ok(u64::from_le_bytes(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => Some(Err(error)),
    }
}

fn smallest(heads: &[Option<u64>]) -> Option<(usize, u64)> {
    let heads = heads.iter().enumerate();
    heads.filter_map(|(at, hash)| hash.map(|hash| (at, hash))).min_by_key(|(_, hash)| *hash)
}

/// Columns of a key have one type each, so the value alone tells keys apart.
fn hash(cell: Cell<'_>, hasher: &mut DefaultHasher) {
    match cell {
        Cell::I64(value) => value.hash(hasher),
        Cell::Text(value) => value.hash(hasher),
        Cell::Bytes(value) => value.hash(hasher),
        Cell::Uuid(value) => value.hash(hasher),
        Cell::Date(value) => value.hash(hasher),
        Cell::Timestamp(value) => value.hash(hasher),
        // A key of a found table may be of another type; its text tells equal values apart.
        other => other.to_string().hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use sora::Value;

    use super::*;

    fn count(keys: impl Iterator<Item = i64>, spill_at: &[usize]) -> u64 {
        let mut count = KeyCount::default();
        for (place, key) in keys.enumerate() {
            let mut rows = RowBuffer::new(2);
            rows.push(&vec![Value::Null, Value::I64(key)]).expect("a row");
            count.add(&rows.row(0).expect("a row"), &[1], false).expect("added");
            if spill_at.contains(&place) {
                count.spill().expect("spilled");
            }
        }
        count.duplicates().expect("counted")
    }

    #[test]
    fn an_order_that_is_known_is_not_looked_at() {
        let mut rows = RowBuffer::new(1);
        for key in [1, 2, 3, 3, 4] {
            rows.push(&vec![Value::I64(key)]).expect("a row");
        }
        for (second, duplicates) in [(3, 1), (4, 0)] {
            let mut count = KeyCount::default();
            for (place, is_above) in [(0, false), (1, true), (2, true), (second, false)] {
                let row = rows.row(place).expect("a row");
                count.add(&row, &[0], is_above).expect("added");
                count.last(&row, &[0]);
            }
            assert_eq!(count.duplicates().expect("counted"), duplicates);
        }
    }

    #[test]
    fn keys_that_come_again_are_counted_across_runs() {
        assert_eq!(count([].into_iter(), &[]), 0);
        assert_eq!(count(0..1_000, &[]), 0);
        assert_eq!(count((0..1_000).rev(), &[]), 0);
        assert_eq!(count((0..1_000).chain([999]), &[]), 1);
        assert_eq!(count((0..1_000).chain([0]), &[]), 1);
        assert_eq!(count([1, 2, 1, 1].into_iter(), &[]), 2);
        assert_eq!(count([1, 2, 1, 1].into_iter(), &[0, 2]), 2);
        assert_eq!(count((0..3_000).map(|key| key % 1_000), &[500, 1_500, 2_500]), 2_000);
        let spills: Vec<usize> = (0..3 * RUNS_MAX).map(|place| place * 10).collect();
        assert_eq!(count((0..3_000).map(|key| key / 2), &spills), 1_500);
    }
}
