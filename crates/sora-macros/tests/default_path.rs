//! Without `crate = "…"` derived code goes through `::sora::derive`.

extern crate sora_core as sora;

use sora_macros::{ColumnType, Entity, Insert, Projection};

#[derive(ColumnType)]
struct Name(String);

#[derive(Entity)]
struct City {
    #[sora(key, identity)]
    id: i64,
    name: Name,
}

#[derive(Insert)]
#[sora(entity = City)]
struct NewCity {
    name: Name,
}

#[derive(Projection)]
#[sora(entity = City)]
struct CityName {
    name: Name,
}

#[test]
fn derived_code_finds_sora() {
    let mut cells: Vec<sora::Value> = Vec::new();
    sora::Insert::<City>::encode(&NewCity { name: Name("Rome".into()) }, &mut cells)
        .expect("encodes");
    let read = <CityName as sora::Projection<City>>::decode(&cells).expect("decodes");
    assert_eq!(read.name.0, "Rome");
    assert_eq!(City::ID.column(), 0);
}
