//! Filters, sorts, counts and places of a table that is there, beside what memory makes of its rows.

use std::sync::Arc;

use sora::plan::{Negotiation, Support};
use sora::provider::SharedProvider;
use sora::read::{Output, Read};
use sora::{
    Binding, Comparison, Error, FilterLimits, LiveTable, Pattern, Predicate, Result, RowBuffer,
    Schema, Sort, Type, Value,
};

use super::claims::{Claim, Claims, Verdict};
use super::rows::{Taken, filtered, sorted, texts};
use super::undecided;
use crate::output::one_line;

/// Rows of each table that are looked at, from the start of its key.
const SAMPLE_ROWS: usize = 2_000;
/// False claims that are listed for each table.
const LISTED_MAX: usize = 10;

/// Probes what the store claims to do of queries of a table.
pub(super) async fn probe(
    provider: &SharedProvider,
    live: LiveTable,
    name: &str,
    claims: &mut Claims,
) {
    let probed = async {
        let schema = Arc::new(live.to_schema()?);
        let binding = Arc::new(Binding::new(schema, Arc::new(live))?);
        let table = Probe::open(provider, binding).await?;
        let mut found = Claims::default();
        table.filters(name, &mut found).await?;
        table.sorts(name, &mut found).await?;
        table.count(name, &mut found).await?;
        table.keyset(name, &mut found).await?;
        Ok(found)
    };
    match probed.await {
        Ok(found) => found.iter().cloned().for_each(|claim| claims.add(claim)),
        Err(error) => {
            let mut claim = undecided(name, "readable", "true".into(), &error);
            if is_forbidden(&error) {
                // The store claims nothing of tables that are kept from this user.
                claim.verdict = Verdict::Unprobed;
            }
            claims.add(claim);
        }
    }
}

/// Whether the store refused because the user may not read the table.
fn is_forbidden(error: &Error) -> bool {
    // PostgreSQL's `insufficient_privilege`.
    error.context().any(|(name, value)| (name, value) == ("sqlstate", "42501"))
}

/// A table, and the rows of it that are known.
struct Probe<'a> {
    provider: &'a SharedProvider,
    binding: Arc<Binding>,
    /// All columns, hidden ones too, so that positions in rows are those of the schema.
    columns: Arc<[u16]>,
    sample: RowBuffer,
    /// Whether the sample is the whole table.
    is_whole: bool,
    /// The order of the sample, if the store sorts by the key.
    by_key: Vec<Sort>,
}

impl<'a> Probe<'a> {
    async fn open(provider: &'a SharedProvider, binding: Arc<Binding>) -> Result<Self> {
        let columns: Arc<[u16]> = (0u16..).take(binding.schema().columns().len()).collect();
        let mut by_key: Vec<Sort> = binding
            .schema()
            .key()
            .iter()
            .map(|column| Sort { column: *column, descending: false })
            .collect();
        let mut ask = Negotiation::new(binding.clone(), Vec::new(), by_key.clone());
        provider.negotiate(&mut ask);
        if ask.sort_support() != Support::Exact {
            by_key.clear();
        }
        let mut probe = Self {
            provider,
            columns,
            sample: RowBuffer::default(),
            is_whole: false,
            by_key,
            binding,
        };
        // One more tells whether there are more.
        let mut sample = probe.read(None, &probe.by_key, SAMPLE_ROWS + 1).await?;
        probe.is_whole = sample.len() <= SAMPLE_ROWS;
        sample.truncate(SAMPLE_ROWS);
        probe.sample = sample;
        Ok(probe)
    }

    /// Reads rows that meet a condition, none behind the sample.
    async fn read(
        &self,
        condition: Option<&Predicate>,
        sort: &[Sort],
        rows_max: usize,
    ) -> Result<RowBuffer> {
        let mut read = self.read_of(condition);
        read.sort = Arc::from(sort);
        let mut taken = Taken::new(self.columns.len(), rows_max);
        let last = self.sample.len().checked_sub(1).and_then(|last| self.sample.row(last));
        if let Some(last) = last.filter(|_| !self.is_whole && sort == self.by_key) {
            let positions: Vec<usize> = sort.iter().map(|by| by.column.into()).collect();
            let key = positions.iter().map(|at| last.get(*at).to_value()).collect();
            taken = taken.until(positions, key);
            read.filter = read.filter.iter().cloned().chain(self.bound(sort)).collect();
        }
        self.provider.read(&read, &mut taken).await?;
        Ok(taken.rows)
    }

    /// The condition that leaves out what is behind the sample, if the store decides it: then a
    /// filter that few rows meet does not make it look through all of a large table.
    fn bound(&self, sort: &[Sort]) -> Option<Predicate> {
        let column = sort.first()?.column;
        let last = self.sample.row(self.sample.len().checked_sub(1)?)?;
        let bound = Predicate::Compare {
            column,
            comparison: Comparison::LessOrEqual,
            value: last.get(column.into()).to_value(),
        };
        let mut ask = Negotiation::new(self.binding.clone(), vec![bound.clone()], Vec::new());
        self.provider.negotiate(&mut ask);
        (ask.terms().first()?.support() == Support::Exact).then_some(bound)
    }

    fn read_of(&self, condition: Option<&Predicate>) -> Read {
        let mut read = Read::new(self.binding.clone(), self.columns.clone());
        read.filter = condition.cloned().into_iter().collect();
        read
    }

    async fn filters(&self, name: &str, claims: &mut Claims) -> Result<()> {
        if self.by_key.is_empty() && !self.is_whole {
            claims.add(unprobed(name, "filters", "too many rows without an order"));
            return Ok(());
        }
        let schema = self.binding.schema();
        let (mut exact, mut inexact, mut none) = (0, 0, 0);
        let mut wrong = Vec::new();
        for condition in conditions(schema, &self.sample) {
            let Ok(condition) = condition.bind(schema, FilterLimits::default()) else { continue };
            let mut ask =
                Negotiation::new(self.binding.clone(), vec![condition.clone()], Vec::new());
            self.provider.negotiate(&mut ask);
            let support =
                ask.terms().first().map_or(Support::Unsupported, sora::plan::Term::support);
            match support {
                Support::Exact => exact += 1,
                Support::Inexact => inexact += 1,
                Support::Unsupported => {
                    none += 1;
                    continue;
                }
            }
            let found = self.read(Some(&condition), &self.by_key, usize::MAX).await?;
            let found = match support {
                Support::Exact => found,
                // What it leaves in is filtered again; what it leaves out is lost.
                _ => filtered(&found, &condition)?,
            };
            let expected = filtered(&self.sample, &condition)?;
            let (mut found, mut expected) = (texts(&found), texts(&expected));
            if self.by_key.is_empty() {
                found.sort_unstable();
                expected.sort_unstable();
            }
            if found != expected {
                let text = one_line(&condition.display(schema).to_string());
                let (found, expected) = (found.len(), expected.len());
                wrong.push((format!("{support:?}"), text, found, expected));
            }
        }
        claims.add(Claim {
            subject: name.into(),
            name: "filters".into(),
            claimed: format!("{exact} exact, {inexact} inexact"),
            found: format!("{} as claimed", exact + inexact - wrong.len()),
            verdict: if wrong.is_empty() { Verdict::Holds } else { Verdict::False },
            note: format!("{none} left to memory; {}", self.extent()),
        });
        for (support, text, found, expected) in wrong.into_iter().take(LISTED_MAX) {
            claims.add(Claim {
                subject: name.into(),
                name: text,
                claimed: support,
                found: format!("{found} rows"),
                verdict: Verdict::False,
                note: format!("{expected} rows in memory"),
            });
        }
        Ok(())
    }

    async fn sorts(&self, name: &str, claims: &mut Claims) -> Result<()> {
        let schema = self.binding.schema();
        let (mut exact, mut wrong) = (0, Vec::new());
        for (column, of) in (0u16..).zip(schema.columns()) {
            if !of.column_type.is_sortable() || schema.key().is_empty() {
                continue;
            }
            for descending in [false, true] {
                let mut sort = vec![Sort { column, descending }];
                let key = schema.key().iter().filter(|key| **key != column);
                sort.extend(key.map(|key| Sort { column: *key, descending }));
                let mut ask = Negotiation::new(self.binding.clone(), Vec::new(), sort.clone());
                self.provider.negotiate(&mut ask);
                if ask.sort_support() != Support::Exact {
                    continue;
                }
                exact += 1;
                let found = self.ordered(&sort).await?;
                let rows = if self.is_whole { &self.sample } else { &found };
                if texts(&found) != texts(&sorted(rows, &sort)?) {
                    let minus = if descending { "-" } else { "" };
                    wrong.push(format!("{minus}{}", one_line(&of.name)));
                }
            }
        }
        claims.add(Claim {
            subject: name.into(),
            name: "sorts".into(),
            claimed: format!("{exact} exact"),
            found: format!("{} as claimed", exact - wrong.len()),
            verdict: if wrong.is_empty() { Verdict::Holds } else { Verdict::False },
            note: if wrong.is_empty() {
                self.extent()
            } else {
                format!("wrong: {}", wrong.join(", "))
            },
        });
        Ok(())
    }

    /// Reads the first rows of an order.
    async fn ordered(&self, sort: &[Sort]) -> Result<RowBuffer> {
        let mut read = self.read_of(None);
        read.sort = Arc::from(sort);
        read.limit = Some(SAMPLE_ROWS as u64);
        let mut taken = Taken::new(self.columns.len(), SAMPLE_ROWS);
        self.provider.read(&read, &mut taken).await?;
        Ok(taken.rows)
    }

    async fn count(&self, name: &str, claims: &mut Claims) -> Result<()> {
        if !self.provider.capability().count || !self.is_whole {
            return Ok(());
        }
        let mut read = self.read_of(None);
        read.output = Output::Count;
        let report = self.provider.read(&read, &mut Taken::new(0, 0)).await?;
        let rows = self.sample.len() as u64;
        claims.add(Claim {
            subject: name.into(),
            name: "count".into(),
            claimed: "true".into(),
            found: report.count.map_or("no number".into(), |count| format!("{count} rows")),
            verdict: if report.count == Some(rows) { Verdict::Holds } else { Verdict::False },
            note: format!("{rows} rows were read"),
        });
        Ok(())
    }

    async fn keyset(&self, name: &str, claims: &mut Claims) -> Result<()> {
        let middle = self.sample.len() / 2;
        let Some(row) = self.sample.row(middle) else { return Ok(()) };
        if !self.provider.capability().keyset || self.by_key.is_empty() {
            return Ok(());
        }
        let mut read = self.read_of(None);
        read.sort = Arc::from(&*self.by_key);
        read.after =
            Some(self.by_key.iter().map(|by| row.get(by.column.into()).to_value()).collect());
        let mut taken = Taken::new(self.columns.len(), self.sample.len() - middle - 1);
        self.provider.read(&read, &mut taken).await?;
        let holds = texts(&taken.rows) == texts(&self.sample)[middle + 1..];
        claims.add(Claim {
            subject: name.into(),
            name: "keyset".into(),
            claimed: "true".into(),
            found: holds.to_string(),
            verdict: if holds { Verdict::Holds } else { Verdict::False },
            note: format!("{} rows behind the middle of the sample", taken.rows.len()),
        });
        Ok(())
    }

    fn extent(&self) -> String {
        match self.is_whole {
            true => format!("all {} rows", self.sample.len()),
            false => format!("the first {} rows", self.sample.len()),
        }
    }
}

fn unprobed(subject: &str, name: &str, why: &str) -> Claim {
    Claim {
        subject: subject.into(),
        name: name.into(),
        claimed: String::new(),
        found: String::new(),
        verdict: Verdict::Unprobed,
        note: why.into(),
    }
}

const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
];

/// Returns conditions on every column, with values that are in it.
fn conditions(schema: &Schema, sample: &RowBuffer) -> Vec<Predicate> {
    let mut conditions = Vec::new();
    for (column, of) in (0u16..).zip(schema.columns()) {
        conditions.push(Predicate::IsNull(column));
        conditions.push(Predicate::Not(Box::new(Predicate::IsNull(column))));
        let values = some_values(sample, column);
        if !of.column_type.is_comparable() || values.is_empty() {
            continue;
        }
        if of.column_type == Type::Bool {
            conditions.push(Predicate::Bool(column));
        }
        for value in &values {
            for comparison in COMPARISONS {
                let value = value.clone();
                conditions.push(Predicate::Compare { column, comparison, value });
            }
            if let (Type::Text, Value::Text(text)) = (of.column_type, value) {
                conditions.extend(patterns(column, text));
            }
        }
        let list = Predicate::In { column, values: values.clone().into(), null: false };
        let unknown = Predicate::In { column, values: values.clone().into(), null: true };
        conditions.extend([list.clone(), Predicate::Not(Box::new(list.clone()))]);
        conditions.push(Predicate::Is { operand: Box::new(unknown), truth: false });
        let below =
            Predicate::Compare { column, comparison: Comparison::Less, value: values[0].clone() };
        conditions
            .push(Predicate::Not(Box::new(Predicate::Or(vec![below, Predicate::IsNull(column)]))));
    }
    conditions
}

/// The start, the middle and the end of a text, with and without the case of its letters.
fn patterns(column: u16, text: &str) -> Vec<Predicate> {
    let char_at = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
    let (first, second) = (char_at(1), char_at(2));
    let patterns = [
        Pattern::starts_with(&text[..second]),
        Pattern::contains(&text[first..second]),
        Pattern::ends_with(&text[second..]),
    ];
    let folds = [false, true];
    patterns
        .into_iter()
        .flatten()
        .flat_map(|pattern| {
            folds.map(|fold| Predicate::Like { column, pattern: pattern.clone(), fold })
        })
        .collect()
}

/// The smallest, the middle and the largest value of a column.
fn some_values(sample: &RowBuffer, column: u16) -> Vec<Value> {
    let mut values: Vec<Value> = sample
        .iter()
        .map(|row| row.get(column.into()).to_value())
        .filter(|value| !value.is_null())
        .collect();
    values.sort_by(|left, right| left.cell().sort_order(right.cell()));
    values.dedup();
    let Some(last) = values.len().checked_sub(1) else { return Vec::new() };
    let mut places = vec![0, last / 2, last];
    places.dedup();
    places.into_iter().map(|place| values[place].clone()).collect()
}
