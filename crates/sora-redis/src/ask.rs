//! What a server is asked about one name, and what it says.

use bytes::Bytes;
use redis::ServerError;
use sora_core::remote::{Slot, Token};
use sora_core::{Error, ErrorKind, Result};

use crate::failure;
use crate::few::Few;
use crate::held::{Held, Run};
use crate::name::Key;

/// What is asked about one name.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) key: Key,
    pub(crate) what: What,
    /// Goes in a command of its own: one name of several may have moved.
    pub(crate) is_alone: bool,
    /// Goes to the node that a slot moves to.
    pub(crate) is_asking: bool,
}

#[derive(Debug)]
pub(crate) enum What {
    Fetch,
    Lease {
        token: Token,
        time_ms: u64,
    },
    /// A lease of what another run left.
    Take {
        token: Token,
        time_ms: u64,
    },
    Fill {
        token: Token,
        value: Vec<u8>,
        time_to_live_ms: u64,
    },
    Release {
        token: Token,
    },
    Remove,
    Block {
        time_ms: u64,
    },
    Count,
    /// A counter that is not there.
    Make,
    Bump,
}

/// What is said about one name.
#[derive(Debug)]
pub(crate) enum Answer {
    Slot(Slot),
    /// What a key holds, and the run that looked it up: read where it is wanted, so that what is copied
    /// is freed by whom it was allocated.
    Text(Run, Bytes),
    /// What another run of a server was told.
    Stale,
    Filled(bool),
    Counter(Option<u64>),
    Done,
    Failed(ServerError),
    /// Nothing that a Redis server answers.
    Odd,
}

/// What was asked, and what was said of each.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) asks: Few<Ask>,
    pub(crate) answers: Few<Answer>,
}

impl Ask {
    pub(crate) fn new(key: Key, what: What) -> Self {
        Self { key, what, is_alone: false, is_asking: false }
    }

    /// Whether it changes what the server holds.
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.what, What::Fetch | What::Count)
    }
}

impl Answer {
    pub(crate) fn slot(&self) -> Result<Slot> {
        match self {
            Self::Slot(slot) => Ok(slot.clone()),
            Self::Text(run, held) => Ok(match run.read(held) {
                Held::Slot(slot) => slot,
                Held::Stale => Slot::Empty,
            }),
            Self::Stale => Ok(Slot::Empty),
            other => Err(other.error()),
        }
    }

    pub(crate) fn filled(self) -> Result<bool> {
        match self {
            Self::Filled(filled) => Ok(filled),
            other => Err(other.error()),
        }
    }

    pub(crate) fn counter(self) -> Result<Option<u64>> {
        match self {
            Self::Counter(number) => Ok(number),
            other => Err(other.error()),
        }
    }

    pub(crate) fn done(self) -> Result<()> {
        match self {
            Self::Done => Ok(()),
            other => Err(other.error()),
        }
    }

    fn error(&self) -> Error {
        match self {
            Self::Failed(error) => failure::of_server(error),
            _ => Error::new(ErrorKind::Store, "what the server said is no answer of Redis"),
        }
    }
}
