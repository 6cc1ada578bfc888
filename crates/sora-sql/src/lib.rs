//! The SQL text of the Sora data layer, for every store that speaks SQL.
//!
//! One walk over a [`Read`](sora_core::read::Read) or [`Write`](sora_core::write::Write) writes both
//! the text of a statement and its values: into [`Text`] it renders the text, into a store's binder
//! it binds the values. Neither can drift from the other. What differs between stores is a
//! [`Dialect`]; every value is bound, every name is quoted.

mod access;
mod aggregate;
mod bulk;
mod change;
mod condition;
mod dialect;
mod index_page;
mod like;
mod negotiate;
mod out;
mod parameter;
mod position;
mod postgres;
mod select;
mod shape;
mod sqlite;
mod table;
#[cfg(test)]
mod tests;
mod walk;

pub use bulk::{BulkForm, Detail, ToldBy, bulk_form, change_rows, rows_exist};
pub use change::{Returned, change, exists, returned};
pub use dialect::Dialect;
pub use dialect::KeyRole;
pub use index_page::IndexPage;
pub use like::{LikeForm, glob, like_form, like_pattern, successor};
pub use negotiate::negotiate;
pub use out::{Operand, Out, Text, render};
pub use parameter::ParameterType;
pub use position::Portion;
pub use postgres::Postgres;
pub use select::{label_columns, lost_indexes, portions, select};
pub use shape::{bulk_shape, read_shape, write_shape};
pub use sqlite::{Sqlite, is_now};
pub use table::{add_column, create_index, create_table, default_literal, index_columns, quoted};
pub use walk::Walk;
