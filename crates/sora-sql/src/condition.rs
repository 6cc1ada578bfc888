//! Predicates as SQL, with its three-valued logic kept.

use sora_core::{Comparison, Predicate, Truth, Value};

use crate::walk::Walk;
use crate::{Dialect, Out};

impl<D: Dialect, O: Out> Walk<'_, D, O> {
    /// Writes conditions that must all hold, each in a form that `AND` can stand beside.
    pub(crate) fn all(&mut self, conditions: &[Predicate]) {
        self.joined(conditions, " AND ", &mut |walk, part| walk.operand(part));
    }

    /// Writes a condition so that every operator can stand beside it.
    fn operand(&mut self, predicate: &Predicate) {
        let open = matches!(predicate, Predicate::And(_) | Predicate::Or(_));
        if open {
            self.text("(");
        }
        self.condition(predicate);
        if open {
            self.text(")");
        }
    }

    fn condition(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::Constant(truth) => self.constant(*truth),
            Predicate::Bool(column) => {
                self.column(*column);
                self.text(" = TRUE");
            }
            Predicate::Compare { column, comparison, value } => {
                self.compare(*column, *comparison, value);
            }
            Predicate::In { column, values, null } => self.is_in(*column, values, *null),
            Predicate::Like { column, pattern, fold } => {
                D::matches(self, *column, pattern, *fold);
            }
            Predicate::IsNull(column) => self.is_null(*column),
            Predicate::Is { operand, truth } => {
                self.text("(");
                self.condition(operand);
                self.text(if *truth { ") IS TRUE" } else { ") IS FALSE" });
            }
            Predicate::And(parts) if parts.is_empty() => self.constant(Truth::True),
            Predicate::Or(parts) if parts.is_empty() => self.constant(Truth::False),
            Predicate::And(parts) => self.all(parts),
            Predicate::Or(parts) => {
                self.joined(parts, " OR ", &mut |walk, part| walk.operand(part));
            }
            Predicate::Not(operand) => {
                self.text("NOT (");
                self.condition(operand);
                self.text(")");
            }
            // Forgetting a new kind must not widen the result: an unknown condition keeps no row,
            // and `negotiate` never says that a store decides it.
            _ => self.constant(Truth::Unknown),
        }
    }

    pub(crate) fn constant(&mut self, truth: Truth) {
        self.text(match truth {
            Truth::True => "TRUE",
            Truth::False => "FALSE",
            Truth::Unknown => "NULL",
        });
    }

    fn compare(&mut self, column: u16, comparison: Comparison, value: &Value) {
        match comparison {
            Comparison::Equal => self.equals(column, value.cell()),
            Comparison::NotEqual => {
                self.equal_operand(column);
                self.text(" <> ");
                self.compared(column, value.cell());
            }
            order => {
                self.ordered_operand(column);
                self.text(match order {
                    Comparison::Less => " < ",
                    Comparison::LessOrEqual => " <= ",
                    Comparison::Greater => " > ",
                    _ => " >= ",
                });
                self.compared(column, value.cell());
            }
        }
    }

    fn is_in(&mut self, column: u16, values: &[Value], null: bool) {
        match (values.is_empty(), null) {
            // False for every row, null too.
            (true, false) => self.constant(Truth::False),
            (true, true) => self.constant(Truth::Unknown),
            (false, false) => self.is_one_of(column, values.iter().map(Value::cell)),
            (false, true) => {
                // What is not found beside a null is unknown.
                self.text("(");
                self.is_one_of(column, values.iter().map(Value::cell));
                self.text(" OR NULL)");
            }
        }
    }
}
