//! Contracts and pure logic of the Sora data layer: no runtime, no I/O.
//!
//! Services depend on `sora`. This crate is for those who write a provider or a layer: it says what
//! a store is asked ([`Read`](read::Read), [`Write`](write::Write)), what it answers, and what the
//! answers mean.

mod aggregation;
mod assignment;
mod bind;
mod buffer;
mod column;
mod cursor;
mod decimal;
#[doc(hidden)]
pub mod derive;
mod entity;
mod error;
mod filter;
mod intake;
pub mod json;
mod live;
pub mod memory;
mod name;
mod native;
mod number;
mod observe;
pub mod order;
mod pattern;
mod place;
pub mod plan;
mod predicate;
pub mod provider;
mod query;
pub mod read;
pub mod remote;
mod row;
mod schema;
mod session;
mod temporal;
pub mod text;
mod truth;
mod types;
mod value;
pub mod write;

pub use aggregation::{Accumulator, AggregateFunction, Aggregation, Groups, Measure, Summable};
pub use buffer::{BufferedRow, RowBuffer};
pub use column::{ColumnType, unexpected};
pub use cursor::Cursor;
pub use decimal::Decimal;
pub use entity::{AsKey, Entity, Insert, Key, Projection};
pub use error::{Error, ErrorKind, Result, Retry};
pub use filter::{Assign, Assignment, Field, Filter, Operand, Sort, SortBy};
pub use intake::{Intake, Stamp, check_cell, new_uuid};
pub use live::{Binding, LiveColumn, LiveIndex, LiveTable};
pub use name::{check_name, find_name, unknown_name};
pub use native::{
    Record, RecordSpec, Statement, find_columns, hand_out_columns, name_columns, take_columns,
};
pub use observe::{End, Event, Observer, Operation, RequestId, Source};
pub use pattern::{Part, Pattern};
pub use predicate::{FilterLimits, KEYWORDS, Name, Predicate};
pub use query::{Fallback, Query};
pub use row::{CellSink, Row, RowSink};
pub use schema::{Assigned, Column, Index, Schema, SchemaBuilder};
pub use temporal::{Date, FixedText, Timestamp};
pub use truth::{Comparison, Truth};
pub use types::Type;
pub use value::{Cell, UuidText, Value};
