//! A counter never has a number again.

use sora_core::Result;
use sora_core::remote::{Remote as _, RemoteName, Token};
use sora_testbed::RedisOptions;

use crate::server::{connect, fill, key, lease, name, start, start_with};

#[tokio::test]
async fn counters_never_go_back() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let names = [name("a"), name("b")];
    let mut seen = Vec::new();
    let mut last = tier.counters(&names).await?;
    assert_eq!(tier.counters(&names).await?, last);
    for case in ["bumped", "evicted", "flushed", "foreign", "bumped twice"] {
        seen.push(last[0]);
        let both = match case {
            "bumped" => tier.bump(&names).await?,
            "evicted" => {
                redis.command(&["DEL", &key("a"), &key("b")]).expect("an answer");
                tier.counters(&names).await?
            }
            "flushed" => {
                redis.command(&["FLUSHALL"]).expect("an answer");
                tier.bump(&names).await?
            }
            "foreign" => {
                redis.command(&["MSET", &key("a"), "5", &key("b"), "x"]).expect("an answer");
                tier.counters(&names).await?
            }
            _ => {
                tier.bump(&names).await?;
                tier.bump(&names).await?
            }
        };
        assert!(both[0] > last[0] && both[1] > last[1], "{case}: {last:?} {both:?}");
        assert_eq!(tier.counters(&names).await?, both, "{case}");
        last = both;
    }
    assert!(!seen.contains(&last[0]));
    Ok(())
}

#[tokio::test]
async fn a_counter_of_older_data_is_another_one() -> Result<()> {
    let redis = start_with(&RedisOptions::new().persisted());
    let names: [RemoteName; 1] = [name("a")];
    let tier = connect(&redis.url()).await;
    let first = tier.counters(&names).await?;
    let old = redis.snapshot().expect("a snapshot");
    let second = tier.bump(&names).await?;
    drop(tier);
    redis.restart_with(&old).expect("restarts");
    let tier = connect(&redis.url()).await;
    let third = tier.counters(&names).await?;
    assert!(third[0] > second[0] && second[0] > first[0], "{first:?} {second:?} {third:?}");
    Ok(())
}

#[tokio::test]
async fn a_fill_reads_counters_and_makes_none() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let numbers = tier.counters(&[name("a")]).await?;
    lease(&tier, "k", Token(1)).await;
    let fills = || vec![fill("k", "v"), fill("other", "v")];
    let filled = tier.fill(fills(), Token(1), &[name("a"), name("b")]).await?;
    assert_eq!((filled.filled, filled.counters), (vec![true, false], vec![Some(numbers[0]), None]));
    let numbers = tier.bump(&[name("a")]).await?;
    let filled = tier.fill(fills(), Token(1), &[name("a")]).await?;
    assert_eq!((filled.filled, filled.counters), (vec![false, false], vec![Some(numbers[0])]));
    Ok(())
}
