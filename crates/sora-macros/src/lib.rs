//! Derives of the Sora data layer.
//!
//! Services get them from `sora`, beside the traits of the same names.
//!
//! All attributes stand in `#[sora(…)]`. An attribute that is unknown, doubled or at odds with
//! another is a compile error that points at it.

mod attribute;
mod case;
mod column;
mod column_type;
mod entity;
mod expand;
mod insert;
mod projection;
mod selection;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct the row of a table.
///
/// ```
/// # mod sora { pub use sora_core::*; pub use sora_core::derive; pub use sora_macros::*; }
/// use sora::{Date, Entity, Schema};
///
/// #[derive(Entity)]
/// # #[sora(crate = "sora_core")]
/// #[sora(table = "cities", index(state, population), unique(name, state))]
/// struct City {
///     #[sora(key, identity)]
///     id: i64,
///     name: String,
///     state: String,
///     /// Inhabitants at the last census.
///     #[sora(index)]
///     population: Option<u32>,
///     #[sora(column = "founded_on")]
///     founded: Date,
///     #[sora(default = "draft")]
///     status: String,
///     #[sora(json)]
///     names: Vec<String>,
///     #[sora(skip)]
///     distance_km: f64,
/// }
///
/// let schema = City::schema()?;
/// assert_eq!(schema.table(), "cities");
/// assert_eq!(&*schema.column(City::FOUNDED.column()).name, "founded_on");
/// let _filter = City::POPULATION.gt(100_000) & City::STATE.eq("NY");
/// # Ok::<(), sora::Error>(())
/// ```
///
/// The struct has named fields and no generics. It gets
///
/// - the trait `Entity`, with the type of the key field as `Key`, or a tuple of the key fields in
///   the order of the struct;
/// - a constant `Field<City, T>` for each column, named like the field in capitals
///   (`City::POPULATION`) and as visible as the field;
/// - the trait `Insert`, unless the store assigns a column (`identity`, `default`). Then
///   `#[derive(Insert)]` makes a struct of the other columns insertable.
///
/// # Attributes of the struct
///
/// | attribute | meaning |
/// | --- | --- |
/// | `table = "name"` | The table. Without it, the name of the struct in snake case, *not* pluralised: `BlogPost` is `blog_post`. |
/// | `index(a, b)` | An index on these fields, in this order. Can be repeated. |
/// | `unique(a, b)` | A unique index on these fields. Can be repeated. |
/// | `index(a, name = "n")`, `unique(a, name = "n")` | The same with a name. Without it, `{table}_{columns}_idx` and `{table}_{columns}_key`. |
/// | `rename_all = "camelCase"` | How columns are named after their fields: `snake_case`, `camelCase`, `PascalCase` or `SCREAMING_SNAKE_CASE`. Without it they are named as the fields. |
/// | `crate = "path"` | Where Sora is found, if not at `::sora`. |
///
/// # Attributes of a field
///
/// | attribute | meaning |
/// | --- | --- |
/// | `key` | A part of the key: on one field, or on up to four. |
/// | `column = "name"` | The column, if it is not named as the field. |
/// | `identity` | The store counts it up. It is the only key, and an i64. |
/// | `default = literal` | The store gives new rows this bool, integer, float or text. The text is read as a value of the column's type, for dates, timestamps, UUIDs, decimals and JSON too; one that cannot be is an error of `schema()`. |
/// | `default = now` | The store gives new rows the time of the insert; for timestamps. |
/// | `uuid_v7` | Sora replaces the nil UUID of a new row by a `UUIDv7`. The entity stays insertable: `id: Uuid::nil()`. |
/// | `index`, `unique` | An index, or a unique index, on this field alone. |
/// | `json` | The value is stored as JSON; it is of any type that serde serializes and deserializes. The `None` of an `Option` is null, not the JSON `null`. |
/// | `version` | Counts the writes of the row, from 1, for optimistic concurrency; an i64. Sora counts: what a new row has there is replaced. |
/// | `decimal(precision, scale)` | How many digits a decimal has, and how many of them behind the point; every decimal field needs it. |
/// | `skip` | Not a column. What is read has `Default::default()` there. |
#[proc_macro_derive(Entity, attributes(sora))]
pub fn entity(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    tokens(entity::Entity::parse(&input).map(|entity| expand::entity(&entity)))
}

/// Makes a struct of some columns insertable as a new row of an entity.
///
/// ```
/// # mod sora { pub use sora_core::*; pub use sora_core::derive; pub use sora_macros::*; }
/// use sora::{Entity, Insert};
///
/// #[derive(Entity)]
/// # #[sora(crate = "sora_core")]
/// struct Post {
///     #[sora(key, identity)]
///     id: i64,
///     title: String,
///     body: Option<String>,
/// }
///
/// #[derive(Insert)]
/// # #[sora(crate = "sora_core")]
/// #[sora(entity = Post)]
/// struct NewPost<'a> {
///     title: &'a str,
///     #[sora(field = "body")]
///     text: Option<&'a str>,
/// }
///
/// assert_eq!(<NewPost<'_> as Insert<Post>>::COLUMNS, [1, 2]);
/// ```
///
/// A field is the entity's field of the same name, or the one that `#[sora(field = "name")]` names.
/// Its type is checked against the entity's: the type itself or a reference to it, `&str` for
/// `String`, `&[u8]` for `Vec<u8>`; where the entity's is optional, a value or an `Option` of one; for
/// a JSON field, the type inside.
///
/// A column that is left out must be optional or assigned by the store or by Sora (`identity`,
/// `default`, `uuid_v7`, `version`); otherwise the struct does not compile.
///
/// The struct needs `#[sora(entity = Post)]`, and takes `#[sora(crate = "path")]` as the entity does.
#[proc_macro_derive(Insert, attributes(sora))]
pub fn insert(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    tokens(insert::expand(&input))
}

/// Lets a query read some columns of an entity into a struct.
///
/// ```
/// # mod sora { pub use sora_core::*; pub use sora_core::derive; pub use sora_macros::*; }
/// use sora::{Entity, Projection};
///
/// #[derive(Entity)]
/// # #[sora(crate = "sora_core")]
/// struct City {
///     #[sora(key)]
///     id: i64,
///     name: String,
///     population: Option<u32>,
/// }
///
/// #[derive(Projection)]
/// # #[sora(crate = "sora_core")]
/// #[sora(entity = City)]
/// struct Inhabitants {
///     #[sora(field = "population")]
///     number: Option<u32>,
///     name: String,
/// }
///
/// assert_eq!(<Inhabitants as Projection<City>>::COLUMNS, [2, 1]);
/// ```
///
/// A field is the entity's field of the same name, or the one that `#[sora(field = "name")]` names,
/// and has its type; a JSON field has the type inside.
///
/// The struct needs `#[sora(entity = City)]`, and takes `#[sora(crate = "path")]` as the entity does.
#[proc_macro_derive(Projection, attributes(sora))]
pub fn projection(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    tokens(projection::expand(&input))
}

/// Lets one column hold a newtype or an enum.
///
/// ```
/// # mod sora { pub use sora_core::*; pub use sora_core::derive; pub use sora_macros::*; }
/// use sora::{Cell, ColumnType, Type};
///
/// #[derive(ColumnType)]
/// # #[sora(crate = "sora_core")]
/// struct ZipCode(String);
///
/// #[derive(ColumnType, Debug, PartialEq)]
/// # #[sora(crate = "sora_core")]
/// enum Status {
///     Draft,
///     InReview,
///     #[sora(rename = "live")]
///     Published,
/// }
///
/// assert_eq!(ZipCode::TYPE, Type::Text);
/// assert_eq!(Status::decode(Cell::Text("in_review"))?, Status::InReview);
/// let error = Status::decode(Cell::Text("deleted")).unwrap_err();
/// assert_eq!(error.to_string(), "\"deleted\" is no Status: there are draft, in_review, live");
/// # Ok::<(), sora::Error>(())
/// ```
///
/// A struct of one unnamed field is stored as that field is. An enum whose variants hold nothing is
/// stored as text: the variant's name in snake case, in the case that `#[sora(rename_all = "…")]` on
/// the enum gives (`snake_case`, `camelCase`, `PascalCase`, `SCREAMING_SNAKE_CASE`), or as
/// `#[sora(rename = "…")]` on the variant says. Filters take the value itself:
/// `Post::STATUS.eq(Status::Draft)`.
///
/// `#[sora(crate = "path")]` says where Sora is found, if not at `::sora`.
#[proc_macro_derive(ColumnType, attributes(sora))]
pub fn column_type(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    tokens(column_type::expand(&input))
}

fn tokens(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
