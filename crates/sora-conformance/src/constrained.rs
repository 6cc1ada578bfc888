//! Stores that do less, honestly: what Sora does itself must give the same.

use std::sync::Arc;

use sora_core::plan::{Negotiation, Support};
use sora_core::provider::{
    Administer, Administered, BoxFuture, Capability, Isolation, Layer, Provider, Savepoint,
    Session, SessionOptions, SharedProvider,
};
use sora_core::read::{Access, Output, Read, ReadReport};
use sora_core::write::{Change, Target, Write, WriteReport};
use sora_core::{Error, ErrorKind, LiveTable, Predicate, Result, RowSink};

/// What a [`Constrained`] store still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All that the store inside does.
    Full,
    /// No pattern of text.
    Relational,
    /// No `AND`, `OR`, `NOT` and `IS` inside a term.
    ScalarOnly,
    /// Every filter, but keeping too many rows.
    FilterInexact,
    /// No filter.
    FilterNone,
    /// No sort.
    SortNone,
    /// No start behind a position.
    KeysetNone,
    /// Nothing that is computed over rows, and no limit of the rows that share a value.
    AggregateNone,
    /// All, but two rows or keys at a time.
    Small,
    /// Nothing but to hand out all rows, to find one by its key and to write one.
    Nothing,
}

/// A provider that does less than the one inside: it does not claim the rest, and refuses it.
#[derive(Clone, Debug)]
pub struct Constrained {
    inner: SharedProvider,
    profile: Profile,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 10] = [
        Self::Full,
        Self::Relational,
        Self::ScalarOnly,
        Self::FilterInexact,
        Self::FilterNone,
        Self::SortNone,
        Self::KeysetNone,
        Self::AggregateNone,
        Self::Small,
        Self::Nothing,
    ];

    /// How well a store of this profile decides a condition at most.
    fn filter_support(self, term: &Predicate) -> Support {
        let is_done = match self {
            Self::Full | Self::SortNone | Self::KeysetNone | Self::AggregateNone | Self::Small => {
                true
            }
            Self::FilterInexact => return Support::Inexact,
            Self::FilterNone | Self::Nothing => false,
            Self::Relational => !has_pattern(term),
            Self::ScalarOnly => !matches!(
                term,
                Predicate::And(_) | Predicate::Or(_) | Predicate::Not(_) | Predicate::Is { .. }
            ),
        };
        if is_done { Support::Exact } else { Support::Unsupported }
    }

    fn sorts(self) -> bool {
        !matches!(self, Self::SortNone | Self::Nothing)
    }

    fn limits_each(self) -> bool {
        self.sorts() && self != Self::AggregateNone
    }
}

impl Layer for Profile {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(Constrained::new(inner, *self))
    }
}

impl Constrained {
    /// Returns a store that does of another what a profile says.
    pub fn new(inner: SharedProvider, profile: Profile) -> Self {
        Self { inner, profile }
    }

    /// Returns the read as the store inside is asked it.
    fn admit_read(&self, read: &Read) -> Result<Read> {
        let capability = Provider::capability(self);
        let mut admitted = read.clone();
        admitted.filter = self.admit_filter(&read.filter)?;
        if !read.sort.is_empty() && !self.profile.sorts() {
            return Err(refused("sort"));
        }
        if read.after.is_some() && !capability.keyset {
            return Err(refused("start behind a position"));
        }
        if read.output == Output::Count && !capability.count {
            return Err(refused("count"));
        }
        if read.limit_each.is_some() && !self.profile.limits_each() {
            return Err(refused("limit the rows of each value"));
        }
        if matches!(read.output, Output::Aggregate(_)) && !capability.aggregates {
            return Err(refused("aggregate"));
        }
        if matches!(read.access, Access::Native(_)) && !capability.native {
            return Err(refused("run statements in a language of its own"));
        }
        if let Access::Keys(keys) = &read.access {
            check_max(keys.len(), capability.keys_max, "keys")?;
        }
        if !capability.residual {
            admitted.residual = Arc::default();
            admitted.rejected_max = None;
        }
        Ok(admitted)
    }

    fn admit_filter(&self, filter: &Arc<[Predicate]>) -> Result<Arc<[Predicate]>> {
        let is_refused = |term| self.profile.filter_support(term) == Support::Unsupported;
        if filter.iter().any(is_refused) {
            return Err(refused("decide the filter"));
        }
        if self.profile == Profile::FilterInexact {
            // All but the last condition: it keeps too much.
            return Ok(filter[..filter.len().saturating_sub(1)].into());
        }
        Ok(filter.clone())
    }

    /// Returns the write as the store inside is asked it.
    fn admit_write(&self, write: &Write) -> Result<Write> {
        let capability = Provider::capability(self);
        if write.returning.is_some() && !capability.returning {
            return Err(refused("return rows"));
        }
        if write.atomic && write.change.len() > 1 && !capability.atomic_writes {
            return Err(refused("write several rows all or none"));
        }
        let mut admitted = write.clone();
        match &mut admitted.change {
            Change::Insert { rows, .. } | Change::Update { rows, .. } => {
                check_max(rows.len(), capability.rows_max, "rows")?;
            }
            Change::Patch { target: Target { keys, filter }, .. }
            | Change::Delete { target: Target { keys, filter }, .. } => {
                if let Some(keys) = keys {
                    check_max(keys.len(), capability.keys_max, "keys")?;
                } else if self.profile == Profile::FilterInexact && !filter.is_empty() {
                    return Err(refused("write exactly the rows that meet the filter"));
                }
                *filter = self.admit_filter(filter)?;
            }
            Change::Native(_) if capability.native => {}
            _ => return Err(refused("do this change")),
        }
        Ok(admitted)
    }
}

impl Provider for Constrained {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capability(&self) -> Capability {
        let mut capability = self.inner.capability();
        match self.profile {
            Profile::Nothing => {
                let read_only = capability.read_only;
                capability = Capability::NONE;
                capability.read_only = read_only;
            }
            Profile::Small => {
                capability.keys_max = capability.keys_max.min(2);
                capability.rows_max = capability.rows_max.min(2);
            }
            Profile::AggregateNone => {
                capability.aggregates = false;
                capability.count = false;
            }
            Profile::FilterNone => capability.residual = false,
            Profile::KeysetNone | Profile::SortNone => capability.keyset = false,
            _ => {}
        }
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
        for term in ask.terms_mut() {
            let support = term.support().min(self.profile.filter_support(term.predicate()));
            term.set(support);
        }
        if !self.profile.sorts() {
            ask.set_sort(Support::Unsupported);
        }
        if !self.profile.limits_each() {
            ask.set_limit_each(Support::Unsupported);
        }
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        self.inner.read(&self.admit_read(read)?, sink).await
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        self.inner.write(&self.admit_write(write)?, sink).await
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        self.inner.describe(table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        self.inner.administer(task).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        if !Provider::capability(self).transactions {
            return Err(refused("open a transaction"));
        }
        let inner = self.inner.open(options).await?;
        Ok(Box::new(ConstrainedSession { store: self.clone(), inner }))
    }
}

#[derive(Debug)]
struct ConstrainedSession {
    store: Constrained,
    inner: Box<dyn Session>,
}

impl Session for ConstrainedSession {
    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        Box::pin(async move { self.inner.read(&self.store.admit_read(read)?, sink).await })
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        Box::pin(async move { self.inner.write(&self.store.admit_write(write)?, sink).await })
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        self.inner.savepoint(step)
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.inner.commit()
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.inner.rollback()
    }
}

fn has_pattern(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Like { .. } => true,
        Predicate::Not(operand) | Predicate::Is { operand, .. } => has_pattern(operand),
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().any(has_pattern),
        _ => false,
    }
}

fn check_max(count: usize, max: usize, what: &str) -> Result<()> {
    if count <= max {
        return Ok(());
    }
    let message = format!("one call takes at most {max} {what}, not {count}");
    Err(Error::new(ErrorKind::Limit, message))
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this store does not {what}"))
}
