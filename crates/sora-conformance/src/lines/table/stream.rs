//! Streams through a table.

use std::sync::Arc;

use sora::{RowStream, StreamOptions};
use sora_core::provider::Layer;
use sora_core::{Query, Row};

use super::{above, by_x, is_above, make, on, open, open_provider, total};
use crate::Profile;
use crate::probe::Probe;
use crate::report::{Verdict, check, same};
use crate::store::{Cells, Store, in_order};

async fn drain(mut stream: RowStream, page_rows: usize) -> Verdict<Vec<Cells>> {
    let mut found = Vec::new();
    while let Some(page) = stream.next().await {
        let page = page?;
        let size = page.len();
        check(size > 0 && size <= page_rows, || format!("a page has {size} rows"))?;
        for row in page.iter() {
            found.push((0..row.width()).map(|at| row.get(at).to_value()).collect());
        }
        check(found.len() < 1_000, || "the stream does not end".into())?;
    }
    Ok(found)
}

pub(crate) async fn every_row(store: &Store) -> Verdict {
    let rows = make(store, "streams", 50).await?;
    let all = |descending, filtered: bool| -> Vec<Cells> {
        let kept = rows.iter().filter(|row| !filtered || is_above(row, 0));
        let mut kept: Vec<Cells> = kept.cloned().collect();
        kept.sort_by(|left, right| in_order(&total(descending), left, right));
        kept
    };
    for profile in Profile::ALL {
        let table = open(store, profile, "streams").await?;
        for page_rows in [1, 7, 50, 1_000] {
            for (descending, filtered) in [(false, false), (true, true), (false, true)] {
                let mut query = Query { sort: by_x(descending), ..Query::default() };
                if filtered {
                    query.filter = above(0);
                }
                let options = StreamOptions { page_rows: page_rows as u64 };
                let expected = all(descending, filtered);
                let found = drain(table.stream(&query, options), page_rows).await?;
                on(profile, same(&format!("rows by pages of {page_rows}"), &found, &expected))?;
                let cut = Query { offset: 3, limit: Some(9), ..query };
                let found = drain(table.stream(&cut, options), page_rows).await?;
                let expected: Vec<Cells> = expected.into_iter().skip(3).take(9).collect();
                on(profile, same("rows behind an offset up to a limit", &found, &expected))?;
            }
        }
    }
    Ok(())
}

pub(crate) async fn pulled(store: &Store) -> Verdict {
    make(store, "pulled", 50).await?;
    for profile in [Profile::Full, Profile::KeysetNone, Profile::SortNone] {
        let probe = Probe::new(profile.layer(store.provider.clone()));
        let table = open_provider(Arc::new(probe.clone()), "pulled").await?;
        let query = Query { sort: by_x(false), ..Query::default() };
        let mut stream = table.stream(&query, StreamOptions { page_rows: 5 });
        same("reads of a stream that nobody polled", &probe.reads(), &0)?;
        let first = stream.next().await.transpose()?;
        on(profile, same("rows of the first page", &first.map_or(0, |page| page.len()), &5))?;
        // The page that was taken, and one ahead.
        on(profile, check(probe.reads() <= 2, || format!("{} reads", probe.reads())))?;
        drop(stream);
        let mut other = table.stream(&query, StreamOptions { page_rows: 50 });
        other.next().await.transpose()?;
        on(
            profile,
            check(probe.reads() <= 4, || {
                format!("{} reads, though the first stream was dropped", probe.reads())
            }),
        )?;
    }
    Ok(())
}

pub(crate) async fn left_alone(store: &Store) -> Verdict {
    let rows = make(store, "waited", 50).await?;
    let table = open(store, Profile::Full, "waited").await?;
    let query = Query { sort: by_x(false), ..Query::default() };
    // More than a store has connections, or threads that read.
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = table.stream(&query, StreamOptions { page_rows: 5 });
        let first = stream.next().await.transpose()?;
        same("rows of the first page", &first.map_or(0, |page| page.len()), &5)?;
        streams.push(stream);
    }
    same("rows that are counted", &table.count(&query).await?, &50)?;
    while let Some(stream) = streams.pop() {
        let left = drain(stream, 5).await?;
        same("rows behind the first page", &left.len(), &(rows.len() - 5))?;
    }
    Ok(())
}
