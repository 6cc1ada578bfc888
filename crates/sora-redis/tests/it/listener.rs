//! A listener that writes down what it hears.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora_core::remote::{Remote as _, RemoteListener};
use sora_redis::RedisTier;
use tokio::sync::watch;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Changed(String),
    ChangedAll,
    Gap(bool),
}

#[derive(Debug)]
pub(crate) struct Listener {
    heard: Mutex<Vec<Heard>>,
    count: watch::Sender<usize>,
}

impl Listener {
    pub(crate) fn on(tier: &RedisTier) -> Arc<Self> {
        let listener = Arc::new(Self { heard: Mutex::default(), count: watch::Sender::new(0) });
        tier.listen(listener.clone());
        listener
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }

    pub(crate) fn clear(&self) {
        self.heard.lock().expect("no panic").clear();
    }

    /// Waits until it has heard that, ever since it was cleared; a minute, so that a test that would
    /// never end fails.
    pub(crate) async fn wait(&self, expected: &Heard) {
        let mut count = self.count.subscribe();
        let waiting = async {
            while !self.heard().contains(expected) {
                count.changed().await.expect("it lives");
            }
        };
        let has_heard = tokio::time::timeout(Duration::from_mins(1), waiting).await.is_ok();
        assert!(has_heard, "it heard {:?}, never {expected:?}", self.heard());
    }

    pub(crate) async fn wait_changed(&self, key: &str) {
        self.wait(&Heard::Changed(key.into())).await;
    }

    fn put(&self, heard: Heard) {
        self.heard.lock().expect("no panic").push(heard);
        self.count.send_modify(|count| *count += 1);
    }
}

impl RemoteListener for Listener {
    fn changed(&self, space: &str, key: &[u8]) {
        assert_eq!(space, crate::server::SPACE);
        self.put(Heard::Changed(String::from_utf8(key.into()).expect("text")));
    }

    fn changed_all(&self) {
        self.put(Heard::ChangedAll);
    }

    fn gap(&self, up: bool) {
        self.put(Heard::Gap(up));
    }
}
