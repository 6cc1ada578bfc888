//! What SQLite does as Sora would.

use sora_core::Binding;
use sora_core::plan::{Negotiation, Support};

/// Raises what the rendered SQL decides.
pub(crate) fn negotiate(ask: &mut Negotiation) {
    sora_sql::negotiate(ask, compared);
}

fn compared(binding: &Binding, column: u16) -> Support {
    let column_type = binding.schema().column(column).column_type;
    if binding.is_converted(column) || !column_type.is_comparable() {
        return Support::Unsupported;
    }
    // A cell of another storage class compares in SQLite's way, but fails the read in Sora's.
    if binding.live_column(column).is_enforced { Support::Exact } else { Support::Inexact }
}
