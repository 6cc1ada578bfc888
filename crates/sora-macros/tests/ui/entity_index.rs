//! Indexes.

use sora_macros::Entity;

#[derive(Entity)]
#[sora(index(nmae))]
struct UnknownField {
    #[sora(key)]
    id: i64,
    name: String,
}

#[derive(Entity)]
#[sora(unique(distance))]
struct SkippedField {
    #[sora(key)]
    id: i64,
    #[sora(skip)]
    distance: f64,
}

#[derive(Entity)]
#[sora(index(tags))]
struct JsonField {
    #[sora(key)]
    id: i64,
    #[sora(json)]
    tags: Vec<String>,
}

#[derive(Entity)]
#[sora(index(name, name))]
struct FieldTwice {
    #[sora(key)]
    id: i64,
    name: String,
}

#[derive(Entity)]
#[sora(index(name))]
struct IndexTwice {
    #[sora(key)]
    id: i64,
    #[sora(index)]
    name: String,
}

#[derive(Entity)]
#[sora(index(name, name = "one"), unique(name, name = "one"))]
struct NameTwice {
    #[sora(key)]
    id: i64,
    name: String,
}

#[derive(Entity)]
#[sora(index)]
struct NoFields {
    #[sora(key)]
    id: i64,
}

#[derive(Entity)]
#[sora(unique(name = "empty"))]
struct NoFieldButAName {
    #[sora(key)]
    id: i64,
}

fn main() {}
