//! Structs that columns are read into.

use sora_macros::{Entity, Projection};

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct City {
    #[sora(key)]
    id: i64,
    name: String,
    population: Option<u32>,
}

#[derive(Projection)]
#[sora(crate = "sora_core", entity = City)]
struct Borrowed<'a> {
    name: &'a str,
}

#[derive(Projection)]
#[sora(crate = "sora_core", entity = City)]
struct UnknownField {
    state: String,
    #[sora(field = "country")]
    name: String,
}

#[derive(Projection)]
#[sora(crate = "sora_core", entity = City)]
struct WrongTypes {
    name: Option<String>,
    population: u32,
}

#[derive(Projection)]
#[sora(crate = "sora_core", entity = Nowhere)]
struct UnknownEntity {
    name: String,
}

fn main() {}
