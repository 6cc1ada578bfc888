//! Transactions.

use crate::company::CompanyLie;
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
    lie(
        "a savepoint keeps what it should undo",
        "a savepoint that is gone back to undoes what was written behind it",
        SessionLie::SavepointKeeps,
    ),
    lie(
        "a savepoint undoes what it should keep",
        "a savepoint that is forgotten keeps what was written behind it",
        SessionLie::SavepointUndoes,
    ),
    lie(
        "a session writes that should only read",
        "a session that only reads refuses writes",
        SessionLie::IgnoresReadOnly,
    ),
    lie(
        "a session is isolated less than asked",
        "a session is isolated at least as asked",
        SessionLie::IsWeak,
    ),
    lie(
        "a read that is given up ends its session",
        "a session goes on behind a read that was given up",
        SessionLie::BreaksGivenUp,
    ),
    Lie {
        name: "claims one writer and has many",
        line: "a session that writes keeps others waiting, or not, as declared",
        session: SessionLie::InCompany(CompanyLie::None),
        ..Lie::NONE
    },
    company(
        "a session sees what another writes",
        "what a session has not committed no other session sees",
        CompanyLie::Dirty,
    ),
    company(
        "a session sees what another commits",
        "a repeatable read sees nothing that was committed since",
        CompanyLie::Unrepeatable,
    ),
    company(
        "a session overwrites what another has committed",
        "a repeatable read loses no update",
        CompanyLie::LosesUpdates,
    ),
    company(
        "a session writes by what another has changed",
        "serializable sessions do as one after another",
        CompanyLie::Skews,
    ),
];

const fn company(name: &'static str, line: &'static str, told: CompanyLie) -> Lie {
    Lie {
        name,
        line,
        capability: |capability| capability.writer_wait_ms = None,
        session: SessionLie::InCompany(told),
        ..Lie::NONE
    }
}

const fn lie(name: &'static str, line: &'static str, session: SessionLie) -> Lie {
    Lie { name, line, session, ..Lie::NONE }
}
