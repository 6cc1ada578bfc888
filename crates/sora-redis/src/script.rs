//! What the server itself does, in one step.

/// The scripts. Each works on keys of one slot of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Fill,
    Release,
    Remove,
    Take,
    Count,
}

impl Script {
    pub(crate) const ALL: [Self; 5] =
        [Self::Fill, Self::Release, Self::Remove, Self::Take, Self::Count];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Fill => include_str!("script/fill.lua"),
            Self::Release => include_str!("script/release.lua"),
            Self::Remove => include_str!("script/remove.lua"),
            Self::Take => include_str!("script/take.lua"),
            Self::Count => include_str!("script/count.lua"),
        }
    }
}
