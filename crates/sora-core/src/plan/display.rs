//! Plans in words: who does what.

use std::fmt;

use super::{Plan, Support};
use crate::read::LimitEach;
use crate::{Fallback, Name, Schema, Sort};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.read.binding.schema();
        writeln!(f, "{} on {}", self.provider, Name(schema.table()))?;
        let terms = |f: &mut fmt::Formatter<'_>, label: &str, support: Support| {
            for term in self.terms.iter().filter(|term| term.support == support) {
                writeln!(f, "  {label} {}", term.predicate.display(schema))?;
            }
            Ok(())
        };
        terms(f, "pushed down:", Support::Exact)?;
        terms(f, "pushed down, and checked again in memory:", Support::Inexact)?;
        terms(f, "done in memory:", Support::Unsupported)?;
        if self.terms.is_empty() {
            writeln!(f, "  no filter")?;
        }
        if !self.sort.is_empty() {
            let label =
                if self.residual_sort { "sorted in memory:" } else { "sorted by the store:" };
            writeln!(f, "  {label} {}", SortList(&self.sort, schema))?;
        }
        if let Some(aggregation) = &self.aggregation {
            let who = if self.residual_aggregation { "in memory" } else { "by the store" };
            writeln!(f, "  aggregated {who}: {}", aggregation.display(schema))?;
        }
        if let Some(limit) = self.read.limit.filter(|_| self.aggregation.is_none()) {
            writeln!(f, "  limited by the store: {limit}")?;
        }
        for (each, who) in
            [(self.read.limit_each, "by the store"), (self.residual_limit_each, "in memory")]
        {
            if let Some(LimitEach { column, rows }) = each {
                let name = Name(&schema.column(column).name);
                writeln!(f, "  limited {who}: {rows} for each {name}")?;
            }
        }
        if let Some(limit) = self.residual_limit {
            writeln!(f, "  limited in memory: {limit}")?;
        }
        match self.fallback {
            _ if self.is_pushed() => write!(f, "  nothing is done in memory"),
            Fallback::Reject => write!(f, "  refused"),
            Fallback::Scan { rows_max } => write!(f, "  at most {rows_max} rows in memory"),
        }
    }
}

/// Displays a sort as `-latitude, zip_code`.
struct SortList<'a>(&'a [Sort], &'a Schema);

impl fmt::Display for SortList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, sort) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let minus = if sort.descending { "-" } else { "" };
            write!(f, "{comma}{minus}{}", Name(&self.1.column(sort.column).name))?;
        }
        Ok(())
    }
}
