//! Random tables and questions, from few values so that filters hit.

use std::sync::Arc;

use sora_core::{
    AggregateFunction, Aggregation, Column, Comparison, Date, Decimal, Measure, Pattern, Predicate,
    Schema, Sort, Timestamp, Truth, Type, Value,
};

use super::Pool;
use crate::data::{edges, foreign};
use crate::random::Random;
use crate::store::Cells;

/// A table with its rows.
#[derive(Debug)]
pub(super) struct Case {
    table: String,
    columns: Vec<Column>,
    key: Vec<Box<str>>,
    indexes: Vec<Vec<Box<str>>>,
    pub(super) pools: Vec<Pool>,
    pub(super) rows: Vec<Cells>,
}

/// A query of a table.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) filter: Predicate,
    pub(super) sort: Vec<Sort>,
    pub(super) columns: Vec<u16>,
    /// What is computed over the rows, if they are walked over so.
    pub(super) aggregation: Aggregation,
    pub(super) walk: Walk,
}

/// How the rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Walk {
    Aggregate,
    All,
    Count,
    Page {
        offset: usize,
        limit: usize,
    },
    /// Page behind page.
    Cursors {
        rows: usize,
    },
}

impl Case {
    pub(super) fn random(random: &mut Random, number: u64) -> Self {
        let mut columns: Vec<Column> = Vec::new();
        for at in 0..2 + random.below(5) {
            let column = Column::new(format!("c{at}"), column_type(random));
            columns.push(if random.percent(70) { column.nullable() } else { column });
        }
        let mut key: Vec<Box<str>> = Vec::new();
        for (at, key_type) in random.pick(KEYS).iter().enumerate() {
            let name = format!("k{at}");
            let place = random.below(columns.len() + 1);
            columns.insert(place, Column::new(name.clone(), *key_type));
            key.push(name.into());
        }
        let pools: Vec<Pool> =
            columns.iter().map(|column| pool(random, column.column_type)).collect();
        let indexes = indexes(random, &columns);
        let table = format!("case {number}");
        let mut case = Self { table, columns, key, indexes, pools, rows: Vec::new() };
        let count = 5 + random.below(45);
        case.rows = case.random_rows(random, count);
        case
    }

    pub(super) fn schema(&self) -> Result<Arc<Schema>, String> {
        let mut builder = Schema::builder(self.table.clone());
        for column in &self.columns {
            builder = builder.column(column.clone());
        }
        for index in &self.indexes {
            builder = builder.index(index.iter().cloned());
        }
        let schema = builder.key(self.key.iter().cloned()).build();
        schema.map(Arc::new).map_err(|error| error.to_string())
    }

    /// Rows with distinct keys, in an order that is not the key's.
    fn random_rows(&self, random: &mut Random, count: usize) -> Vec<Cells> {
        let mut rows: Vec<Cells> = Vec::new();
        let is_key = |column: &Column| self.key.contains(&column.name);
        for _ in 0..count {
            let mut row = Cells::new();
            for (column, pool) in self.columns.iter().zip(&self.pools) {
                row.push(match is_key(column) {
                    true => key_value(random, column.column_type),
                    false if column.nullable && random.percent(20) => Value::Null,
                    false => random.pick(pool).clone(),
                });
            }
            let key = |row: &Cells| -> Vec<Value> {
                let cells = self.columns.iter().zip(row);
                cells.filter(|(column, _)| is_key(column)).map(|(_, value)| value.clone()).collect()
            };
            if rows.iter().all(|other| key(other) != key(&row)) {
                rows.push(row);
            }
        }
        rows
    }
}

/// Types of keys.
const KEYS: &[&[Type]] = &[
    &[Type::I64],
    &[Type::I64],
    &[Type::Text],
    &[Type::Uuid],
    &[Type::Date, Type::I64],
    &[Type::Text, Type::Bytes],
    &[Type::Timestamp],
];

/// Indexes of one or two columns, so that filters and sorts are served by them.
fn indexes(random: &mut Random, columns: &[Column]) -> Vec<Vec<Box<str>>> {
    let sortable: Vec<&Column> =
        columns.iter().filter(|column| column.column_type.is_sortable()).collect();
    let mut indexes: Vec<Vec<Box<str>>> = Vec::new();
    for _ in 0..random.below(4) {
        let mut index = vec![random.pick(&sortable).name.clone()];
        let second = &random.pick(&sortable).name;
        if random.percent(50) && !index.contains(second) {
            index.push(second.clone());
        }
        if !indexes.contains(&index) {
            indexes.push(index);
        }
    }
    indexes
}

fn column_type(random: &mut Random) -> Type {
    let scale = u8::try_from(random.below(5)).unwrap_or(0);
    let precision = scale + 1 + u8::try_from(random.below(20)).unwrap_or(0);
    *random.pick(&[
        Type::Bool,
        Type::I64,
        Type::I64,
        Type::F64,
        Type::Decimal { precision, scale },
        Type::Text,
        Type::Text,
        Type::Bytes,
        Type::Timestamp,
        Type::Date,
        Type::Uuid,
        Type::Json,
    ])
}

/// Returns few values of a type: some edges, and some between.
fn pool(random: &mut Random, column_type: Type) -> Pool {
    let edges = fitting(column_type);
    let mut pool: Pool = (0..2 + random.below(6)).map(|_| random.pick(&edges).clone()).collect();
    pool.extend((0..random.below(4)).map(|_| between(random, column_type)));
    pool
}

/// The edges of a type; of a decimal those that its digits allow.
fn fitting(column_type: Type) -> Vec<Value> {
    let Type::Decimal { precision, scale } = column_type else { return edges(column_type) };
    let most = 10i128.pow(u32::from(precision)) - 1;
    let unit = 10i128.pow(u32::from(scale));
    [-most, -unit, -1, 0, 1, unit, 2 * unit, most - 1, most]
        .into_iter()
        .filter(|mantissa| mantissa.abs() <= most)
        .filter_map(|mantissa| Decimal::new(mantissa, scale).map(Value::Decimal))
        .collect()
}

/// Returns a value that is no edge.
fn between(random: &mut Random, column_type: Type) -> Value {
    let small = i64::try_from(random.below(20)).unwrap_or(0) - 10;
    match column_type {
        Type::I64 => Value::I64(small),
        #[expect(clippy::cast_precision_loss, reason = "small")]
        Type::F64 => Value::F64(small as f64 / 4.0),
        Type::Decimal { precision, scale } => {
            let most = 10i128.pow(u32::from(precision)) - 1;
            Decimal::new(i128::from(small).clamp(-most, most), scale)
                .map_or(Value::Null, Value::Decimal)
        }
        Type::Text => Value::Text(text(random).into()),
        Type::Bytes => Value::Bytes((0..random.below(4)).map(|_| letter(random)).collect()),
        Type::Timestamp => {
            Timestamp::from_micros(small * 500_000).map_or(Value::Null, Value::Timestamp)
        }
        Type::Date => {
            let days = i32::try_from(small).unwrap_or(0);
            Date::from_days(days).map_or(Value::Null, Value::Date)
        }
        Type::Uuid => {
            let mut uuid = [0; 16];
            uuid[random.below(16)] = letter(random);
            Value::Uuid(uuid)
        }
        Type::Bool => Value::Bool(random.percent(50)),
        _ => Value::Json(format!("[{small}]").into()),
    }
}

fn letter(random: &mut Random) -> u8 {
    *random.pick(b"\x00 09AZaz\x7f\x80\xff")
}

/// A short text of signs that are special somewhere.
fn text(random: &mut Random) -> String {
    let signs = ["a", "A", "b", "é", "É", "%", "_", "\\", "'", " ", "😀", "*", "?", "[", "]", "."];
    (0..random.below(5)).map(|_| *random.pick(&signs)).collect()
}

/// A value of a key: many, so that few rows are left out because their key is taken.
fn key_value(random: &mut Random, key_type: Type) -> Value {
    let number = i64::try_from(random.below(1_000)).unwrap_or(0) - 500;
    match key_type {
        _ if random.percent(20) => random.pick(&edges(key_type)).clone(),
        Type::I64 => Value::I64(number),
        Type::Text => Value::Text(format!("{}{number}", text(random)).into()),
        Type::Bytes => Value::Bytes(number.to_be_bytes()[6..].into()),
        Type::Timestamp => Timestamp::from_micros(number).map_or(Value::Null, Value::Timestamp),
        Type::Date => {
            let days = i32::try_from(number).unwrap_or(0);
            Date::from_days(days).map_or(Value::Null, Value::Date)
        }
        _ => {
            let mut uuid = [0; 16];
            for half in uuid.chunks_mut(8) {
                half.copy_from_slice(&random.next().to_be_bytes());
            }
            Value::Uuid(uuid)
        }
    }
}

impl Question {
    pub(super) fn random(random: &mut Random, schema: &Schema, pools: &[Pool]) -> Self {
        let mut writer = Writer { random, schema, pools };
        let filter = match writer.random.below(10) {
            0 => Predicate::ALL,
            1..=4 => writer.predicate(2),
            _ => Predicate::And(
                (0..2 + writer.random.below(2)).map(|_| writer.predicate(3)).collect(),
            ),
        };
        let sort = writer.sort();
        let aggregation = writer.aggregation();
        let walk = match random.below(12) {
            10 | 11 => Walk::Aggregate,
            0..=3 => Walk::All,
            4 => Walk::Count,
            5..=7 => Walk::Page { offset: random.below(12), limit: random.below(15) },
            _ => Walk::Cursors { rows: 1 + random.below(12) },
        };
        let all: Vec<u16> = schema.visible().collect();
        let columns = match random.below(4) {
            0 => all,
            1 => vec![*random.pick(&all)],
            _ => schema.key().to_vec(),
        };
        Self { filter, sort, columns, aggregation, walk }
    }
}

/// Writes random conditions on a table.
struct Writer<'a> {
    random: &'a mut Random,
    schema: &'a Schema,
    pools: &'a [Pool],
}

impl Writer<'_> {
    fn predicate(&mut self, depth: usize) -> Predicate {
        if depth == 0 || self.random.percent(40) {
            return self.leaf();
        }
        let parts = |writer: &mut Self| -> Vec<Predicate> {
            (0..2 + writer.random.below(2)).map(|_| writer.predicate(depth - 1)).collect()
        };
        match self.random.below(7) {
            0 | 1 => Predicate::And(parts(self)),
            2..=4 => Predicate::Or(parts(self)),
            5 => {
                let operand = Box::new(self.predicate(depth - 1));
                Predicate::Is { operand, truth: self.random.percent(50) }
            }
            _ => Predicate::Not(Box::new(self.predicate(depth - 1))),
        }
    }

    fn leaf(&mut self) -> Predicate {
        let column = u16::try_from(self.random.below(self.schema.columns().len())).unwrap_or(0);
        let column_type = self.schema.column(column).column_type;
        let leaf = match self.random.below(20) {
            0 => {
                Predicate::Constant(*self.random.pick(&[Truth::True, Truth::False, Truth::Unknown]))
            }
            1 | 2 => Predicate::IsNull(column),
            _ if column_type == Type::Json => Predicate::IsNull(column),
            3..=6 if column_type == Type::Bool => Predicate::Bool(column),
            3..=9 if column_type == Type::Text => self.like(column),
            3..=8 => self.list(column),
            _ => self.compare(column),
        };
        if self.random.percent(15) { Predicate::Not(Box::new(leaf)) } else { leaf }
    }

    fn compare(&mut self, column: u16) -> Predicate {
        let comparison = *self.random.pick(&[
            Comparison::Equal,
            Comparison::NotEqual,
            Comparison::Less,
            Comparison::LessOrEqual,
            Comparison::Greater,
            Comparison::GreaterOrEqual,
        ]);
        let value = if self.random.percent(2) { Value::Null } else { self.literal(column) };
        Predicate::Compare { column, comparison, value }
    }

    fn list(&mut self, column: u16) -> Predicate {
        // Above and below the length from which a list is bound as one.
        let len = *self.random.pick(&[0, 1, 2, 3, 8, 9, 20]);
        let values = (0..len).map(|_| self.literal(column)).collect();
        Predicate::In { column, values, null: self.random.percent(10) }
    }

    fn like(&mut self, column: u16) -> Predicate {
        let mut pattern = String::new();
        for _ in 0..self.random.below(4) {
            match self.random.below(6) {
                0 | 1 => pattern.push('%'),
                2 => pattern.push('_'),
                3 => pattern += &text(self.random),
                _ => {
                    // A piece of a text that is there.
                    if let Value::Text(found) = self.literal(column) {
                        let from = self.random.below(3);
                        let len = 1 + self.random.below(3);
                        pattern.extend(found.chars().skip(from).take(len));
                    }
                }
            }
        }
        let fold = self.random.percent(40);
        if fold && self.random.percent(70) {
            // In the other case, or its match would say nothing.
            let flip = |c: char| match c.is_ascii_lowercase() {
                true => c.to_ascii_uppercase(),
                false => c.to_ascii_lowercase(),
            };
            pattern = pattern.chars().map(flip).collect();
        }
        let escape = self.random.percent(30).then_some('!');
        let pattern = Pattern::parse(&pattern.replace('!', ""), escape);
        match pattern {
            Ok(pattern) => Predicate::Like { column, pattern, fold },
            Err(_) => Predicate::IsNull(column),
        }
    }

    fn literal(&mut self, column: u16) -> Value {
        let column_type = self.schema.column(column).column_type;
        let others = foreign(column_type);
        match self.random.below(20) {
            0 if !others.is_empty() => self.random.pick(&others).clone(),
            1 => self.random.pick(&fitting(column_type)).clone(),
            2 | 3 => between(self.random, column_type),
            _ => self.random.pick(&self.pools[usize::from(column)]).clone(),
        }
    }

    fn aggregation(&mut self) -> Aggregation {
        use AggregateFunction::{Average, Count, Max, Min, Sum};
        let mut group: Vec<u16> = Vec::new();
        for _ in 0..*self.random.pick(&[0, 1, 1, 1, 2]) {
            let column = self.column();
            if self.schema.column(column).column_type.is_sortable() && !group.contains(&column) {
                group.push(column);
            }
        }
        let mut measures = vec![Measure::ROWS];
        for _ in 0..self.random.below(4) {
            let column = self.column();
            let functions: &[AggregateFunction] = match self.schema.column(column).column_type {
                Type::I64 | Type::F64 | Type::Decimal { .. } => &[Count, Min, Max, Sum, Average],
                Type::Json => &[Count],
                _ => &[Count, Min, Max],
            };
            measures.push(Measure::new(*self.random.pick(functions), column));
        }
        let groups_max = if self.random.percent(10) { 3 } else { Aggregation::GROUPS_MAX };
        Aggregation { groups_max, ..Aggregation::new(group, measures) }
    }

    fn column(&mut self) -> u16 {
        u16::try_from(self.random.below(self.schema.columns().len())).unwrap_or(0)
    }

    fn sort(&mut self) -> Vec<Sort> {
        let mut sort: Vec<Sort> = Vec::new();
        let len = *self.random.pick(&[0, 0, 0, 1, 1, 2, 3]);
        let descending = self.random.percent(50);
        for _ in 0..len {
            let column = u16::try_from(self.random.below(self.schema.columns().len())).unwrap_or(0);
            let is_new = sort.iter().all(|other| other.column != column);
            if is_new && self.schema.column(column).column_type.is_sortable() {
                // Mostly in one direction, as an index can serve it.
                let descending = descending != self.random.percent(20);
                sort.push(Sort { column, descending });
            }
        }
        sort
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_case_again() {
        let case = |seed| Case::random(&mut Random::new(seed), 0);
        assert_eq!(format!("{:?}", case(7)), format!("{:?}", case(7)));
        assert_ne!(format!("{:?}", case(7)), format!("{:?}", case(8)));
        assert!(!case(7).rows.is_empty());
    }
}
