//! Servers, databases and statements for the tests.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use postgres_types::Type;
use sora_core::Result;
use sora_testbed::{Database, Postgres};

use crate::config::PostgresConfig;
use crate::failure::Stage;
use crate::link::Link;
use crate::pool::{Gauges, Pool};

/// An empty database of the shared server.
pub(super) fn database() -> Database {
    let server = Postgres::shared().expect("a server");
    server.database().expect("a database")
}

/// A configuration of an address with parameters behind it.
pub(super) fn config(url: &str, parameters: &str) -> PostgresConfig {
    let mark = if url.contains('?') { '&' } else { '?' };
    PostgresConfig::parse(&format!("{url}{mark}{parameters}")).expect("a configuration")
}

/// A pool on an address with parameters behind it.
pub(super) fn pool(url: &str, parameters: &str) -> Pool {
    Pool::new(config(url, parameters)).expect("a pool")
}

/// The only column of all rows, as text, of a statement whose shape is its text.
pub(super) async fn texts(link: &Link, sql: &str) -> Result<Vec<String>> {
    with(link, sql, &[]).await
}

/// The same with parameters that are texts.
pub(super) async fn with(link: &Link, sql: &str, params: &[&str]) -> Result<Vec<String>> {
    let types = vec![Type::TEXT; params.len()];
    let write = || sql.to_owned();
    let mut rows = link.query(Stage::Reading, sql.as_bytes(), write, &types, params).await?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().await? {
        found.push(row.get::<_, Option<String>>(0).unwrap_or_else(|| "NULL".into()));
    }
    Ok(found)
}

/// Runs a statement that writes by itself, and returns how many rows it touched.
pub(super) async fn write(link: &Link, sql: &str) -> Result<u64> {
    let params: [&str; 0] = [];
    link.execute(Stage::Writing, sql.as_bytes(), || sql.to_owned(), &[], &params).await
}

/// Waits until the gauges are as they should be: by turns of the runtime, not by time.
pub(super) async fn settled(pool: &Pool, is_so: impl Fn(&Gauges) -> bool) -> Gauges {
    loop {
        let gauges = pool.gauges();
        if is_so(&gauges) {
            return gauges;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Waits until a statement on the server gives what it should.
pub(super) async fn until(link: &Link, sql: &str, expected: &str) {
    while texts(link, sql).await.expect(sql) != [expected] {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Polls a future at most so often, and drops it; returns what it gave if it ended.
pub(super) async fn polled<T>(future: impl Future<Output = T>, polls_max: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls_max;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
