//! An observer that adds up what operations cost.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sora::{End, Event, Observer, Type, Value};

use super::screen::{Screen, grouped, time};
use crate::failure::Outcome;

/// What was seen, by operation and table.
#[derive(Debug, Default)]
pub(super) struct Watcher(Mutex<BTreeMap<(&'static str, String), Seen>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    calls: u64,
    failed: u64,
    received: u64,
    total: Duration,
    slowest: Duration,
}

/// Lines that are shown.
const LINES_MAX: usize = 8;

impl Observer for Watcher {
    fn observe(&self, event: &Event<'_>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry((event.operation.name(), event.table.to_owned())).or_default();
        // Of look-ups that memory answered, one in many is told.
        seen.calls += event.stands_for;
        seen.failed += u64::from(matches!(event.end, End::Failed(_)));
        seen.received += event.received;
        seen.total +=
            event.duration.saturating_mul(u32::try_from(event.stands_for).unwrap_or(u32::MAX));
        seen.slowest = seen.slowest.max(event.duration);
    }
}

impl Watcher {
    /// Shows what took the longest.
    pub(super) fn show(&self, screen: &mut Screen<'_>) -> Outcome {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all: Duration = seen.values().map(|seen| seen.total).sum();
        let mut lines: Vec<_> = seen.into_iter().collect();
        lines.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.total));
        let text = |text: String| Value::Text(text.into());
        let rows: Vec<Vec<Value>> = lines
            .iter()
            .take(LINES_MAX)
            .map(|((operation, table), seen)| {
                let share = seen.total.as_nanos() * 100 / all.as_nanos().max(1);
                vec![
                    text((*operation).to_owned()),
                    text(table.clone()),
                    text(grouped(seen.calls)),
                    text(grouped(seen.received)),
                    text(time(seen.total)),
                    text(format!("{share} %")),
                    text(time(seen.slowest)),
                ]
            })
            .collect();
        let number = Type::I64;
        screen.table(
            &[
                ("operation", Type::Text),
                ("table", Type::Text),
                ("calls", number),
                ("rows", number),
                ("total", number),
                ("share", number),
                ("slowest", number),
            ],
            &rows,
        )?;
        let left: Duration = lines.iter().skip(LINES_MAX).map(|(_, seen)| seen.total).sum();
        if !left.is_zero() {
            let more = lines.len() - LINES_MAX;
            screen.lines(format_args!(
                "and {more} kinds of operations that took {} in all",
                time(left)
            ))?;
        }
        if let Some(((operation, table), seen)) = lines.first() {
            screen.lines(format_args!(
                "\nMost of the time went to {operation} on {table}: {} of {}, {} a call.",
                time(seen.total),
                time(all),
                time(seen.total / u32::try_from(seen.calls.max(1)).unwrap_or(u32::MAX))
            ))?;
        }
        if let Some(((operation, table), seen)) = lines.iter().max_by_key(|(_, seen)| seen.slowest)
        {
            screen.lines(format_args!(
                "The slowest single call was {operation} on {table}: {}.",
                time(seen.slowest)
            ))?;
        }
        Ok(())
    }
}
