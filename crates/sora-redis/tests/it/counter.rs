//! A counter never has a number again.

use sora_core::Result;
use sora_core::remote::{Remote as _, RemoteName};
use sora_testbed::RedisOptions;

use crate::server::{connect, key, name, start, start_with};

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
