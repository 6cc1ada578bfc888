//! Sora: a data layer for Rust services that is fast by default and shows why.

mod batch;
mod client;
mod collect;
mod entity_stream;
mod outcome;
mod repository;
mod select;
mod table;
mod watch;

pub use batch::EntityBatch;
pub use client::{Sora, SoraBuilder};
pub use entity_stream::EntityStream;
pub use outcome::{ReadOutcome, Rows, Source};
pub use repository::{Expect, Repository};
pub use select::Select;
pub use sora_core::*;
#[cfg(feature = "derive")]
pub use sora_macros::{ColumnType, Entity, Insert, Projection};
#[cfg(feature = "sqlite")]
pub use sora_sqlite as sqlite;
pub use table::{Batch, Explanation, Page, RowStream, StreamOptions, Table};

#[doc(hidden)]
pub mod derive {
    pub use sora_core::*;
}
