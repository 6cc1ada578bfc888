//! The figures of a group as a table.

use std::fmt::Write as _;

use sora_benchmarks::{Form, Measurement, Workload};

use crate::quartiles::Quartiles;
use crate::results::{Results, Runs};

pub(crate) const HEAD: [&str; 8] = [
    "who",
    "per second (quartiles)",
    "Sora ÷ it (quartiles)",
    "CPU µs each",
    "Sora's CPU ÷ its",
    "p50 ms",
    "p99 ms",
    "memory MB",
];

/// The table of a group: a row for each who took part, the fastest first.
pub(crate) fn rows(results: &Results) -> Vec<[String; 8]> {
    let mut sorted: Vec<&Runs> = results.series.iter().collect();
    let rate = |runs: &Runs| runs.figure(Measurement::rate).map_or(0.0, |rate| rate.median);
    sorted.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
    sorted.into_iter().map(|runs| row(results, runs)).collect()
}

/// The same for a terminal.
pub(crate) fn text(results: &Results) -> String {
    let rows = rows(results);
    let mut widths = HEAD.map(|head| head.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!("{} ({})\n", results.title, results.name);
    let head = HEAD.map(str::to_owned);
    for row in [&head].into_iter().chain(&rows) {
        for (place, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Writing to a String cannot fail.
            let _ = match place {
                0 => write!(text, "  {cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

fn row(results: &Results, runs: &Runs) -> [String; 8] {
    let name = format!("{} ({})", runs.label(), runs.program);
    let Some(rate) = runs.figure(Measurement::rate) else {
        let failed = runs.failed.as_deref().unwrap_or("was not run");
        let mut row: [String; 8] = std::array::from_fn(|_| String::new());
        (row[0], row[1]) = (name, format!("failed: {failed}"));
        return row;
    };
    let ratio = |figure: fn(&Measurement) -> f64| {
        let ratio = results.ratio(runs, Form::AsItComes, figure)?;
        let is_own = runs.is_sora() && runs.form == Form::AsItComes;
        (!is_own).then_some(ratio.quartiles)
    };
    let ms = |figure: fn(&Measurement) -> u64| {
        let quartiles = runs.figure(|run| figure(run) as f64 / 1e6);
        let is_single = !matches!(results.workload, Workload::Bulk(..) | Workload::Scan);
        quartiles.filter(|_| is_single).map_or(String::new(), |ms| format!("{:.3}", ms.median))
    };
    let one = |quartiles: Option<Quartiles>, digits: usize| {
        quartiles.map_or(String::new(), |one| format!("{:.digits$}", one.median))
    };
    [
        name,
        format!("{} ({} to {})", count(rate.median), count(rate.low), count(rate.high)),
        ratio(Measurement::rate).map_or(String::new(), spread),
        one(runs.figure(|run| run.cpu_each_ns() / 1e3), 2),
        one(ratio(Measurement::cpu_each_ns), 2),
        ms(|run| run.p50_ns),
        ms(|run| run.p99_ns),
        one(runs.figure(|run| run.peak_bytes as f64 / 1e6), 1),
    ]
}

/// A ratio with its quartiles.
pub(crate) fn spread(ratio: Quartiles) -> String {
    format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.low, ratio.high)
}

/// A whole number, with commas.
pub(crate) fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        for (number, expected) in
            [(0.4, "0"), (12.0, "12"), (999.6, "1,000"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(count(number), expected);
        }
    }
}
