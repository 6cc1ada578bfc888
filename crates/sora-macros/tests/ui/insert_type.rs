//! Fields that do not fit the entity's.

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
#[sora(crate = "sora_core", entity = Post)]
struct UnknownField {
    titel: String,
    views: i64,
}

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct WrongTypes {
    title: i64,
    views: f64,
    rating: Option<f32>,
}

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct Optional<'a> {
    title: Option<&'a str>,
    views: Option<i64>,
}

fn insert<E: sora_core::Entity>(_row: impl sora_core::Insert<E>) {}

fn main() {
    insert::<Post>(Post { id: 0, title: String::new(), views: 0, rating: None });
}
