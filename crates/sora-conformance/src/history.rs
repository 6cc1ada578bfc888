//! Random histories of writes: every store reports and holds what the in-memory one does.

mod generate;

use std::fmt;
use std::sync::Arc;

use sora_core::Result;
use sora_core::memory::Memory;
use sora_core::provider::{Provider, Session, SessionOptions, SharedProvider};
use sora_core::write::{Write, WriteReport};

use self::generate::{Change, schema};
use crate::random::Random;
use crate::report::Stop;
use crate::store::{Cells, Fixture, Rows, Store, sorted, words};

/// What came of random writes to a store.
#[derive(Debug)]
pub struct History {
    seed: u64,
    writes: u64,
    /// Writes that not every row of was written.
    partial: u64,
    sessions: u64,
    failure: Option<String>,
}

/// Does so many random writes to a store and to the in-memory one, inside transactions and outside,
/// and compares reports, returned rows and tables after each; `make` gives an empty store.
///
/// Equal seeds do equal writes.
pub async fn history<P, F>(make: impl Fn() -> F, seed: u64, writes: u64) -> History
where
    P: Provider,
    F: Future<Output = P>,
{
    let mut history = History { seed, writes: 0, partial: 0, sessions: 0, failure: None };
    let mut random = Random::new(seed);
    let mut table = 0;
    while history.writes < writes && history.failure.is_none() {
        let found = Store::new(Arc::new(make().await) as SharedProvider);
        let expected = Store::new(Arc::new(Memory::new()) as SharedProvider);
        let pair = Pair::new(&found, &expected, &mut random, table).await;
        let told = match pair {
            Ok(mut pair) => pair.write_many(&mut history, &mut random, writes).await,
            Err(why) => Err(why),
        };
        history.failure = told.err();
        table += 1;
    }
    history
}

/// Writes to one table.
const WRITES: u64 = 200;

/// The same table in two stores.
struct Pair<'s> {
    found: Fixture<'s>,
    expected: Fixture<'s>,
}

/// A transaction in both stores.
struct Sessions {
    found: Box<dyn Session>,
    expected: Box<dyn Session>,
}

/// What a write gave.
#[derive(Debug, PartialEq)]
struct Told {
    outcomes: Vec<String>,
    affected: u64,
    returned: Vec<Cells>,
}

impl<'s> Pair<'s> {
    async fn new(
        found: &'s Store,
        expected: &'s Store,
        random: &mut Random,
        number: u64,
    ) -> Result<Self, String> {
        let schema = schema(random, number).map_err(|error| error.to_string())?;
        let why = |stop: Stop| format!("the table cannot be made: {stop:?}");
        let found = found.table(schema.clone()).await.map_err(why)?;
        let expected = expected.table(schema).await.map_err(why)?;
        Ok(Self { found, expected })
    }

    async fn write_many(
        &mut self,
        history: &mut History,
        random: &mut Random,
        writes: u64,
    ) -> Result<(), String> {
        let mut left = WRITES.min(writes - history.writes);
        while left > 0 {
            let has_sessions = self.found.store.capability().transactions;
            let in_session = has_sessions && random.percent(20);
            let count = if in_session { 1 + random.below(4) as u64 } else { 1 }.min(left);
            left -= count;
            history.writes += count;
            let mut sessions = None;
            if in_session {
                history.sessions += 1;
                sessions = Some(self.open().await.map_err(|error| error.to_string())?);
            }
            for _ in 0..count {
                self.write_one(history, random, sessions.as_mut()).await?;
            }
            if let Some(sessions) = sessions {
                end(sessions, random).await.map_err(|error| error.to_string())?;
                self.compare_rows(None, "the session").await?;
            }
        }
        Ok(())
    }

    async fn open(&self) -> Result<Sessions> {
        Ok(Sessions {
            found: self.found.store.provider.open(SessionOptions::default()).await?,
            expected: self.expected.store.provider.open(SessionOptions::default()).await?,
        })
    }

    async fn write_one(
        &self,
        history: &mut History,
        random: &mut Random,
        mut sessions: Option<&mut Sessions>,
    ) -> Result<(), String> {
        let before = match &mut sessions {
            Some(sessions) => self.expected.stored_in(&mut sessions.expected).await,
            None => self.expected.stored().await,
        };
        let before = before.map_err(|error| error.to_string())?;
        let change = Change::random(random, self.expected.schema());
        let what = || format!("{change}\n  on the rows {before:?}");
        let told = |fixture| change.write(fixture).map_err(|error| format!("{}: {error}", what()));
        let (found, expected) = (told(&self.found)?, told(&self.expected)?);
        let (found, expected) = match &mut sessions {
            Some(sessions) => (
                tell(&found, Some(&mut sessions.found), &self.found).await,
                tell(&expected, Some(&mut sessions.expected), &self.expected).await,
            ),
            None => {
                (tell(&found, None, &self.found).await, tell(&expected, None, &self.expected).await)
            }
        };
        let is_same = match (&found, &expected) {
            (Ok(found), Ok(expected)) => found.is_like(expected),
            (Err(found), Err(expected)) => found.kind() == expected.kind(),
            _ => false,
        };
        history.partial += u64::from(expected.as_ref().is_ok_and(|told| !told.is_whole()));
        if !is_same {
            return Err(format!("{}\n  expected {expected:?}\n  found    {found:?}", what()));
        }
        self.compare_rows(sessions, &what()).await
    }

    async fn compare_rows(
        &self,
        sessions: Option<&mut Sessions>,
        what: &str,
    ) -> Result<(), String> {
        let (found, expected) = match sessions {
            Some(sessions) => (
                self.found.stored_in(&mut sessions.found).await,
                self.expected.stored_in(&mut sessions.expected).await,
            ),
            None => (self.found.stored().await, self.expected.stored().await),
        };
        let text = |rows: Result<Vec<Cells>>| rows.map_err(|error| error.to_string());
        let (found, expected) = (text(found)?, text(expected)?);
        if found == expected {
            return Ok(());
        }
        Err(format!("{what}\n  expected the rows {expected:?}\n  found    the rows {found:?}"))
    }
}

async fn end(sessions: Sessions, random: &mut Random) -> Result<()> {
    let Sessions { found, expected } = sessions;
    match random.below(4) {
        0 => drop((found, expected)),
        1 => {
            found.rollback().await?;
            expected.rollback().await?;
        }
        _ => {
            found.commit().await?;
            expected.commit().await?;
        }
    }
    Ok(())
}

async fn tell(
    write: &Write,
    session: Option<&mut Box<dyn Session>>,
    fixture: &Fixture<'_>,
) -> Result<Told> {
    let mut rows = Rows::default();
    let report = match session {
        Some(session) => session.write(write, &mut rows).await?,
        None => fixture.store.provider.write(write, &mut rows).await?,
    };
    Ok(Told::new(write, &report, rows.0))
}

impl Told {
    fn new(write: &Write, report: &WriteReport, returned: Vec<Cells>) -> Self {
        // Rows found by a filter come in any order.
        let is_ordered = generate::has_order(&write.change);
        let returned = if is_ordered { returned } else { sorted(returned) };
        Self { outcomes: words(report), affected: report.affected, returned }
    }

    fn is_whole(&self) -> bool {
        let written = ["Inserted", "Updated", "Deleted"];
        self.outcomes.iter().all(|word| written.contains(&&**word))
    }

    /// Whether both say the same, as far as a store must tell.
    fn is_like(&self, expected: &Self) -> bool {
        let is_like = |(found, expected): (&String, &String)| {
            let is_written = expected == "Inserted" || expected == "Updated";
            found == expected || (found == "Upserted" && is_written)
        };
        self.affected == expected.affected
            && self.returned == expected.returned
            && self.outcomes.len() == expected.outcomes.len()
            && self.outcomes.iter().zip(&expected.outcomes).all(is_like)
    }
}

impl History {
    /// Whether both stores said and held the same all the time.
    pub fn is_equal(&self) -> bool {
        self.failure.is_none()
    }

    /// Prints what was written to stderr and accepts it.
    ///
    /// # Panics
    ///
    /// Panics with the first write that the stores differ in, and the rows before it.
    pub fn expect_equal(&self) {
        assert!(self.is_equal(), "{self}");
        eprintln!("{self}");
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, writes, partial, sessions, failure } = self;
        write!(
            f,
            "{writes} random writes (seed {seed}), {partial} of them with rows that were not written, in \
             {sessions} transactions and outside"
        )?;
        if let Some(failure) = failure {
            write!(f, "\nthe last gave something else than in memory:\n{failure}")?;
        }
        Ok(())
    }
}
