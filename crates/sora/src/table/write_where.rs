//! Writes of the rows that meet a filter.

use std::panic::Location;
use std::sync::Arc;

use sora_core::plan::{Plan, Support};
use sora_core::write::{Change, Target, Write, WriteReport};
use sora_core::{Assignment, Error, ErrorKind, Operation, Query, Result, RowBuffer};
use tracing::Instrument;

use super::Table;
use super::read::{Reader, chunks};
use crate::collect::{Nothing, PageEnd};
use crate::deadline;
use crate::transaction::Turn;

impl Table {
    /// Deletes the rows that meet a query's filter and returns how many. One round trip if the store
    /// decides the whole filter, else a transaction that selects the keys within the query's bound.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Limit`] beyond the bound, [`ErrorKind::Unsupported`] if it may not or cannot be
    /// done so.
    #[track_caller]
    pub fn delete_where<'a>(
        &'a self,
        query: &'a Query,
    ) -> impl Future<Output = Result<u64>> + Send + 'a {
        self.delete_where_at(query, Location::caller())
    }

    /// Changes the rows that meet a query's filter and returns how many; see
    /// [`delete_where`](Table::delete_where) for cost and errors.
    #[track_caller]
    pub fn patch_where<'a>(
        &'a self,
        query: &'a Query,
        assignments: Vec<Assignment>,
    ) -> impl Future<Output = Result<u64>> + Send + 'a {
        self.patch_where_at(query, assignments, Location::caller())
    }

    pub(crate) async fn delete_where_at(
        &self,
        query: &Query,
        location: &'static Location<'static>,
    ) -> Result<u64> {
        let change = |target| Change::Delete { target, version: None };
        self.write_where(query, Operation::DeleteWhere, location, change).await
    }

    pub(crate) async fn patch_where_at(
        &self,
        query: &Query,
        assignments: Vec<Assignment>,
        location: &'static Location<'static>,
    ) -> Result<u64> {
        let assignments = self.check_assignments(&assignments)?;
        let change =
            |target| Change::Patch { target, assignments: assignments.clone(), version: None };
        self.write_where(query, Operation::PatchWhere, location, change).await
    }

    async fn write_where(
        &self,
        query: &Query,
        operation: Operation,
        location: &'static Location<'static>,
        change: impl Fn(Target) -> Change + Send,
    ) -> Result<u64> {
        let mut watch = self.watch(operation, location);
        let span = watch.span();
        let written = async {
            let columns = Some(self.schema().key().to_vec());
            let query = Query { columns, sort: Vec::new(), ..query.clone() };
            if query.limit.is_some() || query.offset > 0 || query.after.is_some() {
                let message = "a write by filter has no limit, offset or cursor";
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
            let plan = Arc::new(self.plan(&query, false)?);
            watch.plan(&plan);
            self.pass_writers(location).await?;
            let report = if plan.is_pushed() {
                let change = change(Target::filter(plan.read.filter.clone()));
                self.check(&change)?;
                self.write_once(&Write::new(self.binding(), change), &mut Nothing).await?
            } else {
                self.write_selected(&plan, change).await?
            };
            watch.wrote(0, &report);
            match report.first_error() {
                Some(error) => Err(error.clone()),
                None => Ok(report.affected),
            }
        };
        let written = deadline::writing(written.instrument(span)).await;
        watch.end(written)
    }

    /// Selects the keys within the bound and writes them by key, with what the store can check of
    /// the filter checked again, in one transaction.
    async fn write_selected(
        &self,
        plan: &Plan,
        change: impl Fn(Target) -> Change + Send,
    ) -> Result<WriteReport> {
        let probe = change(Target::keys(Arc::new(RowBuffer::new(1))));
        self.check(&probe)?;
        let mut turn = self.turn().await?;
        let written = self.write_found(plan, change, &mut turn).await;
        turn.end(written, |report| report.first_error().is_none()).await
    }

    async fn write_found(
        &self,
        plan: &Plan,
        change: impl Fn(Target) -> Change + Send,
        turn: &mut Turn<'_>,
    ) -> Result<WriteReport> {
        let mut keys = RowBuffer::new(plan.width);
        // One key beyond the bound tells that it is exceeded.
        let limit = plan.rows_max().saturating_add(1);
        let page = (Some(limit), PageEnd::Stop);
        let (_, collected) = self.run(plan, page, &mut Reader::Turn(turn), &mut keys).await?;
        if collected.returned > plan.rows_max() {
            return Err(plan.exceeded());
        }
        let mut all = WriteReport::default();
        let filter: Arc<[_]> = plan
            .terms
            .iter()
            .filter(|term| term.support() != Support::Unsupported)
            .map(|term| term.predicate().clone())
            .collect();
        for keys in chunks(&keys, self.capability().keys_max)? {
            let target = Target { keys: Some(Arc::new(keys)), filter: filter.clone() };
            let mut write = Write::new(plan.read.binding.clone(), change(target));
            write.atomic = true;
            let mut report = turn.write(&write, &mut Nothing).await?;
            if report.first_error().is_some() {
                report.affected = 0;
                return Ok(report);
            }
            all.affected += report.affected;
        }
        Ok(all)
    }
}
