//! Attributes that do not fit the type of their field.

use sora_core::{Decimal, Timestamp};
use sora_macros::Entity;

type Maybe = Option<i64>;

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct OptionalKey {
    #[sora(key)]
    id: Maybe,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct BoolKey {
    #[sora(key)]
    id: bool,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct TextIdentity {
    #[sora(key, identity)]
    id: String,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct TextUuid {
    #[sora(key, uuid_v7)]
    id: String,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct IntegerNow {
    #[sora(key)]
    id: i64,
    #[sora(default = now)]
    created: i64,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct OptionalVersion {
    #[sora(key)]
    id: i64,
    #[sora(version)]
    version: Option<i64>,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct NoDigits {
    #[sora(key)]
    id: i64,
    price: Decimal,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct DigitsOfText {
    #[sora(key)]
    id: i64,
    #[sora(decimal(10, 2))]
    price: String,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct TextDefault {
    #[sora(key)]
    id: i64,
    #[sora(default = "5")]
    count: i64,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct LargeDefault {
    #[sora(key)]
    id: i64,
    #[sora(default = 256)]
    count: u8,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct FloatDefault {
    #[sora(key)]
    id: i64,
    #[sora(decimal(10, 2), default = 0.1)]
    price: Decimal,
}

#[derive(Entity)]
#[sora(crate = "sora_core")]
struct IntegerDefault {
    #[sora(key)]
    id: i64,
    #[sora(default = 0)]
    created: Timestamp,
}

fn main() {}
