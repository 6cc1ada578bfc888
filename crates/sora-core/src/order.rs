//! The order of rows by a sort, for all who sort above a store.

use std::cmp::Ordering;

use crate::{Cell, Sort, Value};

/// Orders two rows by a sort, given what finds their cells by column.
///
/// Null comes before every value; descending turns all around, so that null is last.
pub fn compare<'l, 'r>(
    sort: &[Sort],
    left: impl Fn(u16) -> Cell<'l>,
    right: impl Fn(u16) -> Cell<'r>,
) -> Ordering {
    sort.iter()
        .map(|by| directed(by.descending, left(by.column).sort_order(right(by.column))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Whether a row comes behind a position in a sort: the values of the sort's columns, in its order.
pub fn is_behind<'a>(
    sort: &[Sort],
    row: impl Fn(u16) -> Cell<'a>,
    position: impl IntoIterator<Item = &'a Value>,
) -> bool {
    sort.iter()
        .zip(position)
        .map(|(by, value)| directed(by.descending, row(by.column).sort_order(value.cell())))
        .find(|order| order.is_ne())
        .is_some_and(Ordering::is_gt)
}

fn directed(descending: bool, order: Ordering) -> Ordering {
    if descending { order.reverse() } else { order }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(columns: &[(u16, bool)]) -> Vec<Sort> {
        columns.iter().map(|&(column, descending)| Sort { column, descending }).collect()
    }

    #[test]
    fn null_is_first_ascending_and_last_descending() {
        let check = |descending, left: &Value, right: &Value, expected| {
            let order = compare(&sort(&[(0, descending)]), |_| left.cell(), |_| right.cell());
            assert_eq!(order, expected, "{left:?} {right:?} {descending}");
        };
        check(false, &Value::Null, &Value::I64(i64::MIN), Ordering::Less);
        check(true, &Value::Null, &Value::I64(i64::MIN), Ordering::Greater);
        check(true, &Value::I64(2), &Value::I64(1), Ordering::Less);
        check(true, &Value::Null, &Value::Null, Ordering::Equal);
    }

    #[test]
    fn later_columns_decide_between_equals() {
        let rows = [[Value::I64(1), Value::I64(9)], [Value::I64(1), Value::I64(5)]];
        let cell =
            |row: usize| move |column: u16| Cell::I64([[1, 9], [1, 5]][row][usize::from(column)]);
        let by = sort(&[(0, false), (1, true)]);
        assert_eq!(compare(&by, cell(0), cell(1)), Ordering::Less);
        assert!(is_behind(&by, cell(1), &rows[0]));
        assert!(!is_behind(&by, cell(0), &rows[0]));
        assert!(!is_behind(&by, cell(0), &rows[1]));
    }
}
