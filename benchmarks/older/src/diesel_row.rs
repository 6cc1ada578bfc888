//! The table and its rows, for diesel and diesel-async.

use diesel::prelude::*;
use sora_benchmarks::Item;

diesel::table! {
    item (id) {
        id -> BigInt,
        name -> Text,
        city -> Text,
        population -> BigInt,
        score -> Double,
        at -> Nullable<BigInt>,
    }
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = item)]
pub(crate) struct Row {
    id: i64,
    name: String,
    city: String,
    population: i64,
    score: f64,
    at: Option<i64>,
}

impl From<Item> for Row {
    fn from(Item { id, name, city, population, score, at }: Item) -> Self {
        Self { id, name, city, population, score, at }
    }
}

/// The page of a city, as a query.
macro_rules! page {
    ($city:expr) => {
        item::table
            .filter(item::city.eq($city))
            .filter(item::population.ge(1_000))
            .order((item::population.desc(), item::id.desc()))
            .limit(50)
            .select(Row::as_select())
    };
}

/// An upsert of these rows, as a statement.
macro_rules! upsert {
    ($rows:expr) => {
        diesel::insert_into(item::table).values($rows).on_conflict(item::id).do_update().set((
            item::name.eq(excluded(item::name)),
            item::city.eq(excluded(item::city)),
            item::population.eq(excluded(item::population)),
            item::score.eq(excluded(item::score)),
            item::at.eq(excluded(item::at)),
        ))
    };
}

pub(crate) use {page, upsert};
