//! Structs that are inserted.

use sora_macros::{Entity, Insert};

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct Post {
    #[sora(key, identity)]
    id: i64,
    title: String,
    views: i64,
    rating: Option<f64>,
}

#[derive(Insert)]
#[sora(crate = "sora_core")]
struct NoEntity {
    title: String,
}

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct Empty {}

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct FieldTwice {
    title: String,
    #[sora(field = "title")]
    other: String,
}

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct UnknownAttribute {
    #[sora(column = "title")]
    other: String,
}

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct NoName {
    #[sora(field = "no name")]
    other: String,
    #[sora(field = "")]
    third: String,
    #[sora(field = "5th")]
    fourth: String,
}

fn main() {}
