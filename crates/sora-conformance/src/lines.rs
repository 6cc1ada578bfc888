//! The checks behind the lines of the contract.

pub(crate) mod aggregate;
pub(crate) mod change;
pub(crate) mod filter;
pub(crate) mod insert;
pub(crate) mod isolation;
pub(crate) mod key;
pub(crate) mod native;
pub(crate) mod outcome;
pub(crate) mod page;
pub(crate) mod race;
pub(crate) mod savepoint;
pub(crate) mod scan;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod sort;
pub(crate) mod table;
