//! How far a long operation has come.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;

/// A bar on a terminal; elsewhere a line for each step that is done for good.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Progress {
    /// Starts a bar of so many steps, or one without an end.
    pub(crate) fn start(console: &Console, what: &'static str, steps: Option<u64>) -> Self {
        let bar = console.is_interactive.then(|| bar(what, steps));
        Self { bar, started: Instant::now() }
    }

    /// Shows how many steps are done, where that can be taken back.
    pub(crate) fn at(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Says that rows are durable. Nothing says so before they are.
    pub(crate) fn committed(&self, console: &mut Console, rows: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(rows),
            None => {
                let rate = Rate { rows, elapsed: self.elapsed() };
                console.say(format_args!("committed {rows} rows ({rate})"));
            }
        }
    }

    /// Says something above the bar.
    pub(crate) fn say(&self, console: &mut Console, text: impl fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| console.say(text)),
            None => console.say(text),
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar(what: &'static str, steps: Option<u64>) -> ProgressBar {
    let template = match steps {
        Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}",
        None => "{msg} {spinner} {human_pos} {per_sec}",
    };
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::with_draw_target(steps, ProgressDrawTarget::stderr_with_hz(10));
    // A template that is wrong would leave the plain bar, which is as good.
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.with_message(what)
}

/// Rows in a time, shown as rows a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// The rows.
    pub(crate) rows: u64,
    /// The time.
    pub(crate) elapsed: Duration,
}

impl Rate {
    /// Rows a second.
    pub(crate) fn per_second(self) -> u64 {
        let nanos = self.elapsed.as_nanos().max(1);
        u64::try_from(u128::from(self.rows) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rows_a_second() {
        let rate =
            |rows, millis| Rate { rows, elapsed: Duration::from_millis(millis) }.per_second();
        assert_eq!(rate(1_000, 500), 2_000);
        assert_eq!(rate(0, 0), 0);
        assert_eq!(rate(1, 0), 1_000_000_000);
    }
}
