//! Claims beside facts.

use sora::Value;

/// The claims that were probed, in order.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<Claim>);

/// One claim, and what was found.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// `store`, or the table.
    pub(super) subject: String,
    /// What is claimed to be done.
    pub(super) name: String,
    /// What the store claims.
    pub(super) claimed: String,
    /// What it does.
    pub(super) found: String,
    /// Whether the two agree.
    pub(super) verdict: Verdict,
    /// How it was probed, or what was wrong.
    pub(super) note: String,
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does not.
    False,
    /// It does.
    Holds,
    /// Nobody looked.
    Unprobed,
}

impl Claims {
    /// Adds a claim.
    pub(super) fn add(&mut self, claim: Claim) {
        self.0.push(claim);
    }

    /// The claims.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.0.iter()
    }
}

impl Claim {
    /// The cells of a row.
    pub(super) fn row(&self) -> Vec<Value> {
        let Self { subject, name, claimed, found, verdict, note } = self;
        let text = |text: &str| Value::Text(text.into());
        vec![
            text(subject),
            text(name),
            text(claimed),
            text(found),
            text(verdict.name()),
            text(note),
        ]
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::False => "FALSE",
            Self::Holds => "holds",
            Self::Unprobed => "not probed",
        }
    }
}
