//! The provider beside real servers.

mod conformance;
