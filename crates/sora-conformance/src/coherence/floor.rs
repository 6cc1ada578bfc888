//! From when on a version is due.

/// The newest version that is due behind each time.
#[derive(Debug, Default)]
pub(super) struct Floor {
    due: Vec<Due>,
}

/// A version that is due behind a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) after_ns: u64,
    pub(super) version: u64,
    /// The step that says so.
    pub(super) at: usize,
}

impl Floor {
    pub(super) fn new(mut due: Vec<Due>) -> Self {
        due.sort_unstable_by_key(|due| (due.after_ns, due.version, due.at));
        let mut newest: Option<Due> = None;
        due.retain(|due| {
            let is_newer = newest.is_none_or(|newest| due.version > newest.version);
            if is_newer {
                newest = Some(*due);
            }
            is_newer
        });
        Self { due }
    }

    /// What is due for somebody who begins at a time.
    pub(super) fn at(&self, start_ns: u64) -> Option<Due> {
        let behind = self.due.partition_point(|due| due.after_ns < start_ns);
        behind.checked_sub(1).map(|last| self.due[last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_those_behind_is_due() {
        let due = |(after_ns, version)| Due { after_ns, version, at: 0 };
        let floor = Floor::new([(10, 2), (5, 1), (20, 1), (20, 4), (30, 3)].map(due).to_vec());
        for (start_ns, expected) in [(5, 0), (6, 1), (10, 1), (11, 2), (20, 2), (21, 4), (99, 4)] {
            assert_eq!(floor.at(start_ns).map_or(0, |due| due.version), expected, "{start_ns}");
        }
    }
}
