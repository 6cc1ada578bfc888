//! The contract of a provider, line by line.

use sora_core::Type;
use sora_core::provider::BoxFuture;

use crate::data::DECIMAL;
use crate::lines::{
    aggregate, change, filter, insert, isolation, key, native, outcome, page, race, savepoint,
    scan, schema, session, sort, table,
};
use crate::report::Verdict;
use crate::store::Store;

/// A line of the contract: what every provider does.
#[derive(Debug)]
pub(crate) struct Line {
    /// What it says.
    pub(crate) name: &'static str,
    /// The lines without which its check says nothing.
    pub(crate) needs: &'static [&'static str],
    pub(crate) check: for<'s> fn(&'s Store) -> BoxFuture<'s, Verdict>,
}

macro_rules! lines {
    ($($name:literal $([$($need:ident),*])? => $check:expr;)*) => {
        &[$(Line {
            name: $name,
            needs: &[$($($need),*)?],
            check: |store| Box::pin($check(store)),
        }),*]
    };
}

const READ_ONLY: &str = "a store takes writes, or says that it is read-only";
const SCAN: &str = "a scan gives each row exactly once";
const COLUMNS: &str = "rows hold the columns that were asked for, in that order";
const APART: &str = "null, empty text and empty bytes stay apart";
const VALUES: &str = "values come back as they were stored";
const RECEIVED: &str = "a read reports the rows that it handed out";
const GOES_ON: &str = "a read goes on behind rows that residual conditions reject";
const RESIDUAL: &str = "residual conditions reject rows, and these are counted";
const LOGIC: &str = "exact combinations follow three-valued logic";
const KEYS: &str = "a read by keys gives each listed row once and no other";
const SORT: &str = "an exact sort is by value";
const NULLS: &str = "an exact sort has nulls first ascending and last descending";
const SORTS: &str = "an exact sort of several columns goes by one after another";
const LIMIT: &str = "a limit is met exactly";
const KEYSET: &str = "a keyset read starts right behind its position";
const AGGREGATES: &str = "an exact aggregation gives what its measures say";
const EACH: &str = "a write reports one outcome for each row";
const ORDER: &str = "outcomes stand in the order of their rows";
const AFFECTED: &str = "a write counts the rows that it wrote";
const MISSING: &str = "a missing row is reported as missing";
const CONFLICT: &str = "a conflict fails its row and names its constraint";
const ASSIGNED: &str = "the store assigns what an insert leaves out";
const PATCH: &str = "a patch sets and adds";
const SUMS: &str = "a sum that does not fit fails and changes nothing";
const VERSION: &str = "a stale version changes nothing";
const COUNTED: &str = "every change counts the version";
const ANOTHER: &str = "an upsert that meets another unique fails";
const IGNORED: &str = "an ignored conflict leaves the stored row as it is";
const ALONE: &str = "a row that fails leaves the others of its write alone";
const SESSIONS: &str = "sessions can be opened, or are refused";
const OWN: &str = "a session sees its own writes";
const UNSEEN: &str = "nobody sees the writes of a session before its commit";
const BACK: &str = "a savepoint that is gone back to undoes what was written behind it";
const WRITERS: &str = "a session that writes keeps others waiting, or not, as declared";
const DIRTY: &str = "what a session has not committed no other session sees";
const REPEATED: &str = "a repeatable read sees nothing that was committed since";
const LOST: &str = "a repeatable read loses no update";
const COMMIT: &str = "a commit keeps the writes of a session";
const DROPPED: &str = "a dropped session undoes its writes";
const DESCRIBED: &str = "a table is described as it was made";

/// If one of these fails, no other can be judged.
pub(crate) const FOUNDATION: &[&str] = &[READ_ONLY, SCAN];

/// The lines, what they rest on before them.
pub(crate) const LINES: &[Line] = lines! {
    "a store takes writes, or says that it is read-only" => outcome::read_only;
    "a scan gives each row exactly once" => scan::once;

    "rows hold the columns that were asked for, in that order" => scan::projection;
    "null, empty text and empty bytes stay apart" => scan::nothing_stays_apart;
    "values come back as they were stored" [APART] => scan::values;
    "long values come back whole" [VALUES] => scan::long_values;
    "a read reports the rows that it handed out" => scan::received;
    "a sink that breaks ends the read" => scan::breaks;
    "a sink that fails ends the read with its error" => scan::sink_fails;
    "a count is the number of rows, or is refused" => scan::count;
    "a read goes on behind rows that residual conditions reject" => scan::goes_on;
    "residual conditions reject rows, and these are counted" [RECEIVED, GOES_ON] => scan::residual;
    "a read ends when more rows are rejected than allowed" [RESIDUAL] => scan::exceeds;

    "exact combinations follow three-valued logic" => filter::combinations;
    "exact filters on bool keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::Bool);
    "exact filters on i64 keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::I64);
    "exact filters on f64 keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::F64);
    "exact filters on decimal keep what memory keeps" [LOGIC] => |store| filter::exact(store, DECIMAL);
    "exact filters on text keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::Text);
    "exact filters on bytes keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::Bytes);
    "exact filters on timestamp keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::Timestamp);
    "exact filters on date keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::Date);
    "exact filters on uuid keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::Uuid);
    "exact filters on json keep what memory keeps" [LOGIC] => |store| filter::exact(store, Type::Json);
    "exact patterns keep what memory keeps" [LOGIC] => filter::patterns;
    "inexact filters leave out no row that belongs" [LOGIC] => filter::inexact;

    "a read by keys gives each listed row once and no other" [RECEIVED] => key::once;
    "keys of every type and of several columns are found" [KEYS, VALUES] => key::of_every_type;
    "a read by keys applies its filter too" [KEYS] => key::filtered;
    "a read takes as many keys as declared" [KEYS] => key::as_many_as_declared;

    "an exact sort is by value" [VALUES] => sort::by_value;
    "an exact sort has nulls first ascending and last descending" [SORT] => sort::nulls;
    "an exact sort of several columns goes by one after another" [NULLS] => sort::columns;
    "a limit is met exactly" [NULLS, RECEIVED] => page::limit;
    "offset pages make up the whole order" [LIMIT] => page::offset;
    "a limit for each value keeps the first of each" [SORTS, LIMIT] => page::limit_each;
    "a keyset read starts right behind its position" [SORTS, LIMIT] => page::keyset;
    "keyset pages miss and repeat no row while others come and go" [KEYSET] => page::others_come_and_go;

    "an exact aggregation gives what its measures say" [NULLS, VALUES, RECEIVED] => aggregate::measured;
    "exact groups are by value and come in order, null first" [AGGREGATES, LIMIT] => aggregate::grouped;
    "a total that does not fit is an error" [AGGREGATES] => aggregate::totals;

    "a write reports one outcome for each row" => outcome::one_for_each;
    "outcomes stand in the order of their rows" [EACH] => outcome::in_order;
    "a write counts the rows that it wrote" => outcome::affected;
    "a missing row is reported as missing" [EACH] => outcome::missing;
    "a conflict fails its row and names its constraint" [EACH] => insert::conflict;
    "an ignored conflict leaves the stored row as it is" [EACH] => insert::ignored;
    "an upsert replaces the given columns of the row with the same key" [EACH] => insert::upsert_by_key;
    "an upsert goes by a unique index and keeps the key" [EACH] => insert::upsert_by_unique;
    "an upsert that meets another unique fails" [CONFLICT] => insert::upsert_meets_another;
    "nulls never conflict in a unique index" [EACH] => insert::nulls_never_conflict;
    "a row that comes twice in an upsert ends as the last" [EACH] => insert::twice;
    "the store assigns what an insert leaves out" [VALUES] => insert::assigned;
    "an identity number is never given twice" [ASSIGNED] => insert::identity;
    "a row without a required value fails and names the column" => insert::required;
    "an update replaces the given columns and no others" [EACH] => change::update;
    "a patch sets and adds" [EACH] => change::patched;
    "a sum that does not fit fails and changes nothing" [PATCH] => change::sums;
    "a patch by filter is one item for all its rows" [SUMS, MISSING, AFFECTED] => change::patched_by_filter;
    "a delete removes the listed rows and no others" [MISSING] => change::deleted;
    "a delete by filter removes the rows that meet it" [MISSING, AFFECTED] => change::deleted_by_filter;
    "a change by keys applies its filter too" [MISSING, PATCH] => change::keys_and_filter;
    "a stale version changes nothing" [MISSING] => change::version_checked;
    "every change counts the version" [PATCH] => change::version_counted;
    "a rule of the table refuses what its schema allows" [IGNORED, ANOTHER] => insert::rules;
    "a row that fails leaves the others of its write alone" [ORDER] => outcome::stand_alone;
    "an atomic write is whole or nothing, or is refused" [ALONE, PATCH, AFFECTED] => outcome::atomic;
    "returned rows are as stored and in input order, or are refused" [ALONE, PATCH] => outcome::returning;
    "a write takes as many rows as declared" [EACH, AFFECTED] => outcome::as_many_as_declared;

    "changes at the same time are each done once" [COUNTED] => race::each_once;
    "of changes that race for one version one is done" [VERSION, COUNTED] => race::one_wins;

    "sessions can be opened, or are refused" => session::declared;
    "a session sees its own writes" [SESSIONS, EACH] => session::sees_its_own;
    "nobody sees the writes of a session before its commit" [OWN] => session::unseen;
    "a commit keeps the writes of a session" [OWN] => session::committed;
    "a rollback undoes the writes of a session" [OWN] => session::rolled_back;
    "a dropped session undoes its writes" [COMMIT] => session::dropped;
    "a row that fails in a session leaves the others alone" [COMMIT, CONFLICT] => session::goes_on;

    "a savepoint that is gone back to undoes what was written behind it" [COMMIT, UNSEEN] => savepoint::gone_back_to;
    "a savepoint that is forgotten keeps what was written behind it" [BACK] => savepoint::forgotten;
    "a session that only reads refuses writes" [UNSEEN] => savepoint::read_only;
    "a session is isolated at least as asked" [SESSIONS] => savepoint::isolated;
    "a session goes on behind a read that was given up" [COMMIT] => savepoint::read_given_up;
    "a session that writes keeps others waiting, or not, as declared" [COMMIT, UNSEEN] => isolation::writers;
    "what a session has not committed no other session sees" [WRITERS, UNSEEN] => isolation::dirty_read;
    "a repeatable read sees nothing that was committed since" [DIRTY] => isolation::repeated_read;
    "a repeatable read loses no update" [REPEATED] => isolation::lost_update;
    "serializable sessions do as one after another" [LOST] => isolation::write_skew;

    "a call that is given up is done in whole or not at all" [DROPPED] => race::given_up;

    "native statements are run, or refused" [AFFECTED] => native::statements;

    "a table is described as it was made" => schema::described;
    "making a table again creates nothing and finds no difference" [DESCRIBED] => schema::again;
    "a table that differs is told and left as it is" => schema::differs;
    "a schema may leave out columns of its table" [APART, COLUMNS] => schema::narrower;
    "a missing index is made" => schema::missing_index;
    "a table that is not there is described as nothing" => schema::unknown;
    "names with quotes, spaces, keywords and Unicode are kept apart" => schema::names;
    "explain and ping answer" => schema::answers;
};

/// What a table makes of a store that keeps the lines above.
pub(crate) const TABLE_LINES: &[Line] = lines! {
    "a query gives the same rows whoever does its parts" => table::read::same_rows;
    "a page is taken behind what is done in memory" => table::read::page_last;
    "what is done in memory is bounded, or refused before it runs" => table::read::bounded;
    "an aggregation gives the same groups whoever computes it" => table::aggregate::same_groups;
    "what is aggregated in memory is bounded, or refused before it runs" => table::aggregate::bounded;
    "a look-up of many keys has one slot for each" => table::read::slots;
    "a load of children has one list for each parent, or is bounded" => table::read::children;
    "a result says what happened" => table::read::outcome;
    "a cursor belongs to its query" => table::read::cursors_are_bound;
    "a stream gives every row once, in order" => table::stream::every_row;
    "a stream reads at most one page ahead" => table::stream::pulled;
    "a stream that is left alone keeps nobody waiting" => table::stream::left_alone;
    "a write of many rows has one outcome for each" => table::write::many;
    "an atomic write of many rows is whole or nothing, or is refused" => table::write::atomic;
    "a write by filter writes the rows that meet it, or is refused" => table::write::by_filter;
    "a batch is whole or nothing" => table::write::batch;
    "a stream of rows has one outcome for each, and the last of a key wins" => table::batch_writer::each_row;
    "an atomic stream of rows is whole or nothing, or is refused" => table::batch_writer::atomic;
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_rests_on_lines_before_it() {
        for (at, line) in LINES.iter().enumerate() {
            let before = |name: &&str| LINES[..at].iter().any(|other| other.name == *name);
            assert!(line.needs.iter().all(before), "{}: {:?}", line.name, line.needs);
            assert!(!before(&line.name), "{} is there twice", line.name);
        }
        assert!(FOUNDATION.iter().all(|name| LINES.iter().any(|line| line.name == *name)));
    }
}
