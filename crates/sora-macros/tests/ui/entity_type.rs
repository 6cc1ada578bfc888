//! Types that no column holds.

use sora_macros::Entity;

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct Counter {
    #[sora(key)]
    id: i64,
    count: u64,
}

struct Opaque;

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct SkipWithoutDefault {
    #[sora(key)]
    id: i64,
    #[sora(skip)]
    opaque: Opaque,
}

fn main() {}
