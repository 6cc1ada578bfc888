//! Attributes of the struct, and what it may be.

use sora_macros::Entity;

#[derive(Entity)]
#[sora(tabel = "cities")]
struct UnknownAttribute {
    #[sora(key)]
    id: i64,
}

#[derive(Entity)]
#[sora(store = "sqlite")]
struct AllAttributes {
    #[sora(key)]
    id: i64,
}

#[derive(Entity)]
#[sora(table = "cities", table = "towns")]
struct TwoTables {
    #[sora(key)]
    id: i64,
}

#[derive(Entity)]
#[sora(table = "")]
struct NoTable {
    #[sora(key)]
    id: i64,
}

#[derive(Entity)]
#[sora(table)]
struct NoValue {
    #[sora(key)]
    id: i64,
}

#[derive(Entity)]
#[sora(rename_all = "camel")]
struct UnknownCase {
    #[sora(key)]
    id: i64,
}

#[derive(Entity)]
struct NoKey {
    id: i64,
}

#[derive(Entity)]
struct WideKey {
    #[sora(key)]
    a: i64,
    #[sora(key)]
    b: i64,
    #[sora(key)]
    c: i64,
    #[sora(key)]
    d: i64,
    #[sora(key)]
    e: i64,
}

#[derive(Entity)]
struct Generic<T> {
    #[sora(key)]
    id: T,
}

#[derive(Entity)]
struct Lifetime<'a> {
    #[sora(key)]
    id: &'a str,
}

#[derive(Entity)]
enum Enum {
    A,
}

#[derive(Entity)]
union Union {
    a: i64,
}

#[derive(Entity)]
struct Tuple(i64);

fn main() {}
