//! Pages that lie along an index of PostgreSQL, as a statement that is planned once.
//!
//! A page such as "the rows of a city from a population on, the largest first" is a run of the index of
//! both columns: whatever the values, the server walks the index from one end of the run and stops after
//! the page. Asked plainly, it plans every call anew: without the values it takes a third of the city's
//! rows for those in the range, and the plan for that looks dearer than the one for the values. And
//! where the average city has few rows it may keep a plan that sorts all rows of a city, which is wrong
//! for the few cities with very many.
//!
//! Here the run is told by comparisons of rows and the order names the equal columns too, which changes
//! neither rows nor order. Of such a comparison the server's estimate looks at the first column alone,
//! and that column's value is the result of a subselect: so nothing that it estimates depends on a
//! value, it takes a ninth of the table for the run, and to walk the index is the one cheap way. The
//! plan is the same for every value, and the server keeps it.
//!
//! `WITH TIES` makes the page whole where the index ends before the sort does: the rows that are equal to
//! the last by the index are sorted outside.

use sora_core::read::{Access, Output, Read};
use sora_core::{Binding, Comparison, LiveIndex, Predicate, Sort, Type, Value};

use crate::select::label_columns;
use crate::walk::Walk;
use crate::{Dialect, Out, Portion, Postgres};

/// The largest limit of such a page: of larger ones a plan is a small part, and the server sooner reads
/// all of a table instead.
const ROWS_MAX: u64 = 128;

/// The most columns that are compared for equality.
const EQUAL_MAX: usize = 4;

/// A page that lies along an index: the filter is equality of the first columns of an index and a range
/// of the next, by which the page is sorted.
#[derive(Clone, Copy, Debug)]
pub struct IndexPage<'a> {
    read: &'a Read,
    index: &'a LiveIndex,
    limit: u64,
    /// The columns that are equal to a value, in the order of the index.
    equal: [Option<(u16, &'a Value)>; EQUAL_MAX],
    /// Where the run begins and ends in the order of the index's columns.
    bounds: [Option<Bound<'a>>; 2],
    /// How many columns of the sort the index has behind those that are equal.
    sorted: usize,
}

/// An end of a run behind its equal columns.
#[derive(Clone, Copy, Debug)]
enum Bound<'a> {
    /// The first column of the sort is compared with a value.
    Value(Comparison, &'a Value),
    /// The page starts behind a row.
    After(&'a [Value]),
}

impl<'a> IndexPage<'a> {
    /// Returns the page that a read asks for, if it lies along an index and the server may plan it
    /// anew for each call. That depends on nothing but what is part of the read's shape.
    ///
    /// The table's own rows must be all that it has, and no other index may begin as this one does: the
    /// server might take it for as good. Whether it does walk the index is the server's to say.
    pub fn of(read: &'a Read, portion: Portion) -> Option<Self> {
        let limit = read.limit.filter(|limit| *limit <= ROWS_MAX)?;
        let live = read.binding.live();
        let is_plain = portion == Portion::All
            && matches!(read.access, Access::Scan)
            && read.output == Output::Rows
            && read.offset == 0
            && read.limit_each.is_none()
            && !read.for_update
            && !live.is_view
            && !live.is_partitioned;
        let first = read.sort.first().filter(|_| is_plain)?;
        let is_ordered = |sort: &Sort| {
            sort.descending == first.descending && is_by_bytes(&read.binding, sort.column)
        };
        let after = read.after.as_deref();
        if !read.sort.iter().all(is_ordered) || after.is_some_and(|v| v.iter().any(Value::is_null))
        {
            return None;
        }
        let mut page = Self {
            read,
            index: live.indexes.iter().find(|index| begins(read, index))?,
            limit,
            equal: [None; EQUAL_MAX],
            bounds: [None; 2],
            sorted: 0,
        };
        if let Some(after) = after {
            page.bounds[usize::from(first.descending)] = Some(Bound::After(after));
        }
        page.take_terms(first.column)?;
        page.take_order(*first)?;
        (page.bounds.iter().any(Option::is_some) && page.is_alone()).then_some(page)
    }

    /// The name of the index.
    pub fn index(&self) -> &'a str {
        &self.index.name
    }

    /// Whether rows that the index finds are compared once more, because it ends before the sort does:
    /// those that are equal to the row behind which the page starts.
    pub fn is_compared_again(&self) -> bool {
        let has_start = self.bounds.iter().any(|bound| matches!(bound, Some(Bound::After(_))));
        has_start && !self.is_covered()
    }

    /// Writes the statement.
    pub fn write<O: Out>(&self, out: &mut O) {
        let mut walk = Walk::<Postgres, O>::new(&self.read.binding, out);
        let covered = self.is_covered();
        if O::TEXT {
            walk.heads(self.read, false);
            if !covered {
                self.write_heads(&mut walk);
            }
        }
        walk.table();
        walk.text(" WHERE ");
        self.write_bound(&mut walk, false);
        walk.text(" AND ");
        self.write_bound(&mut walk, true);
        if !O::TEXT {
            return;
        }
        self.write_order(&mut walk);
        if !covered {
            walk.text(&format!(" FETCH FIRST {} ROWS WITH TIES) AS \"_sora_rows\"", self.limit));
            walk.order(&self.read.sort);
        }
        walk.text(&format!(" LIMIT {}", self.limit));
    }

    /// Takes each term of the filter for what it is in the run; `None` if one has no place in it.
    fn take_terms(&mut self, range: u16) -> Option<()> {
        for term in &*self.read.filter {
            let Predicate::Compare { column, comparison, value } = term else { return None };
            let place = match comparison {
                _ if value.is_null() => return None,
                Comparison::Equal if *column != range => {
                    let binding = &self.read.binding;
                    let at = binding.live_position(*column);
                    let at = self.index.columns.iter().position(|other| *other == at)?;
                    let place = self.equal.get_mut(at).filter(|place| place.is_none())?;
                    *place = Some((*column, value)).filter(|_| is_compared(binding, *column));
                    place.as_ref().map(drop)?;
                    continue;
                }
                Comparison::Greater | Comparison::GreaterOrEqual if *column == range => 0,
                Comparison::Less | Comparison::LessOrEqual if *column == range => 1,
                _ => return None,
            };
            // Of two bounds at one end the server need not start at the closer one.
            if self.bounds[place].is_some() {
                return None;
            }
            self.bounds[place] = Some(Bound::Value(*comparison, value));
        }
        Some(())
    }

    /// Finds how far the order of the index is that of the page.
    fn take_order(&mut self, first: Sort) -> Option<()> {
        let equal = self.equal_len();
        let columns = &self.index.columns;
        let sorted = columns.get(equal..)?.iter().zip(&*self.read.sort);
        let sorted = sorted
            .take_while(|(at, sort)| self.read.binding.live_position(sort.column) == **at)
            .count();
        let descending = self.index.descending.get(..equal + sorted)?;
        let is_one_direction = descending.windows(2).all(|pair| pair[0] == pair[1]);
        // No term may lie behind a gap, and the range is of the column that the page is sorted by.
        let has_gap = self.equal[equal..].iter().any(Option::is_some);
        let is_page = equal > 0 && sorted > 0 && is_one_direction && !has_gap;
        self.sorted = sorted;
        (is_page && self.read.sort.first() == Some(&first)).then_some(())
    }

    /// Whether no other index begins with the same column.
    fn is_alone(&self) -> bool {
        let live = self.read.binding.live();
        let first = self.index.columns.first();
        let others = live.indexes.iter().filter(|index| index.columns.first() == first).count();
        let is_key = live.key.first() == first && live.key != self.index.columns;
        others == 1 && !is_key
    }

    fn equal_len(&self) -> usize {
        self.equal.iter().take_while(|equal| equal.is_some()).count()
    }

    fn equals(&self) -> impl Iterator<Item = (u16, &'a Value)> {
        self.equal.into_iter().map_while(|equal| equal)
    }

    fn is_covered(&self) -> bool {
        self.sorted == self.read.sort.len()
    }

    /// Writes what is selected of the table where the page is sorted outside.
    fn write_heads<O: Out>(&self, walk: &mut Walk<'_, Postgres, O>) {
        walk.text("(SELECT ");
        let mut columns: Vec<u16> = self.read.columns.to_vec();
        let labels = label_columns::<Postgres>(&self.read.binding, &self.read.columns);
        let sort = self.read.sort.iter().map(|sort| sort.column);
        for column in labels.chain(sort) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        walk.columns(&columns);
        walk.text(" FROM ");
    }

    /// Writes one end of the run, `upper` or lower, as a comparison of rows.
    fn write_bound<O: Out>(&self, walk: &mut Walk<'_, Postgres, O>, upper: bool) {
        let bound = self.bounds[usize::from(upper)];
        let range: &[Sort] = match bound {
            None => &[],
            Some(Bound::Value(..)) => &self.read.sort[..1],
            Some(Bound::After(_)) => &self.read.sort,
        };
        let is_row = self.equal_len() + range.len() > 1;
        let is_open = match bound {
            None => false,
            Some(Bound::Value(comparison, _)) => {
                matches!(comparison, Comparison::Greater | Comparison::Less)
            }
            Some(Bound::After(_)) => true,
        };
        walk.text(if is_row { "(" } else { "" });
        let columns = self.equals().map(|(column, _)| column);
        for (index, column) in columns.chain(range.iter().map(|sort| sort.column)).enumerate() {
            walk.comma(index);
            walk.column(column);
        }
        walk.text(if is_row { ")" } else { "" });
        walk.text(match (upper, is_open) {
            (false, false) => " >= ",
            (false, true) => " > ",
            (true, false) => " <= ",
            (true, true) => " < ",
        });
        walk.text(if is_row { "(" } else { "" });
        for (index, (column, value)) in self.equals().enumerate() {
            walk.comma(index);
            // Of the first alone the value would be seen.
            walk.text(if index == 0 { "(SELECT " } else { "" });
            walk.compared(column, value.cell());
            walk.text(if index == 0 { ")" } else { "" });
        }
        let values = match bound {
            None => &[][..],
            Some(Bound::Value(_, value)) => std::slice::from_ref(value),
            Some(Bound::After(values)) => values,
        };
        for (sort, value) in range.iter().zip(values) {
            walk.text(", ");
            walk.compared(sort.column, value.cell());
        }
        walk.text(if is_row { ")" } else { "" });
    }

    /// Writes the order of the index, as far as it is that of the page.
    fn write_order<O: Out>(&self, walk: &mut Walk<'_, Postgres, O>) {
        let descending = self.read.sort.first().is_some_and(|sort| sort.descending);
        let sorted = self.read.sort.iter().take(self.sorted).map(|sort| sort.column);
        let columns = self.equals().map(|(column, _)| column).chain(sorted);
        for (index, column) in columns.enumerate() {
            walk.text(if index > 0 { ", " } else { " ORDER BY " });
            walk.column(column);
            walk.text(if descending { " DESC" } else { "" });
        }
    }
}

/// Whether an index holds all rows, and has a column of the filter first and that of the sort behind.
fn begins(read: &Read, index: &LiveIndex) -> bool {
    let is_equal = |term: &Predicate| {
        matches!(term, Predicate::Compare { column, comparison: Comparison::Equal, .. }
            if index.columns.first() == Some(&read.binding.live_position(*column)))
    };
    let first = read.sort.first().map(|sort| read.binding.live_position(sort.column));
    let rest = index.columns.get(1..).unwrap_or_default();
    index.is_complete
        && rest.iter().any(|at| Some(*at) == first)
        && read.filter.iter().any(is_equal)
}

/// Whether a column is never null, and equal and ordered as the store compares it.
fn is_compared(binding: &Binding, column: u16) -> bool {
    let live = binding.live_column(column);
    let is_known = !matches!(live.column_type, Type::Json | Type::Unknown);
    is_known && !live.nullable && !Postgres::finds_equal(live)
}

/// The same, and by bytes.
fn is_by_bytes(binding: &Binding, column: u16) -> bool {
    let live = binding.live_column(column);
    is_compared(binding, column) && Postgres::byte_order(live, false).is_none()
}
