//! A column that nobody gives a value.

use sora_macros::{Entity, Insert};

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct Post {
    #[sora(key, identity)]
    id: i64,
    title: String,
    body: Option<String>,
    views: i64,
}

#[derive(Insert)]
#[sora(crate = "sora_core", entity = Post)]
struct NewPost<'a> {
    title: &'a str,
}

fn main() {}
