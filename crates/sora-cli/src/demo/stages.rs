//! The parts of the demo, one after another.

use std::time::{Duration, Instant};

use clap::Parser;
use sora::{Entity, Fallback, Query, RowBuffer, Sora, StreamOptions, Type, Value};

use super::data::{DataFile, Movie, Zip};
use super::memory::{forget_peak, resident};
use super::screen::{Screen, grouped, mebibytes, time};
use crate::arguments::{Arguments, Command};
use crate::console::{Captured, Console};
use crate::failure::{Failure, Outcome};
use crate::import;
use crate::output::Heading;
use crate::progress::Rate;

/// Reads by key in the measurement.
const POINT_READS: u32 = 20_000;

/// Imports the files by the command that anyone would type.
pub(super) async fn import(store: &Sora, files: &[DataFile], screen: &mut Screen<'_>) -> Outcome {
    screen.heading(
        "Import",
        "types are inferred from the whole file, each batch is one durable transaction",
    )?;
    let mut rows = Vec::new();
    let mut reasons = Vec::new();
    for file in files {
        let DataFile { name, table, key, path } = file;
        screen.command(&format!("sora import {name} --table {table} --key {key}"))?;
        screen.flush()?;
        let path = path.display().to_string();
        let line = ["sora", "import", &path, "--table", table, "--key", key, "--report", "json"];
        let line = line.into_iter().chain(["--store", "memory:"]);
        let arguments = Arguments::try_parse_from(line).map_err(Failure::failed)?;
        let Command::Import(arguments) = arguments.command else { continue };
        let captured = Captured::default();
        import::run(store, &arguments, &mut Console::captured(&captured)).await?;
        let report: serde_json::Value =
            serde_json::from_str(&captured.out()).map_err(Failure::failed)?;
        let count = |name: &str| report[name].as_u64().unwrap_or(0);
        let elapsed = Duration::from_secs_f64(report["seconds"].as_f64().unwrap_or(0.0));
        let text = |text: String| Value::Text(text.into());
        rows.push(vec![
            text((*name).into()),
            text(grouped(count("lines"))),
            text(grouped(count("inserted"))),
            text(grouped(count("failed"))),
            text(time(elapsed)),
            text(grouped(count("rows_per_second"))),
        ]);
        reasons.extend(reasons_of(table, &report));
    }
    let number = Type::I64;
    screen.table(
        &[
            ("file", Type::Text),
            ("lines", number),
            ("inserted", number),
            ("failed", number),
            ("time", number),
            ("rows/s", number),
        ],
        &rows,
    )?;
    screen.lines("\nWhat would have lost something stayed text:")?;
    reasons.iter().try_for_each(|reason| screen.lines(reason))
}

/// Finds the reasons of types in the report of an import.
fn reasons_of(table: &str, report: &serde_json::Value) -> Vec<String> {
    let reason = |column: &serde_json::Value| {
        let (name, why) = (column["name"].as_str()?, column["why"].as_str()?);
        Some(format!("{table}.{name} is {}: {why}", column["type"].as_str()?))
    };
    report["columns"].as_array().into_iter().flatten().filter_map(reason).collect()
}

/// Queries by text, with their plans.
pub(super) async fn text_queries(store: &Sora, screen: &mut Screen<'_>) -> Outcome {
    screen.heading(
        "Text queries",
        "SQL's boolean expression; nothing of the text reaches the store",
    )?;
    for (table, filter, options) in [
        (
            "zips",
            "state = 'NY' AND latitude > 44.5",
            ["--sort", "-latitude,zip_code", "--limit", "3"].as_slice(),
        ),
        (
            "movies",
            "title LIKE 'The %' AND NOT (major_genre = 'Drama' OR imdb_rating < 8.5)",
            [
                "--columns",
                "title,major_genre,imdb_rating",
                "--sort",
                "-imdb_rating",
                "--limit",
                "4",
            ]
            .as_slice(),
        ),
    ] {
        screen.command(&format!("sora query {table} \"{filter}\" {}", options.join(" ")))?;
        let line = ["sora", "query", table, filter, "--store", "memory:"].into_iter();
        let arguments = Arguments::try_parse_from(line.chain(options.iter().copied()));
        let Command::Query(arguments) = arguments.map_err(Failure::failed)?.command else {
            continue;
        };
        let opened = arguments.selection.open(store).await?;
        let query = arguments.query(&opened)?;
        let columns = query.columns.clone().unwrap_or_else(|| opened.columns().to_vec());
        let mut rows = RowBuffer::new(columns.len());
        let started = Instant::now();
        let page = opened.query(&query, &mut rows).await?;
        let elapsed = started.elapsed();
        let buffered: Vec<_> = rows.iter().collect();
        let rows: Vec<&dyn sora::Row> = buffered.iter().map(|row| row as _).collect();
        screen.rows(Heading::of(opened.schema(), &columns), &rows)?;
        screen.lines(format_args!("{} rows in {}", page.outcome.returned(), time(elapsed)))?;
        screen.lines(opened.explain(&query, false).await?)?;
        screen.line("")?;
    }
    Ok(())
}

/// Queries by the types of entities, before and after an index is there.
pub(super) async fn typed_queries(store: &Sora, screen: &mut Screen<'_>) -> Outcome {
    screen.heading("Typed queries", "the same flow, checked by the compiler")?;
    screen.lines("zips.query(Zip::STATE.eq(\"NY\") & Zip::LATITUDE.gt(44.5)).sort(Zip::LATITUDE.desc()).limit(3)")?;
    let before = typed(store, screen, "before").await?;
    let report = store.ensure_schema::<Zip>().await?;
    for statement in &report.created {
        screen.lines(format_args!("ensure_schema: {statement}"))?;
    }
    let after = typed(store, screen, "after").await?;
    screen.lines(format_args!("the index made it {} times as fast", ratio(before, after)))?;
    let movies = store.repository::<Movie>().await?;
    let liked =
        Movie::IMDB_VOTES.gt(100_000) & Movie::IMDB_RATING.ge(8.8) & Movie::TITLE.is_not_null();
    let liked = movies.query(liked).sort(Movie::IMDB_RATING.desc()).limit(3).fetch().await?;
    screen
        .lines("\nmovies.query(Movie::IMDB_VOTES.gt(100_000) & Movie::IMDB_RATING.ge(8.8) & …)")?;
    for movie in &liked {
        let Movie { id, title, major_genre, imdb_rating, .. } = movie;
        screen.lines(format_args!(
            "{id}: {}, {}, {:.1}",
            title.as_deref().unwrap_or("?"),
            major_genre.as_deref().unwrap_or("of no genre"),
            imdb_rating.unwrap_or_default()
        ))?;
    }
    Ok(())
}

/// Runs the typed query and returns the shortest of a few times.
async fn typed(store: &Sora, screen: &mut Screen<'_>, when: &str) -> Outcome<Duration> {
    let zips = store.repository::<Zip>().await?;
    let query = || {
        zips.query(Zip::STATE.eq("NY") & Zip::LATITUDE.gt(44.5))
            .sort(Zip::LATITUDE.desc())
            .limit(3)
            .fallback(Fallback::Reject)
    };
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        query().fetch().await?;
        shortest = shortest.min(started.elapsed());
    }
    let explanation = query().explain().await?;
    let indexes = match explanation.store.indexes.is_empty() {
        true => "none".into(),
        false => explanation.store.indexes.join(", "),
    };
    screen.lines(format_args!("{when}: index {indexes}, {}", time(shortest)))?;
    Ok(shortest)
}

/// Streams a table in flat memory.
pub(super) async fn stream(store: &Sora, screen: &mut Screen<'_>) -> Outcome {
    screen.heading("Stream", "keyset pages, at most one ahead: memory stays flat")?;
    let zips = store.table(Zip::schema()?.table()).await?;
    let before = resident();
    let is_own_peak = forget_peak();
    let started = Instant::now();
    let mut stream = zips.stream(&Query::default(), StreamOptions::default());
    let mut rows = 0;
    while let Some(page) = stream.next().await {
        rows += page?.len() as u64;
    }
    let elapsed = started.elapsed();
    screen.lines(format_args!(
        "{} rows in {}, {} rows/s",
        grouped(rows),
        time(elapsed),
        grouped(Rate { rows, elapsed }.per_second())
    ))?;
    match before.zip(resident()) {
        Some((before, after)) => {
            let of = if is_own_peak { "while streaming" } else { "of the whole demo" };
            screen.lines(format_args!(
                "resident memory: {} before, peak {of} {}",
                mebibytes(before.now),
                mebibytes(after.peak)
            ))
        }
        None => screen.lines("resident memory: this system does not tell (no /proc)"),
    }
}

/// Reads rows by key, one after another.
pub(super) async fn point_reads(store: &Sora, screen: &mut Screen<'_>) -> Outcome {
    screen.heading("Point reads", "one row by its key, one after another, on one task")?;
    let zips = store.repository::<Zip>().await?;
    let keys = zips.query(Zip::STATE.is_not_null()).limit(5_000).fetch().await?.into_vec();
    let mut times = Vec::with_capacity(POINT_READS as usize);
    let started = Instant::now();
    // A stride that shares no factor with the length visits all, far from one another.
    for number in 0..POINT_READS as usize {
        let Some(zip) = keys.get(number * 1_237 % keys.len().max(1)) else { break };
        let read = Instant::now();
        let found = zips.get(zip.code.as_str()).await?;
        times.push(read.elapsed());
        if found.is_none_or(|found| found.city != zip.city) {
            return Err(Failure::failed(format!("the row {} was not read back", zip.code)));
        }
    }
    let elapsed = started.elapsed();
    times.sort_unstable();
    let quantile = |percent: usize| {
        times.get((times.len() * percent / 100).min(times.len() - 1)).copied().unwrap_or_default()
    };
    screen.lines(format_args!(
        "{} reads in {}, {} a second; half within {}, 99 % within {}, the slowest {}",
        grouped(times.len() as u64),
        time(elapsed),
        grouped(Rate { rows: times.len() as u64, elapsed }.per_second()),
        time(quantile(50)),
        time(quantile(99)),
        time(quantile(100))
    ))
}

/// Returns how often the second time fits in the first, rounded to tenths below ten.
fn ratio(first: Duration, second: Duration) -> String {
    let tenths = first.as_nanos() * 10 / second.as_nanos().max(1);
    if tenths < 100 {
        format!("{}.{}", tenths / 10, tenths % 10)
    } else {
        (tenths / 10).to_string()
    }
}
