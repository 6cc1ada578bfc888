//! What was imported into which table: the table `_sora_imports`, written through Sora like any
//! other.

use sora::{Entity, ErrorKind, Filter, Repository, Sora, Timestamp};

use crate::clock;
use crate::failure::{Failure, Outcome};

/// One import of one file into one table.
#[derive(Clone, Debug, Entity)]
#[sora(table = "_sora_imports", index(table_name, content))]
pub(crate) struct Entry {
    /// The table, by its exact name.
    #[sora(key)]
    pub(crate) table_name: String,
    /// Counts the imports into the table.
    #[sora(key)]
    pub(crate) number: i64,
    /// The BLAKE3 hash of the file.
    pub(crate) content: String,
    /// The options that decide what the file's content means.
    pub(crate) settings: String,
    /// What the file was called.
    pub(crate) source: String,
    /// The column that numbers the rows, if the file had no key.
    pub(crate) row_column: Option<String>,
    /// The number of the first row. The range of numbers is taken before the first row is written.
    pub(crate) first_row: Option<i64>,
    /// The records of the file.
    pub(crate) lines: i64,
    /// The records that could not be imported.
    pub(crate) failed: i64,
    /// How far it has come: one of [`State`].
    pub(crate) state: String,
    /// When it was begun.
    pub(crate) started_at: Timestamp,
    /// When it was complete.
    pub(crate) finished_at: Option<Timestamp>,
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// All lines were written or reported.
    Complete,
    /// It was begun; what it has written may be a part.
    Incomplete,
    /// The rows before it may not be deleted yet.
    Replacing,
}

/// The entries of one table.
#[derive(Debug)]
pub(crate) struct Ledger {
    entries: Repository<Entry>,
    table: String,
}

impl Ledger {
    /// Opens the ledger for a table, if there is one.
    pub(crate) async fn find(store: &Sora, table: &str) -> Outcome<Option<Self>> {
        match store.repository().await {
            Ok(entries) => Ok(Some(Self { entries, table: table.into() })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the ledger for a table, and creates it if it is not there.
    pub(crate) async fn ensure(store: &Sora, table: &str) -> Outcome<Self> {
        store.ensure_schema::<Entry>().await?;
        Ok(Self { entries: store.repository().await?, table: table.into() })
    }

    /// Returns the last import of a content by the same settings.
    pub(crate) async fn same(&self, content: &str, settings: &str) -> Outcome<Option<Entry>> {
        let same = self.all() & Entry::CONTENT.eq(content) & Entry::SETTINGS.eq(settings);
        Ok(self.entries.query(same).sort(Entry::NUMBER.desc()).first().await?)
    }

    /// Returns the last import that numbered its rows. Its numbers are the largest.
    pub(crate) async fn last_numbered(&self) -> Outcome<Option<Entry>> {
        let numbered = self.all() & Entry::FIRST_ROW.is_not_null();
        Ok(self.entries.query(numbered).sort(Entry::NUMBER.desc()).first().await?)
    }

    /// Returns the number that comes behind those of all imports.
    pub(crate) async fn next_number(&self) -> Outcome<i64> {
        let last = self.entries.query(self.all()).sort(Entry::NUMBER.desc()).first().await?;
        Ok(last.map_or(1, |last| last.number + 1))
    }

    /// Whether there is this import and no other.
    pub(crate) async fn is_only(&self, entry: &Entry) -> Outcome<bool> {
        let others = self.all() & Entry::NUMBER.ne(entry.number);
        Ok(!self.entries.query(others).exists().await?)
    }

    /// Whether an import was interrupted before it had deleted the rows that it replaces.
    pub(crate) async fn is_replacing(&self) -> Outcome<bool> {
        let replacing = self.all() & Entry::STATE.eq(State::Replacing.name());
        Ok(self.entries.query(replacing).exists().await?)
    }

    /// Adds an import. Its number was found before everything else in it, so that two imports that
    /// begin at one moment do not both go by what was there before.
    pub(crate) async fn begin(&self, entry: Entry) -> Outcome<Entry> {
        match self.entries.insert(entry).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Err(Failure::failed(format!(
                "another import into the table {:?} began at the same moment; run this one again",
                self.table
            ))),
            entry => Ok(entry?),
        }
    }

    /// Forgets all imports but a new one, in one transaction.
    pub(crate) async fn restart(&self, entry: Entry) -> Outcome<Entry> {
        let old = self.entries.query(self.all()).fetch().await?;
        let mut batch = self.entries.batch().insert(entry.clone());
        for old in &old {
            batch = batch.delete((&*old.table_name, old.number));
        }
        batch.commit().await?;
        Ok(entry)
    }

    fn all(&self) -> Filter<Entry> {
        Entry::TABLE_NAME.eq(&*self.table)
    }

    /// Writes how far an import has come.
    pub(crate) async fn set(&self, entry: &mut Entry, state: State) -> Outcome {
        entry.state = state.name().into();
        entry.finished_at = (state == State::Complete).then(clock::now);
        *entry = self.entries.update(entry).await?;
        Ok(())
    }
}

impl Entry {
    /// How far it has come. What another version may have written there is not complete.
    pub(crate) fn state(&self) -> State {
        [State::Complete, State::Replacing]
            .into_iter()
            .find(|state| state.name() == self.state)
            .unwrap_or(State::Incomplete)
    }
}

impl State {
    /// The word that stands for it in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Replacing => "replacing",
        }
    }
}
