//! The report: Markdown, and a chart for each group.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use sora_benchmarks::{Form, Measurement, Result};

use crate::options::Options;
use crate::program::Program;
use crate::results::Results;
use crate::table::spread;
use crate::{chart, goals, groups, table};

/// Writes the report of all results that are kept, and prints how they stand to the goals.
pub(crate) fn write(options: &Options) -> Result<()> {
    let all = in_order(Results::load(&options.report)?);
    if all.is_empty() {
        return Err(format!("there are no results in {}", options.report.display()).into());
    }
    let judged = goals::judge(&all);
    let mut text = String::from("# Sora beside its peers\n\n");
    environment(&mut text, &all);
    text += "\n## Goals\n\nA ratio of 1.3 and more is reached by the clock: the median of at least 9 \
             interleaved pairs, whose lower quartile is not more than 15 % below the goal. One under \
             1.3 is judged by CPU time, of client and server. Parity is 0.95.\n\n";
    rows(&mut text, &goals::HEAD, judged.iter().map(|row| &row[..]));
    losses(&mut text, &all);
    text += "\n## All figures\n\n\"Sora ÷ it\" is the rate of Sora in a round over that of the peer \
             in the same round: the median of all rounds, with its quartiles. CPU time is that of the \
             program and of all processes of the server. Memory is the most that was resident above \
             that of the start. Behind each name stands its program: each links another SQLite.\n";
    for results in &all {
        let stem = results.file_stem();
        fs::write(options.report.join(format!("{stem}.svg")), chart::svg(results))?;
        // Writing to a String cannot fail.
        let _ = write!(text, "\n### {}\n\n![{}]({stem}.svg)\n\n", results.title, results.name);
        rows(&mut text, &table::HEAD, table::rows(results).iter().map(|row| &row[..]));
    }
    let file = options.report.join("report.md");
    fs::write(&file, text)?;
    println!("{}", goals_text(&judged));
    println!("report: {}", file.display());
    Ok(())
}

/// In the order in which groups are run, which is that of the report.
fn in_order(mut all: Vec<Results>) -> Vec<Results> {
    let options = Options::defaults();
    let names: Vec<String> = groups::chosen(&options).into_iter().map(|group| group.name).collect();
    all.sort_by_key(|results| {
        let place = names.iter().position(|name| *name == results.name);
        (place.unwrap_or(names.len()), results.name.clone())
    });
    all
}

fn environment(text: &mut String, all: &[Results]) {
    let set = |of: &dyn Fn(&Results) -> String| {
        let values: BTreeSet<String> = all.iter().map(of).collect();
        values.into_iter().filter(|value| !value.is_empty()).collect::<Vec<_>>().join("; ")
    };
    let environment = |results: &Results| results.environment.clone();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "- {name}: {value}");
    };
    line("measured", set(&|results| environment(results).date));
    line(
        "machine",
        set(&|results| {
            let environment = environment(results);
            let (cores, memory) = (environment.cores, environment.memory_gib);
            format!(
                "{}, {cores} cores, {memory} GiB, Linux {}",
                environment.cpu, environment.kernel
            )
        }),
    );
    let loads = all.iter().map(|results| results.environment.load[0]);
    let (low, high) =
        loads.fold((f64::MAX, 0.0), |(low, high), load| (load.min(low), load.max(high)));
    line("load when a group started", format!("{low:.2} to {high:.2}"));
    line("PostgreSQL", set(&|results| environment(results).server.unwrap_or_default()));
    for program in [Program::Newer, Program::Older] {
        let versions = set(&|results| {
            let environment = environment(results);
            let Some(sqlite) = environment.sqlite.get(&program) else { return String::new() };
            let peers = environment.peers.get(&program).into_iter().flatten();
            let peers: Vec<String> =
                peers.map(|(name, version)| format!("{name} {version}")).collect();
            format!("SQLite {sqlite}, {}", peers.join(", "))
        });
        line(&format!("program \"{program}\""), versions);
    }
    line("commands", set(&|results| format!("`benchmarks {}`", results.command)));
    let rounds = |results: &Results| {
        let rounds = results.series.iter().map(|runs| runs.runs.len()).max();
        rounds.unwrap_or(0).to_string()
    };
    line("rounds", set(&rounds));
}

/// Where a peer is faster, whoever it is.
fn losses(text: &mut String, all: &[Results]) {
    text.push_str("\n## Where Sora loses\n\nEvery ratio below 1, by the clock.\n\n");
    let mut lost = Vec::new();
    for results in all {
        for peer in results.series.iter().filter(|runs| !runs.is_sora()) {
            let ratio = |figure| results.ratio(peer, Form::AsItComes, figure);
            let Some(rate) = ratio(Measurement::rate as fn(&Measurement) -> f64) else { continue };
            if rate.quartiles.median < 1.0 {
                let cpu = ratio(Measurement::cpu_each_ns).map(|cpu| spread(cpu.quartiles));
                lost.push([
                    results.title.clone(),
                    format!("{} ({})", peer.label(), peer.program),
                    spread(rate.quartiles),
                    cpu.unwrap_or_default(),
                ]);
            }
        }
    }
    if lost.is_empty() {
        text.push_str("Nowhere in these groups.\n");
        return;
    }
    let head = ["group", "who", "Sora ÷ it (quartiles)", "Sora's CPU ÷ its (quartiles)"];
    rows(text, &head, lost.iter().map(|row| &row[..]));
}

fn rows<'a>(text: &mut String, head: &[&str], rows: impl Iterator<Item = &'a [String]>) {
    let _ = writeln!(text, "| {} |", head.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | ").replace('\n', " "));
    }
}

fn goals_text(judged: &[goals::Judged]) -> String {
    let mut text = String::from("goals\n");
    for [group, goal, median, low, beside, verdict] in judged {
        let verdict = verdict.replace("**", "");
        let _ = write!(text, "  {group:<30} {goal:<60} ");
        let _ = match &**median {
            "" => writeln!(text, "{verdict}"),
            _ => writeln!(text, "{median:>8} (from {low})  {verdict}  {beside}"),
        };
    }
    text
}
