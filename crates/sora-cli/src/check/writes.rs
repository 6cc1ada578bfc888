//! What the store as a whole claims: probed on a table of its own.

use std::sync::Arc;

use sora::provider::{Capability, SessionOptions, SharedProvider};
use sora::read::{Access, Output, Read};
use sora::write::{Change, OnConflict, Outcome as RowOutcome, Target, Write};
use sora::{
    Binding, Comparison, Error, ErrorKind, Intake, Predicate, Query, Result, RowBuffer, Schema,
    Sora, Sort, Stamp, Timestamp, Value,
};

use super::claims::{Claim, Claims, Verdict};
use super::rows::{Taken, texts};
use super::{probe_schema, undecided};
use crate::failure::Outcome;

/// The most rows that a probe writes: a store may claim to take more at once.
const ROWS_MAX: usize = 20_000;
/// The key of a row that is there.
const THERE: i64 = 1;
/// The key of a row that is not.
const ABSENT: i64 = -1;

/// The claims that [`probe`] looks at.
const PROBED: [&str; 8] = [
    "atomic_writes",
    "count",
    "keyset",
    "keys_max",
    "residual",
    "returning",
    "rows_max",
    "transactions",
];

/// Probes all claims about operations on a table that is empty before and after.
pub(super) async fn probe(store: &Sora, table: &str, claims: &mut Claims) -> Outcome {
    let schema = probe_schema(table)?;
    store.ensure(&schema).await?;
    let opened = store.table(table).await?;
    opened.delete_where(&Query::default()).await?;
    let binding = Arc::new(Binding::new(schema, opened.live())?);
    let ground = Ground::new(store.provider().clone(), binding);
    let capability = ground.provider.capability();
    claims.add(ground.rows_max().await);
    claims.add(ground.keys_max().await);
    let probes = [
        ("atomic_writes", capability.atomic_writes, ground.atomic_writes().await),
        ("count", capability.count, ground.count().await),
        ("keyset", capability.keyset, ground.keyset().await),
        ("residual", capability.residual, ground.residual().await),
        ("returning", capability.returning, ground.returning().await),
        ("transactions", capability.transactions, ground.transactions().await),
    ];
    for (name, claimed, found) in probes {
        claims.add(claim(name, claimed, found));
    }
    opened.delete_where(&Query::default()).await?;
    Ok(())
}

/// Tells what the store claims of operations, which nobody looks at.
pub(super) fn leave_out(capability: Capability, claims: &mut Claims) {
    for (name, claimed) in capability.facts() {
        if PROBED.contains(&name) {
            claims.add(Claim {
                subject: "store".into(),
                name: name.into(),
                claimed,
                found: String::new(),
                verdict: Verdict::Unprobed,
                note: "--write probes it in the store itself".into(),
            });
        }
    }
}

/// Probes that a store that was opened read-only refuses to write.
pub(super) async fn probe_read_only(provider: &SharedProvider, table: &str, claims: &mut Claims) {
    let refused = async {
        let mut found = provider.describe(Some(table)).await?;
        let live = found.pop().ok_or_else(|| wrong("the table of the probe is gone"))?;
        let schema = Arc::new(live.to_schema()?);
        let ground = Ground::new(provider.clone(), Arc::new(Binding::new(schema, Arc::new(live))?));
        let written = ground.insert([ABSENT], false).await;
        match written {
            Err(error) if error.kind() == ErrorKind::ReadOnly => Ok("a write is refused"),
            Err(error) => Err(error),
            Ok(_) => Err(wrong("a row was written")),
        }
    };
    let claimed = provider.capability().read_only;
    claims.add(claim("read_only", claimed, refused.await));
}

/// Leaves some rows in the table of the probes.
#[cfg(test)]
pub(super) async fn fill(store: &Sora, table: &str, rows: i64) -> Outcome {
    let opened = store.table(table).await?;
    let binding = Arc::new(Binding::new(opened.schema().clone(), opened.live())?);
    Ground::new(store.provider().clone(), binding).insert(1..=rows, true).await?;
    Ok(())
}

/// What a probe that a claim has passed says; an error is what was wrong.
type Probed = Result<&'static str>;

fn claim(name: &str, claimed: bool, probed: Probed) -> Claim {
    let (found, verdict, note) = match probed {
        Ok(note) => ("true", Verdict::Holds, note.to_owned()),
        // What is not claimed may be missing.
        Err(_) if !claimed => ("false", Verdict::Holds, "not claimed".into()),
        Err(error) => return undecided("store", name, claimed.to_string(), &error),
    };
    let (subject, name) = ("store".into(), name.into());
    Claim { subject, name, claimed: claimed.to_string(), found: found.into(), verdict, note }
}

/// The table of the probes.
struct Ground {
    provider: SharedProvider,
    binding: Arc<Binding>,
    columns: Arc<[u16]>,
}

impl Ground {
    fn new(provider: SharedProvider, binding: Arc<Binding>) -> Self {
        let columns = binding.schema().visible().collect();
        Self { provider, binding, columns }
    }

    fn schema(&self) -> &Arc<Schema> {
        self.binding.schema()
    }

    /// Writes as many rows at once as the store claims to take; they stay for the other probes.
    async fn rows_max(&self) -> Claim {
        let claimed = self.provider.capability().rows_max;
        let rows = claimed.clamp(1, ROWS_MAX);
        let last = THERE + i64::try_from(rows).unwrap_or(0);
        let probed = self.insert(THERE..last, false).await.and_then(|outcomes| {
            let applied =
                outcomes.iter().filter(|outcome| matches!(outcome, RowOutcome::Applied(_)));
            (applied.count() == rows && outcomes.len() == rows)
                .then_some(rows)
                .ok_or_else(|| wrong("not every row was applied"))
        });
        at_most("rows_max", claimed, probed)
    }

    /// Reads by as many keys at once as the store claims to take.
    async fn keys_max(&self) -> Claim {
        let claimed = self.provider.capability().keys_max;
        let keys = claimed.clamp(1, ROWS_MAX);
        let stored = self.provider.capability().rows_max.clamp(1, ROWS_MAX).min(keys);
        let last = THERE + i64::try_from(keys).unwrap_or(0);
        let probed = match self.keyed(THERE..last).await {
            Ok(rows) if rows.len() == stored => Ok(keys),
            Ok(rows) => Err(wrong(&format!("{} rows of {stored} came", rows.len()))),
            Err(error) => Err(error),
        };
        at_most("keys_max", claimed, probed)
    }

    async fn atomic_writes(&self) -> Probed {
        let conflict = self.insert([ABSENT, THERE], true).await;
        let is_refused = match conflict {
            Ok(outcomes) => outcomes.iter().any(|outcome| matches!(outcome, RowOutcome::Failed(_))),
            Err(error) => error.kind() == ErrorKind::Conflict,
        };
        let rows = self.keyed([ABSENT]).await?;
        (is_refused && rows.is_empty())
            .then_some("a conflict undid the row before it")
            .ok_or_else(|| wrong("a row stayed although another one of its write failed"))
    }

    async fn count(&self) -> Probed {
        let all = self.read(self.whole()).await?.len() as u64;
        let mut read = self.whole();
        read.output = Output::Count;
        let report = self.provider.read(&read, &mut Taken::new(0, 0)).await?;
        (report.count == Some(all))
            .then_some("as many as were read")
            .ok_or_else(|| wrong(&format!("{:?} instead of {all}", report.count)))
    }

    async fn keyset(&self) -> Probed {
        let mut read = self.whole();
        read.sort = Arc::from([Sort { column: 0, descending: true }]);
        let all = texts(&self.read(read.clone()).await?);
        let middle = all.len() / 2;
        let rows = i64::try_from(all.len() - middle).unwrap_or(0);
        // The keys run from 1, here from the largest.
        read.after = Some(Arc::from([Value::I64(rows)]));
        let behind = texts(&self.read(read).await?);
        (behind == all[middle + 1..])
            .then_some("the rows behind a place in the order")
            .ok_or_else(|| wrong("other rows than those behind the place"))
    }

    async fn residual(&self) -> Probed {
        let mut read = self.whole();
        let condition =
            Predicate::Compare { column: 0, comparison: Comparison::Less, value: Value::I64(6) };
        read.residual = Arc::from([condition]);
        let all = self.read(self.whole()).await?.len() as u64;
        let mut taken = Taken::new(self.columns.len(), usize::MAX);
        let report = self.provider.read(&read, &mut taken).await?;
        let passed = all.min(5);
        (taken.rows.len() as u64 == passed && report.rejected == all - passed)
            .then_some("rows are rejected where they are read")
            .ok_or_else(|| wrong(&format!("{} rows came through", taken.rows.len())))
    }

    async fn returning(&self) -> Probed {
        let mut write = self.write(self.rows([ABSENT])?, false);
        write.returning = Some(self.columns.clone());
        let mut taken = Taken::new(self.columns.len(), usize::MAX);
        self.provider.write(&write, &mut taken).await?;
        let stored = self.keyed([ABSENT]).await?;
        self.delete(ABSENT).await?;
        (stored.len() == 1 && texts(&stored) == texts(&taken.rows))
            .then_some("the row as it is stored")
            .ok_or_else(|| wrong("another row than the one that is stored"))
    }

    async fn transactions(&self) -> Probed {
        let read = self.keyed_read([ABSENT])?;
        let mut session = self.provider.open(SessionOptions::default()).await?;
        let write = self.write(self.rows([ABSENT])?, false);
        session.write(&write, &mut Taken::new(0, 0)).await?;
        let mut taken = Taken::new(self.columns.len(), usize::MAX);
        session.read(&read, &mut taken).await?;
        session.rollback().await?;
        let left = self.keyed([ABSENT]).await?;
        (taken.rows.len() == 1 && left.is_empty())
            .then_some("it sees its own writes, and a rollback undoes them")
            .ok_or_else(|| wrong("its own write was not seen, or stayed after a rollback"))
    }

    fn whole(&self) -> Read {
        Read::new(self.binding.clone(), self.columns.clone())
    }

    async fn read(&self, read: Read) -> Result<RowBuffer> {
        let mut taken = Taken::new(self.columns.len(), usize::MAX);
        self.provider.read(&read, &mut taken).await?;
        Ok(taken.rows)
    }

    async fn keyed(&self, keys: impl IntoIterator<Item = i64>) -> Result<RowBuffer> {
        self.read(self.keyed_read(keys)?).await
    }

    fn keyed_read(&self, keys: impl IntoIterator<Item = i64>) -> Result<Read> {
        let mut read = self.whole();
        read.access = Access::Keys(Arc::new(key_buffer(keys)?));
        Ok(read)
    }

    async fn delete(&self, key: i64) -> Result<()> {
        let target = Target::keys(Arc::new(key_buffer([key])?));
        let change = Change::Delete { target, version: None };
        let write = Write::new(self.binding.clone(), change);
        self.provider.write(&write, &mut Taken::new(0, 0)).await.map(drop)
    }

    async fn insert(
        &self,
        keys: impl IntoIterator<Item = i64>,
        atomic: bool,
    ) -> Result<Vec<RowOutcome>> {
        let write = self.write(self.rows(keys)?, atomic);
        Ok(self.provider.write(&write, &mut Taken::new(0, 0)).await?.outcomes)
    }

    fn write(&self, rows: RowBuffer, atomic: bool) -> Write {
        let change = Change::Insert {
            rows: Arc::new(rows),
            columns: self.columns.clone(),
            on_conflict: OnConflict::Fail,
        };
        let mut write = Write::new(self.binding.clone(), change);
        write.atomic = atomic;
        write
    }

    fn rows(&self, keys: impl IntoIterator<Item = i64>) -> Result<RowBuffer> {
        let mut intake = Intake::new(self.schema(), &self.columns, Stamp::New);
        for key in keys {
            intake.row(|out| row(key).iter().try_for_each(|value| out.cell(value.cell())))?;
        }
        Ok(intake.finish())
    }
}

/// The values of a row: some are null.
fn row(key: i64) -> [Value; 7] {
    let unless_null = |value: Value| if key % 5 == 0 { Value::Null } else { value };
    #[expect(clippy::cast_precision_loss, reason = "keys are small")]
    let float = key as f64 / 8.0;
    [
        Value::I64(key),
        unless_null(Value::I64(key % 7)),
        unless_null(Value::F64(float)),
        unless_null(sora::Decimal::new(key.into(), 2).map_or(Value::Null, Value::Decimal)),
        unless_null(Value::Text(format!("name {}", key % 11).into())),
        unless_null(Timestamp::from_micros(key).map_or(Value::Null, Value::Timestamp)),
        Value::Bool(key % 2 == 0),
    ]
}

fn key_buffer(keys: impl IntoIterator<Item = i64>) -> Result<RowBuffer> {
    let mut buffer = RowBuffer::new(1);
    for key in keys {
        buffer.push(&vec![Value::I64(key)])?;
    }
    Ok(buffer)
}

fn at_most(name: &str, claimed: usize, probed: Result<usize>) -> Claim {
    match probed {
        Ok(rows) => Claim {
            subject: "store".into(),
            name: name.into(),
            claimed: claimed.to_string(),
            found: rows.to_string(),
            verdict: Verdict::Holds,
            note: match rows < claimed {
                true => "as many at once; more were not tried".into(),
                false => "as many at once".into(),
            },
        },
        Err(error) => undecided("store", name, claimed.to_string(), &error),
    }
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::Data, what.to_owned())
}
