//! Bar charts, as SVG.

use std::fmt::Write as _;

use sora_benchmarks::{Form, Measurement};

use crate::results::{Results, Runs};
use crate::table::count;

const WIDTH: f64 = 760.0;
const LABEL: f64 = 190.0;
const FIGURE: f64 = 190.0;
const BAR: f64 = 20.0;
const STEP: f64 = 28.0;
const TOP: f64 = 56.0;

/// Draws the rates of a group: a bar for each who took part, from quartile to quartile a line.
pub(crate) fn svg(results: &Results) -> String {
    let mut rated: Vec<_> = results
        .series
        .iter()
        .filter_map(|runs| Some((runs, runs.figure(Measurement::rate)?)))
        .collect();
    rated.sort_by(|(_, one), (_, other)| other.median.total_cmp(&one.median));
    let most = rated.iter().map(|(_, rate)| rate.high).fold(1.0, f64::max);
    let scale = (WIDTH - LABEL - FIGURE) / most;
    let height = TOP + STEP * rated.len() as f64 + 12.0;
    let mut svg = head(results, height);
    for (place, (runs, rate)) in rated.iter().enumerate() {
        let y = TOP + STEP * place as f64;
        let middle = y + BAR / 2.0;
        let (low, high) = (LABEL + rate.low * scale, LABEL + rate.high * scale);
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL:.0}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"{BAR:.0}\" fill=\"{}\"/>\
             <path d=\"M{low:.1} {middle:.0}H{high:.1}\" stroke=\"#111827\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\" fill=\"#4b5563\">{}</text>",
            LABEL - 8.0,
            middle + 4.0,
            name(results, runs),
            rate.median * scale,
            colour(runs),
            high.max(LABEL + rate.median * scale) + 8.0,
            middle + 4.0,
            beside(results, runs, rate.median),
        );
    }
    svg + "</svg>\n"
}

fn head(results: &Results, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" \
         width=\"{WIDTH:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n\
         <text x=\"12\" y=\"41\" fill=\"#4b5563\">operations per second: median, and the quartiles as a \
         line; behind them Sora ÷ it, round by round</text>\n",
        escape(&results.title)
    )
}

/// The name; with the program where both hold someone of that name.
fn name(results: &Results, runs: &Runs) -> String {
    let label = runs.label();
    let is_double = results.series.iter().filter(|other| other.label() == label).count() > 1;
    let short = escape(&label.replace("as it comes", "default"));
    if is_double { format!("{short} ({})", runs.program) } else { short }
}

fn beside(results: &Results, runs: &Runs, rate: f64) -> String {
    let ratio = results.ratio(runs, Form::AsItComes, Measurement::rate);
    match ratio {
        Some(ratio) if !runs.is_sora() => {
            format!("{} · × {:.2}", count(rate), ratio.quartiles.median)
        }
        _ => count(rate),
    }
}

fn colour(runs: &Runs) -> &'static str {
    match (&*runs.peer, runs.form) {
        ("sora", _) => "#2563eb",
        ("rusqlite" | "tokio-postgres", _) => "#6b7280",
        (_, Form::Tuned) => "#9ca3af",
        _ => "#d1d5db",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
