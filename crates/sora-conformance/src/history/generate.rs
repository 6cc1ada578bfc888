//! Random tables and writes, from few values so that rows meet.

use std::fmt;

use sora_core::write::{self, OnConflict, Target, Write};
use sora_core::{
    Assigned, Assignment, Column, Comparison, Decimal, Predicate, Result, Schema, Type, Value,
};

use crate::random::Random;
use crate::store::{Cells, Fixture};

/// A random write, in words that any store can be told.
#[derive(Clone, Debug)]
pub(super) struct Change {
    kind: Kind,
    atomic: bool,
    returning: Option<Vec<u16>>,
}

#[derive(Clone, Debug)]
enum Kind {
    Insert { columns: Vec<u16>, rows: Vec<Cells>, on_conflict: OnConflict },
    Update { columns: Vec<u16>, rows: Vec<Cells>, check_version: bool },
    Patch { place: Place, assignments: Vec<Assignment>, version: Option<i64> },
    Delete { place: Place, version: Option<i64> },
}

/// Which rows.
#[derive(Clone, Debug)]
struct Place {
    keys: Option<Vec<Cells>>,
    filter: Option<Predicate>,
}

/// Returns a random table with uniques, a range and perhaps a version.
pub(super) fn schema(random: &mut Random, number: u64) -> Result<Schema> {
    let key_type = *random.pick(&[Type::I64, Type::Text, Type::Uuid]);
    let versioned = random.percent(50);
    let mut columns = vec![
        Column::new("id", key_type),
        Column::new("name", Type::Text).nullable(),
        Column::new("a", Type::I64).nullable(),
        Column::new("b", Type::Date).nullable(),
        Column::new("score", Type::I64).range(0, 9).nullable(),
        Column::new("price", Type::Decimal { precision: 3, scale: 1 }).nullable(),
        Column::new("float", Type::F64),
        Column::new("given", Type::I64).assigned(Assigned::Default(Value::I64(7))),
    ];
    if random.percent(30) {
        columns.push(Column::new("part", Type::I64));
    }
    if versioned {
        columns.push(Column::new("version", Type::I64));
    }
    // The key stands anywhere.
    let place = random.below(columns.len());
    columns.swap(0, place);
    let is_wide = columns.iter().any(|column| &*column.name == "part");
    let mut builder = Schema::builder(format!("history {number}"));
    for column in columns {
        builder = builder.column(column);
    }
    builder = if is_wide { builder.key(["part", "id"]) } else { builder.key(["id"]) };
    builder = builder.unique(["name"]).unique(["a", "b"]).index(["score"]);
    if versioned {
        builder = builder.version("version");
    }
    builder.build()
}

/// Whether the rows of a change come in the order in which they were listed.
pub(super) fn has_order(change: &write::Change) -> bool {
    match change {
        write::Change::Patch { target, .. } => target.keys.is_some(),
        _ => true,
    }
}

impl Change {
    pub(super) fn random(random: &mut Random, schema: &Schema) -> Self {
        let mut writer = Writer { random, schema };
        let kind = match writer.random.below(10) {
            0..=3 => writer.insert(),
            4 | 5 => writer.update(),
            6 | 7 => writer.patch(),
            _ => {
                let place = writer.place();
                let version = writer.version(&place);
                Kind::Delete { place, version }
            }
        };
        let all: Vec<u16> = schema.visible().collect();
        let returning = random.percent(30).then_some(all);
        Self { kind, atomic: random.percent(35), returning }
    }

    /// Returns the write for a store.
    pub(super) fn write(&self, fixture: &Fixture<'_>) -> Result<Write> {
        let mut write = match &self.kind {
            Kind::Insert { columns, rows, on_conflict } => {
                fixture.insert_columns(columns, rows, on_conflict.clone())?
            }
            Kind::Update { columns, rows, check_version } => {
                fixture.update(columns, rows, *check_version)?
            }
            Kind::Patch { place, assignments, version } => {
                let target = place.target(fixture)?;
                let assignments = assignments.as_slice().into();
                let change = write::Change::Patch { target, assignments, version: *version };
                Write::new(fixture.binding.clone(), change)
            }
            Kind::Delete { place, version } => {
                let change =
                    write::Change::Delete { target: place.target(fixture)?, version: *version };
                Write::new(fixture.binding.clone(), change)
            }
        };
        write.atomic = self.atomic;
        write.returning = self.returning.as_deref().map(Into::into);
        Ok(write)
    }
}

impl Place {
    fn target(&self, fixture: &Fixture<'_>) -> Result<Target> {
        let keys = self.keys.as_deref().map(|keys| fixture.keys(keys)).transpose()?;
        Ok(Target { keys, filter: self.filter.iter().cloned().collect() })
    }
}

/// Writes random changes of a table.
struct Writer<'a> {
    random: &'a mut Random,
    schema: &'a Schema,
}

impl Writer<'_> {
    fn insert(&mut self) -> Kind {
        let mut columns: Vec<u16> = self.schema.visible().collect();
        if self.random.percent(40) {
            // Some of those that need not be given.
            let schema = self.schema;
            let random = &mut *self.random;
            columns.retain(|at| schema.column(*at).is_required() || random.percent(50));
        }
        let on_conflict = match self.random.below(5) {
            0 => OnConflict::Fail,
            1 => OnConflict::Ignore,
            2 => OnConflict::Update(self.schema.key().into()),
            _ => {
                let uniques: Vec<_> =
                    self.schema.indexes().iter().filter(|index| index.unique).collect();
                let columns_of = &self.random.pick(&uniques).columns;
                for column in columns_of {
                    if !columns.contains(column) {
                        columns.push(*column);
                    }
                }
                OnConflict::Update(columns_of.to_vec().into())
            }
        };
        let rows = self.rows(&columns);
        Kind::Insert { columns, rows, on_conflict }
    }

    fn update(&mut self) -> Kind {
        let check_version = self.schema.version().is_some() && self.random.percent(50);
        let schema = self.schema;
        let random = &mut *self.random;
        let is_needed = |at: &u16| {
            schema.key().contains(at) || (check_version && schema.version() == Some(*at))
        };
        let columns: Vec<u16> =
            schema.visible().filter(|at| is_needed(at) || random.percent(50)).collect();
        let rows = self.rows(&columns);
        Kind::Update { columns, rows, check_version }
    }

    fn patch(&mut self) -> Kind {
        let place = self.place();
        // Of several changes by filter it is not said which fails first.
        let count = if place.keys.is_some() { 1 + self.random.below(3) } else { 1 };
        let mut assignments: Vec<Assignment> = Vec::new();
        while assignments.len() < count {
            let column = u16::try_from(self.random.below(self.schema.columns().len())).unwrap_or(0);
            let is_fixed =
                self.schema.key().contains(&column) || self.schema.version() == Some(column);
            if is_fixed || assignments.iter().any(|other| other.column == column) {
                continue;
            }
            let column_type = self.schema.column(column).column_type;
            let is_number = matches!(column_type, Type::I64 | Type::F64 | Type::Decimal { .. });
            let is_unique = self.schema.indexes()[1].columns.contains(&column);
            // Rows that take each other's place meet or not by their order.
            let add = is_number && self.random.percent(60) && !(is_unique && place.keys.is_none());
            let value = match self.value(column) {
                Value::Null if add => Value::I64(1),
                value => value,
            };
            if !add || value.cell().kind_name() == kind_of(column_type) {
                assignments.push(Assignment { column, add, value });
            }
        }
        let version = self.version(&place);
        Kind::Patch { place, assignments, version }
    }

    fn place(&mut self) -> Place {
        let by_keys = self.random.percent(70);
        let keys = by_keys.then(|| {
            let count = 1 + self.random.below(4);
            (0..count).map(|_| self.cells(self.schema.key())).collect()
        });
        let filter = (!by_keys || self.random.percent(20)).then(|| {
            let column = self.schema.find("score").unwrap_or(0);
            let comparison = *self.random.pick(&[Comparison::Less, Comparison::GreaterOrEqual]);
            let value = Value::I64(i64::try_from(self.random.below(10)).unwrap_or(0));
            Predicate::Compare { column, comparison, value }
        });
        Place { keys, filter }
    }

    /// A version is of one row, which its key names.
    fn version(&mut self, place: &Place) -> Option<i64> {
        let is_versioned = self.schema.version().is_some() && place.keys.is_some();
        let is_asked = is_versioned && self.random.percent(20);
        is_asked.then(|| 1 + i64::try_from(self.random.below(3)).unwrap_or(0))
    }

    fn rows(&mut self, columns: &[u16]) -> Vec<Cells> {
        (0..=self.random.below(5)).map(|_| self.cells(columns)).collect()
    }

    fn cells(&mut self, columns: &[u16]) -> Cells {
        columns.iter().map(|column| self.value(*column)).collect()
    }

    fn value(&mut self, at: u16) -> Value {
        let column = self.schema.column(at);
        let number = i64::try_from(self.random.below(8)).unwrap_or(0);
        if column.nullable && self.random.percent(25) {
            return Value::Null;
        }
        match column.column_type {
            Type::Text => Value::Text(format!("t{number}").into()),
            Type::Date => sora_core::Date::from_days(i32::try_from(number % 3).unwrap_or(0))
                .map_or(Value::Null, Value::Date),
            Type::F64 => Value::F64(*self.random.pick(&FLOATS)),
            Type::Decimal { .. } => {
                let tenths = *self.random.pick(&[0, 1, -1, 15, 500, -500, 999, -999]);
                Decimal::new(tenths, 1).map_or(Value::Null, Value::Decimal)
            }
            Type::Uuid => {
                let mut uuid = [0; 16];
                uuid[15] = u8::try_from(number).unwrap_or(0);
                Value::Uuid(uuid)
            }
            _ if &*column.name == "version" => Value::I64(1 + number % 3),
            _ if &*column.name == "given" && self.random.percent(10) => Value::I64(i64::MAX),
            _ => Value::I64(number),
        }
    }
}

const FLOATS: [f64; 8] = [0.0, -0.0, 1.5, -2.0, 0.1, 1e300, f64::INFINITY, f64::NEG_INFINITY];

fn kind_of(column_type: Type) -> &'static str {
    match column_type {
        Type::F64 => "f64",
        Type::Decimal { .. } => "decimal",
        _ => "i64",
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, atomic, returning } = self;
        let all = if *atomic { ", all or none" } else { "" };
        let returned = if returning.is_some() { ", returning" } else { "" };
        write!(f, "  {kind:?}{all}{returned}")
    }
}
