//! Those who are told what happens to names.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redis::{PushInfo, PushKind, Value};
use sora_core::remote::RemoteListener;
use tokio::sync::watch;

use crate::name;

/// The listeners of a tier. They are called by the task that reads a connection, in the order in which
/// the server says what happened.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    listeners: RwLock<Arc<Vec<Arc<dyn RemoteListener>>>>,
    /// Whether there is any.
    is_heard: AtomicBool,
    /// How many servers answer; changed while listeners are told, so that the last they hear is true.
    up: Mutex<usize>,
    /// Changes whenever a server begins or ceases to answer.
    changes: watch::Sender<u64>,
}

impl Ears {
    pub(crate) fn listen(&self, listener: &Arc<dyn RemoteListener>) {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut listeners).push(listener.clone());
        drop(listeners);
        self.is_heard.store(true, Ordering::SeqCst);
        listener.gap(*up > 0);
    }

    /// Whether anybody is told. What is sent from then on is tracked.
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::SeqCst)
    }

    /// Hears what a server says of itself.
    pub(crate) fn hear(&self, info: PushInfo) {
        if info.kind != PushKind::Invalidate {
            return;
        }
        let listeners = self.listeners();
        for told in info.data {
            match told {
                Value::Array(keys) => {
                    let keys = keys.iter().filter_map(|key| match key {
                        // Others are keys of somebody else that a command of theirs led us to.
                        Value::BulkString(key) => name::parse(key),
                        _ => None,
                    });
                    for (space, key) in keys {
                        listeners.iter().for_each(|listener| listener.changed(space, key));
                    }
                }
                // Of a server that was flushed, or one that says what is not understood.
                _ => listeners.iter().for_each(|listener| listener.changed_all()),
            }
        }
    }

    /// A server answers from now on.
    pub(crate) fn rise(&self) {
        self.tell(|up| *up += 1);
    }

    /// A server answers no more.
    pub(crate) fn fall(&self) {
        self.tell(|up| *up = up.saturating_sub(1));
    }

    /// Something may have happened that was not told.
    pub(crate) fn gap(&self) {
        self.tell(|_| ());
    }

    /// Lets those look who wait for a server, and no listener.
    pub(crate) fn note(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Whether any server answers.
    pub(crate) fn is_up(&self) -> bool {
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) > 0
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self, change: impl FnOnce(&mut usize)) {
        let mut up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut up);
        self.listeners().iter().for_each(|listener| listener.gap(*up > 0));
        drop(up);
        self.note();
    }

    fn listeners(&self) -> Arc<Vec<Arc<dyn RemoteListener>>> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
