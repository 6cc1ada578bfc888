//! Types that one column holds.

use sora_macros::ColumnType;

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
struct Named {
    value: i64,
}

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
struct Two(i64, i64);

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
enum Holds {
    Nothing,
    Something(i64),
}

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
enum Empty {}

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
enum Same {
    #[sora(rename = "b")]
    A,
    B,
}

#[derive(ColumnType)]
#[sora(crate = "sora_core", rename_all = "snakecase")]
enum UnknownCase {
    A,
}

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
enum UnknownAttribute {
    #[sora(name = "a")]
    A,
}

#[derive(ColumnType)]
#[sora(crate = "sora_core", rename_all = "snake_case")]
struct RenamedNewtype(i64);

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
union Union {
    a: i64,
}

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
struct Unsigned(u64);

#[derive(ColumnType)]
#[sora(crate = "sora_core")]
struct AttributeInside(#[sora(json)] i64);

fn main() {}
