//! Literals that a field is not compared with.

use sora_macros::Entity;

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct City {
    #[sora(key)]
    id: i64,
    name: String,
    population: Option<u32>,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct River {
    #[sora(key)]
    id: i64,
}

fn main() {
    let _ = City::NAME.eq(5);
    let _ = City::POPULATION.gt("many");
    let _ = City::NAME.eq("Rome") & River::ID.eq(5);
}
