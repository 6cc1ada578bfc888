//! Where a page starts: behind the row with given values of the sort columns.

use sora_core::read::{Output, Read};
use sora_core::{Binding, Sort, Truth, Value};

use crate::walk::Walk;
use crate::{Dialect, Out};

/// The part of a read that one statement answers.
///
/// A page that starts among the values of a nullable column and goes on with its nulls, or the other
/// way round, is no single range of an index. It is asked as two, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Portion {
    /// All of it.
    All,
    /// The rows behind the position that share whether the first column is null.
    Near,
    /// The rest: all rows of which the first column is null, or not, as those before were not.
    Far,
}

/// Returns the portions that answer a read, in order.
pub fn portions(read: &Read) -> &'static [Portion] {
    let (Some(after), Some(first)) = (&read.after, read.sort.first()) else {
        return &[Portion::All];
    };
    let nullable = read.binding.live_column(first.column).nullable;
    let others_follow = after.first().is_some_and(Value::is_null) != first.descending;
    if nullable && others_follow && read.output == Output::Rows && read.offset == 0 {
        &[Portion::Near, Portion::Far]
    } else {
        &[Portion::All]
    }
}

impl<D: Dialect, O: Out> Walk<'_, D, O> {
    /// Writes the condition that a row stands behind the position, in a form that `AND` can stand
    /// beside.
    pub(crate) fn behind(&mut self, sort: &[Sort], after: &[Value], portion: Portion) {
        let (Some(first), Some(value)) = (sort.first(), after.first()) else {
            return self.constant(Truth::True);
        };
        match (portion, value.is_null()) {
            (Portion::Far, null) => {
                self.column(first.column);
                self.text(if null { " IS NOT NULL" } else { " IS NULL" });
            }
            (portion, true) if portion == Portion::Near || first.descending => {
                self.is_null(first.column);
                self.text(" AND ");
                match sort.len() {
                    1 => self.constant(Truth::False),
                    _ => self.behind(&sort[1..], &after[1..], Portion::All),
                }
            }
            (portion, _) if is_row_value(self.binding, sort, after, portion) => {
                self.row_value(sort, after);
            }
            (portion, _) => {
                // Redundant, but it is the range in which an index is entered.
                if self.bound(*first, value, portion) {
                    self.text(" AND ");
                }
                self.text("(");
                self.expanded(sort, after, portion);
                self.text(")");
            }
        }
    }

    fn row_value(&mut self, sort: &[Sort], after: &[Value]) {
        let many = sort.len() > 1;
        self.text(if many { "(" } else { "" });
        for (index, sort) in sort.iter().enumerate() {
            self.comma(index);
            self.ordered_operand(sort.column);
        }
        let descending = sort.first().is_some_and(|sort| sort.descending);
        self.text(match (many, descending) {
            (true, false) => ") > (",
            (true, true) => ") < (",
            (false, false) => " > ",
            (false, true) => " < ",
        });
        for (index, (sort, value)) in sort.iter().zip(after).enumerate() {
            self.comma(index);
            self.compared(sort.column, value.cell());
        }
        self.text(if many { ")" } else { "" });
    }

    /// Writes the range of the first column; says whether there is one.
    fn bound(&mut self, sort: Sort, value: &Value, portion: Portion) -> bool {
        if value.is_null() {
            return false;
        }
        if sort.descending && self.is_nullable(sort.column) && portion == Portion::All {
            return false;
        }
        self.ordered_operand(sort.column);
        self.text(if sort.descending { " <= " } else { " >= " });
        self.compared(sort.column, value.cell());
        true
    }

    /// Writes: behind by the first column, or equal in it and behind by the others.
    fn expanded(&mut self, sort: &[Sort], after: &[Value], portion: Portion) {
        let (Some((first, sort)), Some((value, after))) = (sort.split_first(), after.split_first())
        else {
            return self.constant(Truth::False);
        };
        self.strictly_behind(*first, value, portion);
        if sort.is_empty() {
            return;
        }
        self.text(" OR (");
        if value.is_null() {
            self.is_null(first.column);
        } else {
            self.equals(first.column, value.cell());
        }
        self.text(" AND (");
        self.expanded(sort, after, Portion::All);
        self.text("))");
    }

    fn strictly_behind(&mut self, sort: Sort, value: &Value, portion: Portion) {
        match (value.is_null(), sort.descending) {
            // Nulls are last here, so nothing is behind one.
            (true, true) => self.constant(Truth::False),
            (true, false) => {
                self.column(sort.column);
                self.text(" IS NOT NULL");
            }
            (false, descending) => {
                self.ordered_operand(sort.column);
                self.text(if descending { " < " } else { " > " });
                self.compared(sort.column, value.cell());
                if descending && self.is_nullable(sort.column) && portion == Portion::All {
                    self.text(" OR ");
                    self.is_null(sort.column);
                }
            }
        }
    }

    fn is_nullable(&self, column: u16) -> bool {
        self.binding.live_column(column).nullable
    }
}

/// Whether one comparison of rows says it: one direction, and no null that it could miss.
fn is_row_value(binding: &Binding, sort: &[Sort], after: &[Value], portion: Portion) -> bool {
    let nullable = |sort: &Sort| binding.live_column(sort.column).nullable;
    let Some((first, others)) = sort.split_first() else { return false };
    let nulls_follow = first.descending && nullable(first) && portion == Portion::All;
    !nulls_follow
        && after.iter().all(|value| !value.is_null())
        && others.iter().all(|other| other.descending == first.descending && !nullable(other))
}
