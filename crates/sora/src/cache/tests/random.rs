//! Random writes by all ways, and look-ups that must give what the store has.

use super::*;
use crate::CacheMode;

/// As many keys as meet often.
const KEYS: i64 = 12;

#[tokio::test]
async fn whatever_is_written_the_cache_gives_what_the_store_has() {
    for address in ["memory:", "sqlite::memory:"] {
        for seed in 0..8u64 {
            history(address, seed, 300).await;
        }
    }
}

async fn history(address: &str, seed: u64, steps: u64) {
    if address.starts_with("sqlite") && !cfg!(feature = "sqlite") {
        return;
    }
    let bench = Bench::new(address, CachePolicy::new()).await;
    let mut lots = Lots(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for step in 0..steps {
        let way = lots.below(12);
        // A write may fail for its unique name: the cache must be true then as well.
        drop(write(&bench, way, &mut lots).await);
        let keys: Vec<i64> = (0..KEYS).collect();
        let direct = bench.items.cache_mode(CacheMode::Bypass);
        let expected = direct.get_many(keys.clone()).await.expect("look-ups");
        let at = format!("{address}, seed {seed}, step {step}, way {way}");
        if lots.below(2) == 0 {
            assert_eq!(bench.items.get_many(keys).await.expect("look-ups"), expected, "{at}");
        } else {
            for (id, expected) in (0..KEYS).zip(expected) {
                assert_eq!(bench.items.get(id).await.expect("a look-up"), expected, "{at}");
            }
        }
    }
    let numbers = bench.numbers();
    assert!(numbers.hits > 500, "the cache is used: {numbers:?}");
}

async fn write(bench: &Bench, way: u64, lots: &mut Lots) -> crate::Result<()> {
    let items = &bench.items;
    let id = lots.key();
    let row = Item { id, name: format!("n{}", lots.key()), count: lots.key() };
    match way {
        0 => items.insert(&row).await.map(drop),
        1 => items.insert_or_ignore(&row).await.map(drop),
        2 => items.upsert(&row).await.map(drop),
        3 => items.upsert_on("items_name_key", &row).await.map(drop),
        4 => items.update(&row).await.map(drop),
        5 => items.patch(id, [Item::COUNT.add(1)]).await.map(drop),
        6 => items.delete(id).await.map(drop),
        7 => items.patch_where(Item::COUNT.lt(row.count), [Item::COUNT.add(1)]).await.map(drop),
        8 => items.delete_where(Item::COUNT.gt(row.count + 8)).await.map(drop),
        9 => {
            let batch = items.batch().upsert(&row).delete(lots.key());
            batch.patch(lots.key(), [Item::COUNT.add(2)]).commit().await.map(drop)
        }
        10 => {
            let tx = bench.store.begin().await?;
            let inside = items.within(&tx);
            inside.upsert(&row).await?;
            inside.delete(lots.key()).await?;
            if lots.below(3) == 0 { tx.rollback().await } else { tx.commit().await }
        }
        _ => {
            let rows = [item(lots.key()), row, item(lots.key())];
            items.upsert_many(rows).await.map(drop)
        }
    }
}

/// Xorshift: see Marsaglia, "Xorshift RNGs", 2003.
struct Lots(u64);

impl Lots {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn key(&mut self) -> i64 {
        self.below(KEYS.unsigned_abs()).cast_signed()
    }
}
