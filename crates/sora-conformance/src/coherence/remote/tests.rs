use sora_core::{ErrorKind, Retry};

use super::*;

const LEASE_MS: u64 = 30_000;
const LONG_MS: u64 = 60_000;

/// What a listener has heard, as words.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl RemoteListener for Heard {
    fn changed(&self, space: &str, key: &[u8]) {
        self.put(format!("{space}/{}", String::from_utf8_lossy(key)));
    }

    fn changed_all(&self) {
        self.put("all".into());
    }

    fn gap(&self, up: bool) {
        self.put(format!("gap {up}"));
    }
}

impl Heard {
    fn put(&self, what: String) {
        self.0.lock().expect("no panic").push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

struct Node {
    tier: RemoteNode,
    heard: Arc<Heard>,
}

impl Node {
    fn new(remote: &SharedRemote, seed: u64) -> Self {
        let tier = remote.node(seed);
        let heard = Arc::new(Heard::default());
        tier.listen(heard.clone());
        assert_eq!(heard.take(), ["gap true"]);
        Self { tier, heard }
    }

    async fn fetch(&self, key: &str) -> Slot {
        self.tier.fetch(&[name(key)]).await.expect("an answer").remove(0)
    }

    async fn lease(&self, key: &str, token: u128) -> Slot {
        let leased = self.tier.lease(&[name(key)], Token(token), LEASE_MS).await;
        leased.expect("an answer").remove(0)
    }

    async fn fill(&self, key: &str, token: u128) -> bool {
        let value = token.to_string().into_bytes();
        let fill = Fill { name: name(key), value, time_to_live_ms: LONG_MS };
        self.tier.fill(vec![fill], Token(token), &[]).await.expect("an answer").filled[0]
    }

    async fn remove(&self, key: &str) {
        self.tier.remove(&[name(key)]).await.expect("done");
    }

    /// What it has heard, when all that is under way has come.
    async fn heard(&self) -> Vec<String> {
        sleep(Duration::from_secs(5)).await;
        self.heard.take()
    }
}

fn name(key: &str) -> RemoteName {
    RemoteName::new("s", key.as_bytes())
}

fn value(token: u128) -> Slot {
    Slot::Value(token.to_string().into_bytes())
}

fn pair(faults: RemoteFaults) -> (SharedRemote, Node, Node) {
    let remote = SharedRemote::new(faults);
    let (a, b) = (Node::new(&remote, 1), Node::new(&remote, 2));
    (remote, a, b)
}

#[tokio::test(start_paused = true)]
async fn a_fill_needs_its_lease() {
    let (remote, a, b) = pair(RemoteFaults::NONE);
    assert_eq!(a.fetch("k").await, Slot::Empty);
    assert!(!a.fill("k", 1).await, "nobody took a lease");
    assert_eq!(a.lease("k", 1).await, Slot::Leased(Token(1)));
    assert_eq!(b.lease("k", 2).await, Slot::Leased(Token(1)));
    assert!(!b.fill("k", 2).await, "it is another's");
    assert!(a.fill("k", 1).await);
    assert_eq!((b.fetch("k").await, b.lease("k", 2).await), (value(1), value(1)));
    assert!(!a.fill("k", 1).await, "the lease was used");

    // Removed meanwhile, and taken by another.
    b.remove("k").await;
    assert_eq!(a.lease("k", 3).await, Slot::Leased(Token(3)));
    b.remove("k").await;
    assert!(!a.fill("k", 3).await);
    assert_eq!(b.lease("k", 4).await, Slot::Leased(Token(4)));
    assert!(!a.fill("k", 3).await);
    b.tier.release(&[name("k")], Token(3)).await.expect("done");
    assert_eq!(a.fetch("k").await, Slot::Leased(Token(4)));
    b.tier.release(&[name("k")], Token(4)).await.expect("done");
    assert_eq!(a.fetch("k").await, Slot::Empty);

    // Its time is over.
    assert_eq!(a.lease("k", 5).await, Slot::Leased(Token(5)));
    sleep(Duration::from_millis(LEASE_MS)).await;
    assert_eq!(a.fetch("k").await, Slot::Empty);
    assert!(!a.fill("k", 5).await);
    assert_eq!((remote.numbers().fills, remote.numbers().fills_refused), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn a_block_stays_until_its_time() {
    let (_remote, a, b) = pair(RemoteFaults::NONE);
    assert_eq!(a.lease("k", 1).await, Slot::Leased(Token(1)));
    b.tier.block(&[name("k")], 500).await.expect("done");
    assert!(!a.fill("k", 1).await);
    b.remove("k").await;
    assert_eq!((a.fetch("k").await, a.lease("k", 2).await), (Slot::Blocked, Slot::Blocked));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(a.lease("k", 2).await, Slot::Leased(Token(2)));
}

#[tokio::test(start_paused = true)]
async fn counters_never_come_back_to_a_number() {
    let (remote, a, b) = pair(RemoteFaults::NONE);
    let names = [name("one"), name("two")];
    let first = a.tier.counters(&names).await.expect("numbers");
    assert_ne!(first[0], first[1]);
    assert_eq!(b.tier.counters(&names).await.expect("numbers"), first);
    let bumped = b.tier.bump(&names[..1]).await.expect("a number")[0];
    assert!(!first.contains(&bumped));
    assert_eq!(a.heard().await, ["s/one"]);
    assert_eq!(a.tier.counters(&names).await.expect("numbers"), [bumped, first[1]]);
    remote.restart();
    let anew = a.tier.counters(&names).await.expect("numbers");
    assert!(anew.iter().all(|number| *number != bumped && !first.contains(number)));
    assert_eq!(a.heard().await, ["gap false", "gap true"]);
}

#[tokio::test(start_paused = true)]
async fn who_has_read_a_name_hears_of_it_once() {
    let (_remote, a, b) = pair(RemoteFaults::NONE);
    // Nobody is told of his own writes, or of what was empty already.
    a.fetch("k").await;
    b.remove("k").await;
    assert_eq!(a.heard().await, [""; 0]);
    b.lease("k", 1).await;
    assert_eq!(a.heard().await, ["s/k"]);
    assert!(b.fill("k", 1).await);
    assert_eq!((a.heard().await.len(), b.heard().await.len()), (0, 0));
    // What is filled is told about, and an end by time to all.
    a.fetch("k").await;
    sleep(Duration::from_millis(LONG_MS)).await;
    b.fetch("other").await;
    assert_eq!((a.heard().await, b.heard().await), (vec!["s/k".into()], vec!["s/k".into()]));
    a.fetch("k").await;
    a.lease("k", 2).await;
    b.remove("k").await;
    assert_eq!(a.heard().await, [""; 0], "a lease is a write of one's own");
}

#[tokio::test(start_paused = true)]
async fn a_reply_brings_what_was_said_before() {
    let faults = RemoteFaults { push_delay_ms_max: 1_000_000, ..RemoteFaults::NONE };
    let (remote, a, b) = pair(faults);
    for key in ["one", "two", "three"] {
        b.lease(key, 1).await;
        assert_eq!(a.fetch(key).await, Slot::Leased(Token(1)));
    }
    a.heard.take();
    b.remove("one").await;
    b.remove("two").await;
    assert_eq!(a.heard.take(), [""; 0], "they are under way");
    assert_eq!(a.fetch("other").await, Slot::Empty);
    assert_eq!(a.heard.take(), ["s/one", "s/two"]);
    assert_eq!(remote.numbers().lost, 0);
}

#[tokio::test(start_paused = true)]
async fn messages_come_twice_and_in_another_order() {
    let faults =
        RemoteFaults { push_delay_ms_max: 100, duplicate_percent: 50, ..RemoteFaults::NONE };
    let (remote, a, b) = pair(faults);
    let keys: Vec<String> = (0..50).map(|key| format!("k{key:02}")).collect();
    for key in &keys {
        b.lease(key, 1).await;
        a.fetch(key).await;
    }
    a.heard.take();
    for key in &keys {
        b.remove(key).await;
    }
    let mut heard = a.heard().await;
    let numbers = remote.numbers();
    assert!(heard.len() > keys.len() && numbers.duplicated > 0 && numbers.reordered > 0);
    heard.sort();
    heard.dedup();
    assert_eq!(heard, keys.iter().map(|key| format!("s/{key}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_followed_by_a_gap_unless_it_is_broken() {
    for (flaw, expected) in [
        (None, vec!["gap false", "gap true"]),
        (Some(RemoteFlaw::LosesInSilence), vec![]),
        (Some(RemoteFlaw::FillsAlways), vec!["gap false", "gap true"]),
    ] {
        let (remote, a, b) = pair(RemoteFaults { lose_percent: 100, flaw, ..RemoteFaults::NONE });
        b.lease("k", 1).await;
        a.fetch("k").await;
        b.remove("k").await;
        sleep(Duration::from_millis(RemoteFaults::NONE.staleness_max_ms)).await;
        assert_eq!(a.heard().await, expected, "{flaw:?}");
        assert_eq!((remote.numbers().lost, remote.numbers().pushes), (1, 1));
        assert_eq!(a.fill("k", 9).await, flaw == Some(RemoteFlaw::FillsAlways));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_fails_calls_and_forgets_what_was_read() {
    let faults = RemoteFaults { delay_us_max: 10_000, ..RemoteFaults::NONE };
    let (_remote, a, b) = pair(faults);
    b.lease("k", 1).await;
    a.fetch("k").await;
    let down = Duration::from_millis(100);
    let (failed, ()) = tokio::join!(a.tier.fetch(&[]), async {
        tokio::task::yield_now().await;
        a.tier.cut(down);
    });
    assert_eq!(failed.expect_err("it was cut").kind(), ErrorKind::Unavailable);
    assert_eq!(a.heard.take(), ["gap false"]);
    let names = [name("k")];
    let error = a.tier.fetch(&names).await.expect_err("it is down");
    assert_eq!(error.retry(), Retry::Safe);
    b.remove("k").await;
    sleep(down).await;
    assert_eq!(a.heard.take(), ["gap true"]);
    assert_eq!(a.fetch("k").await, Slot::Empty);
    assert_eq!(a.heard().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_within_the_bound_that_is_told() {
    let faults = RemoteFaults { cut_percent: 100, down_ms_max: 100, ..RemoteFaults::NONE };
    let mut silent = 0;
    for seed in 0..32 {
        let remote = SharedRemote::new(faults);
        let node = Node::new(&remote, seed);
        let bound_ms = node.tier.capability().staleness_max_ms.expect("it tells");
        let failed = node.tier.fetch(&[]).await.map_err(|error| error.kind());
        silent += u32::from(failed == Err(ErrorKind::Timeout));
        sleep(Duration::from_millis(bound_ms)).await;
        assert_eq!(node.heard.take().first().map(String::as_str), Some("gap false"), "{seed}");
        assert_eq!(node.heard().await.last().map_or("gap true", |last| last), "gap true");
    }
    assert!(silent > 5, "{silent}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_hears_nothing_and_keeps_nothing() {
    let (remote, a, b) = pair(RemoteFaults::NONE);
    let heard = Arc::downgrade(&a.heard);
    b.lease("k", 1).await;
    a.fetch("k").await;
    drop(a);
    assert!(heard.upgrade().is_none());
    b.remove("k").await;
    remote.restart();
    assert_eq!(b.heard().await, ["gap false", "gap true"]);
}
