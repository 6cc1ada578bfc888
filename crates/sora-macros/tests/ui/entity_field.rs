//! Attributes of a field.

use sora_macros::Entity;

#[derive(Entity)]
struct UnknownAttributes {
    #[sora(kye)]
    id: i64,
    #[sora(primary_key)]
    other: i64,
    #[sora(key, key)]
    third: i64,
}

#[derive(Entity)]
struct Values {
    #[sora(key = true)]
    id: i64,
    #[sora(column = 5)]
    a: i64,
    #[sora(skip(always))]
    b: i64,
    #[sora(column("c"))]
    c: i64,
}

#[derive(Entity)]
struct SameColumn {
    #[sora(key)]
    id: i64,
    #[sora(column = "id")]
    other: i64,
}

#[derive(Entity)]
struct OptionalKey {
    #[sora(key)]
    id: Option<i64>,
}

#[derive(Entity)]
struct CompositeIdentity {
    #[sora(key, identity)]
    id: i64,
    #[sora(key)]
    part: i64,
}

#[derive(Entity)]
struct IdentityWithoutKey {
    #[sora(key)]
    id: i64,
    #[sora(identity)]
    number: i64,
}

#[derive(Entity)]
struct TwoVersions {
    #[sora(key)]
    id: i64,
    #[sora(version)]
    first: i64,
    #[sora(version)]
    second: i64,
}

#[derive(Entity)]
struct Conflicts {
    #[sora(key, identity, default = 5)]
    a: i64,
    #[sora(uuid_v7, identity)]
    b: i64,
    #[sora(default = "x", uuid_v7)]
    c: i64,
    #[sora(index, skip)]
    d: i64,
    #[sora(skip, column = "e")]
    e: i64,
    #[sora(json, key)]
    f: Vec<i64>,
    #[sora(version, key)]
    g: i64,
}

#[derive(Entity)]
struct Defaults {
    #[sora(key, default = today)]
    a: i64,
    #[sora(default = 9223372036854775808)]
    b: i64,
    #[sora(default = b"bytes")]
    c: Vec<u8>,
    #[sora(default = "a\0")]
    d: String,
    #[sora(default = -"a")]
    e: String,
    #[sora(default = vec![])]
    f: Vec<u8>,
    #[sora(default)]
    g: i64,
    #[sora(default = 1e999)]
    h: f64,
}

#[derive(Entity)]
struct Decimals {
    #[sora(key, decimal)]
    a: i64,
    #[sora(decimal(10))]
    b: i64,
    #[sora(decimal(29, 2))]
    c: i64,
    #[sora(decimal(2, 3))]
    d: i64,
    #[sora(decimal(0, 0))]
    e: i64,
    #[sora(decimal("10", 2))]
    f: i64,
    #[sora(decimal(300, 2))]
    g: i64,
}

fn main() {}
