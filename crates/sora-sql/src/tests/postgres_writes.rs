//! Writes as PostgreSQL's SQL.
