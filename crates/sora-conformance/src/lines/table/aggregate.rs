//! Aggregations through a table.

use std::sync::Arc;

use sora::Table;
use sora_core::provider::Layer;
use sora_core::{
    AggregateFunction, Aggregation, ErrorKind, Fallback, Measure, Predicate, Query, Result,
};

use super::{NAME, X, above, is_above, make, on, open, open_provider};
use crate::Profile;
use crate::expected::Expected;
use crate::probe::Probe;
use crate::report::{Verdict, check, failed, same};
use crate::store::{Cells, Rows, Store};

pub(crate) async fn same_groups(store: &Store) -> Verdict {
    let rows = make(store, "aggregated", 40).await?;
    let aggregation = aggregation();
    for profile in Profile::ALL {
        let table = open(store, profile, "aggregated").await?;
        let above_one: Vec<&Cells> = rows.iter().filter(|row| is_above(row, 1)).collect();
        let all: Vec<&Cells> = rows.iter().collect();
        for (filter, rows) in [(above(1), above_one), (Predicate::ALL, all)] {
            let mut found = Rows::default();
            let query = Query { filter, ..Query::default() };
            let outcome = table.aggregate(&query, &aggregation, &mut found).await?;
            let expected = Expected::of(table.schema(), &rows, &aggregation);
            if let Err(why) = expected.compare(Ok(&found.0)) {
                return failed(format!("on {profile:?}: {why}"));
            }
            let groups = found.0.len() as u64;
            on(profile, same("groups returned", &outcome.returned(), &groups))?;
            let received =
                if outcome.is_aggregated_in_memory() { rows.len() as u64 } else { groups };
            let is_filtered = outcome.residual().count() == 0;
            let received = if is_filtered { received } else { 40 };
            on(profile, same("rows received", &outcome.received(), &received))?;
        }
    }
    Ok(())
}

pub(crate) async fn bounded(store: &Store) -> Verdict {
    make(store, "aggregates", 40).await?;
    let aggregation = aggregation();
    for profile in [Profile::FilterNone, Profile::AggregateNone] {
        let probe = Probe::new(profile.layer(store.provider.clone()));
        let table = open_provider(Arc::new(probe.clone()), "aggregates").await?;
        // All that are received count, whether or not they meet the filter.
        let filter = match profile {
            Profile::FilterNone => Predicate::Not(Box::new(Predicate::IsNull(X))),
            _ => Predicate::ALL,
        };
        let with = |fallback| Query { filter: filter.clone(), fallback, ..Query::default() };
        let enough = with(Fallback::Scan { rows_max: 40 });
        on(profile, ask(&table, &enough, &aggregation).await.map(drop).map_err(Into::into))?;
        for rows_max in [39, 8, 1] {
            let less = with(Fallback::Scan { rows_max });
            match ask(&table, &less, &aggregation).await {
                Err(error) if error.kind() == ErrorKind::Limit => {
                    let text = error.to_string();
                    on(profile, check(text.contains("rows_max"), || format!("no remedy: {text}")))?;
                }
                other => return failed(format!("on {profile:?}, {rows_max} rows gave {other:?}")),
            }
        }
        let reads = probe.reads();
        match ask(&table, &with(Fallback::Reject), &aggregation).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            other => return failed(format!("on {profile:?}, what may not be done gave {other:?}")),
        }
        on(profile, same("reads of what is refused", &(probe.reads() - reads), &0))?;
    }
    for profile in [Profile::Full, Profile::AggregateNone] {
        let table = open(store, profile, "aggregates").await?;
        let few = Aggregation { groups_max: 4, ..(*aggregation).clone() };
        match ask(&table, &Query::default(), &Arc::new(few)).await {
            Err(error) if error.kind() == ErrorKind::Limit => {}
            other => return failed(format!("on {profile:?}, 5 groups of 4 gave {other:?}")),
        }
        let enough = Aggregation { groups_max: 5, ..(*aggregation).clone() };
        let found = ask(&table, &Query::default(), &Arc::new(enough)).await?;
        on(profile, same("groups", &found.len(), &5))?;
    }
    Ok(())
}

fn aggregation() -> Arc<Aggregation> {
    use AggregateFunction::{Average, Count, Max, Min, Sum};
    let measures = [
        Measure::ROWS,
        Measure::new(Count, X),
        Measure::new(Sum, X),
        Measure::new(Average, 0),
        Measure::new(Min, NAME),
        Measure::new(Max, NAME),
    ];
    Arc::new(Aggregation::new([X], measures))
}

async fn ask(table: &Table, query: &Query, aggregation: &Arc<Aggregation>) -> Result<Vec<Cells>> {
    let mut rows = Rows::default();
    table.aggregate(query, aggregation, &mut rows).await?;
    Ok(rows.0)
}
