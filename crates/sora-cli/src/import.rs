//! `sora import`: a file into a table.

mod bad_lines;
mod job;
mod keys;
mod ledger;
mod load;
mod report;
mod survey;
mod target;

use std::fmt::Write as _;
use std::sync::Arc;

use sora::{ErrorKind, LiveColumn, LiveTable, Name, Sora, Table, Type};

use self::bad_lines::BadLines;
use self::job::{Decision, Job, Request};
use self::ledger::{Ledger, State};
use self::load::Load;
use self::report::{Report, ReportedColumn};
use self::survey::Survey;
use self::target::{Target, Wishes};
use crate::arguments::Import;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::inference::Inferred;
use crate::input::{Dialect, Format, Source};
use crate::output::one_line;

/// Imports a file and reports what became of its lines.
pub(crate) async fn run(store: &Sora, arguments: &Import, console: &mut Console) -> Outcome {
    let source = Source::open(&arguments.file)?;
    let dialect = dialect(arguments, &source)?;
    let table = find_table(store, &arguments.table).await?;
    let survey = Survey::take(&source, &dialect, table.is_none(), console)?;
    let wishes = Wishes { columns: arguments.columns.as_ref(), key: arguments.key.as_deref() };
    let target = match &table {
        Some(table) => {
            let numbered = numbered_by(store, table).await?;
            Target::find(table, &survey, &wishes, numbered.as_deref())?
        }
        None => Target::create(&arguments.table, &survey, &wishes)?,
    };
    let columns = columns(&survey, &target, table.is_none());
    let head = head(&source, &dialect, &survey, &target, table.is_none());
    show(console, &head, &columns, &survey, &target);
    let request = Request {
        store,
        arguments,
        source: source.name(),
        survey: &survey,
        target: &target,
        settings: settings(&dialect, &target),
    };
    let Job { table, ledger, mut entry, was_empty } = match request.decide(table, console).await? {
        Decision::Load(job) => job,
        Decision::Known(entry) => {
            return Report::unchanged(source.name(), &entry).print(arguments.report, console);
        }
    };
    let mut bad = BadLines::new(arguments.errors.as_deref())?;
    let load = Load {
        source: &source,
        dialect: &dialect,
        names: &survey.names,
        lines: survey.lines,
        table: &table,
        target: &target,
        first_row: entry.first_row.unwrap_or(1),
        batch_rows: (arguments.batch as usize).min(store.capability().rows_max),
        on_error: arguments.on_error,
    };
    let mut tally = load.run(&mut bad, console).await?;
    bad.finish()?;
    tally.resolve();
    if was_empty {
        tally.tell_apart();
    }
    let is_stopped = tally.is_stopped;
    entry.failed = i64::try_from(tally.failed).unwrap_or(i64::MAX);
    ledger.set(&mut entry, if is_stopped { State::Incomplete } else { State::Complete }).await?;
    let report = Report::done(source.name(), table.name(), survey.lines, tally);
    report.with_columns(columns).print(arguments.report, console)
}

/// Opens the table, if it is there. What the store alone knows, and takes as the text that it shows,
/// is text here: an enum or an array of PostgreSQL.
async fn find_table(store: &Sora, name: &str) -> Outcome<Option<Table>> {
    match store.table(name).await {
        Ok(table) => match with_texts(&table.live()) {
            Some(live) => Ok(Some(store.table_as(&Arc::new(live.to_schema()?)).await?)),
            None => Ok(Some(table)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Err(Failure::argument(&error)),
        Err(error) => Err(error.into()),
    }
}

/// Returns a table whose columns of unknown types are text where the store takes nothing else for
/// them; none if there are no such columns.
fn with_texts(live: &LiveTable) -> Option<LiveTable> {
    let is_text = |column: &LiveColumn| {
        // A number may be read as a decimal too; its text says no less.
        let is_text = |other: &Type| matches!(other, Type::Decimal { .. } | Type::Text);
        column.column_type == Type::Unknown
            && column.readable_as.contains(&Type::Text)
            && column.readable_as.iter().all(is_text)
    };
    live.columns.iter().any(is_text).then(|| {
        let mut live = live.clone();
        for column in live.columns.iter_mut().filter(|column| is_text(column)) {
            column.column_type = Type::Text;
        }
        live
    })
}

/// The column that numbers the rows of a table, if an import has made it.
async fn numbered_by(store: &Sora, table: &Table) -> Outcome<Option<String>> {
    match Ledger::find(store, table.name()).await? {
        Some(ledger) => Ok(ledger.last_numbered().await?.and_then(|entry| entry.row_column)),
        None => Ok(None),
    }
}

fn dialect(arguments: &Import, source: &Source) -> Outcome<Dialect> {
    let format = match arguments.format {
        Some(format) => format,
        None => source.format()?,
    };
    let is_tab = source.name().to_ascii_lowercase().ends_with(".tsv");
    let nulls = match &*arguments.null {
        [] => Box::new(["".into()]) as Box<[Box<str>]>,
        nulls => nulls.iter().map(|null| null.as_str().into()).collect(),
    };
    let names = match &arguments.columns {
        Some(columns) if arguments.no_header => Some(columns.names()),
        _ => None,
    };
    if format == Format::Ndjson && (names.is_some() || arguments.delimiter.is_some()) {
        return Err(Failure::usage("--no-header and --delimiter are for CSV; this is NDJSON"));
    }
    let delimiter = arguments.delimiter.unwrap_or(if is_tab { b'\t' } else { b',' });
    Ok(Dialect { format, delimiter, nulls, names })
}

/// What decides, beside the content, which rows come of a file.
fn settings(dialect: &Dialect, target: &Target) -> String {
    let Dialect { format, delimiter, nulls, names } = dialect;
    let mut text = format!("key: {}", target.key_text());
    // Writing to a String cannot fail.
    let _ = match format {
        Format::Ndjson => write!(text, "; ndjson"),
        Format::Csv => write!(text, "; csv, {:?}, null: {nulls:?}", char::from(*delimiter)),
    };
    if let Some(names) = names {
        let _ = write!(text, "; columns: {names:?}");
    }
    text
}

/// Says what the columns of the file are, and why.
fn columns(survey: &Survey, target: &Target, is_new: bool) -> Vec<ReportedColumn> {
    let column = |(column, inferred): (&Option<u16>, &Inferred)| {
        let column = target.schema.column((*column)?);
        let is_inferred = is_new && inferred.column_type == column.column_type;
        Some(ReportedColumn {
            name: column.name.to_string(),
            r#type: column.column_type.to_string(),
            nullable: column.nullable,
            why: inferred.widened.as_ref().filter(|_| is_inferred).map(ToString::to_string),
        })
    };
    target.columns.iter().zip(&survey.columns).filter_map(column).collect()
}

/// Shows what the columns are and why, before anything is written.
fn show(
    console: &mut Console,
    head: &str,
    columns: &[ReportedColumn],
    survey: &Survey,
    target: &Target,
) {
    console.say(head);
    let shown = |column: &ReportedColumn| one_line(&Name(&column.name).to_string());
    let width = columns.iter().map(|column| shown(column).chars().count()).max().unwrap_or(0);
    let types = columns.iter().map(|column| column.r#type.len()).max().unwrap_or(0).max(9);
    let fields = target.columns.iter().zip(&survey.columns);
    let fields = fields.filter_map(|(at, inferred)| Some(((*at)?, inferred)));
    for (column, (at, inferred)) in columns.iter().zip(fields) {
        let is_key = target.schema.key().contains(&at);
        let null = match (inferred.null_line, column.nullable) {
            (Some(line), _) if is_key => {
                format!("never null, but it is in line {line}: such lines fail")
            }
            (_, true) => "or null".into(),
            (_, false) => String::new(),
        };
        let why = column.why.as_deref().map(one_line).unwrap_or_default();
        let line =
            format!("  {:<width$}  {:<types$}  {null:<7}  {why}", shown(column), column.r#type);
        console.say(line.trim_end());
    }
    let names = survey.names.iter().zip(&target.columns).filter(|(_, at)| at.is_none());
    let computed: Vec<String> = names.map(|(name, _)| one_line(&Name(name).to_string())).collect();
    if !computed.is_empty() {
        console.say(format_args!(
            "  left out, because the store computes it: {}",
            computed.join(", ")
        ));
    }
}

/// Says what the file is and where it goes.
fn head(
    source: &Source,
    dialect: &Dialect,
    survey: &Survey,
    target: &Target,
    is_new: bool,
) -> String {
    let format = match dialect.format {
        Format::Csv => "CSV",
        Format::Ndjson => "NDJSON",
    };
    format!(
        "{}: {format}, {} lines, {} bytes; {} {}, key: {}",
        one_line(source.name()),
        survey.lines,
        source.bytes(),
        if is_new { "new table" } else { "table" },
        one_line(&Name(target.schema.table()).to_string()),
        target.key_text()
    )
}

#[cfg(test)]
mod tests;
