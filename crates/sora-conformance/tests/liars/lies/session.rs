//! Transactions.

use crate::provider::{Lie, SessionLie};

pub(crate) const LIES: &[Lie] = &[
    lie(
        "claims sessions and opens none",
        "sessions can be opened, or are refused",
        SessionLie::IsRefused,
    ),
    Lie {
        name: "does not claim sessions and opens them",
        line: "sessions can be opened, or are refused",
        capability: |capability| capability.transactions = false,
        ..Lie::NONE
    },
    lie(
        "a session reads what others see",
        "a session sees its own writes",
        SessionLie::ReadsOutside,
    ),
    lie(
        "a session writes where others see it",
        "nobody sees the writes of a session before its commit",
        SessionLie::WritesOutside,
    ),
    lie(
        "a commit loses the writes",
        "a commit keeps the writes of a session",
        SessionLie::CommitLoses,
    ),
    lie(
        "a rollback keeps the writes",
        "a rollback undoes the writes of a session",
        SessionLie::RollbackKeeps,
    ),
    lie(
        "a dropped session keeps its writes",
        "a dropped session undoes its writes",
        SessionLie::DropKeeps,
    ),
    lie(
        "a session ends with the first row that fails",
        "a row that fails in a session leaves the others alone",
        SessionLie::FailsForGood,
    ),
];

const fn lie(name: &'static str, line: &'static str, session: SessionLie) -> Lie {
    Lie { name, line, session, ..Lie::NONE }
}
