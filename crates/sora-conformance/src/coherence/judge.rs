//! The rules that a history must keep.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::floor::{Due, Floor};
use super::step::{Op, Step};
use super::verdict::{Finding, Rule, Staleness, Tally, Verdict};

/// How far behind a read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long behind the end of a write its own node may give what was there before.
    pub own_ms: u64,
    /// The same for other nodes.
    pub others_ms: u64,
    /// How long behind the end of a write a node, or a session, that has read it may be given something
    /// older again: 0 if every writer reaches the shared tier. One that does not leaves there what was
    /// before its write, until it can tell or the time to live is over.
    pub back_ms: u64,
}

impl Bounds {
    /// Other nodes may be behind for so long; a node sees its own writes at once, and never goes back.
    pub const fn new(others_ms: u64) -> Self {
        Self { own_ms: 0, others_ms, back_ms: 0 }
    }
}

/// Judges a history by the [`Rule`]s. Steps may come in any order.
///
/// Takes the time to sort them.
pub fn judge(steps: &[Step], bounds: Bounds) -> Verdict {
    let mut keys: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        keys.entry(&step.key).or_default().push(at);
    }
    let mut findings = Vec::new();
    let mut staleness = Staleness::default();
    for places in keys.values() {
        let history = KeyHistory::new(steps, places, bounds, &mut findings);
        history.judge(places, &mut findings, &mut staleness);
    }
    findings.sort_by_key(|finding| (finding.line, finding.rule));
    Verdict { tally: Tally::new(steps, keys.len()), staleness, findings }
}

/// What was done to one key.
struct KeyHistory<'a> {
    steps: &'a [Step],
    bounds: Bounds,
    /// The step that wrote a version.
    changes: HashMap<u64, usize>,
    /// Deletes by their version, and when they began.
    deletes: Vec<(u64, u64)>,
    /// Deletes that have begun.
    begun: Floor,
    /// What anybody must give, and what those on a node must that wrote it.
    of_all: Floor,
    of_own: HashMap<u64, Floor>,
    /// By version, the earliest end of any change that is newer.
    newer_end: Vec<(u64, u64)>,
}

/// What a read gave.
#[derive(Clone, Copy, Debug)]
struct Given {
    /// The newest version that it can stand for.
    most: u64,
    /// The oldest, if it keeps the bounds.
    least: u64,
    is_row: bool,
}

impl<'a> KeyHistory<'a> {
    fn new(
        steps: &'a [Step],
        places: &[usize],
        bounds: Bounds,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut changes: Vec<usize> =
            places.iter().copied().filter(|at| steps[*at].is_change()).collect();
        changes.sort_unstable_by_key(|at| (steps[*at].version, steps[*at].start_ns));
        check_order(steps, &changes, findings);
        let deletes: Vec<usize> =
            changes.iter().copied().filter(|at| steps[*at].op == Op::Delete).collect();
        let begun = |at: &usize| due(steps, *at, steps[*at].start_ns);
        let mut of_own: HashMap<u64, Vec<Due>> = HashMap::new();
        let mut of_all = Vec::new();
        let mut newer_end = Vec::with_capacity(changes.len());
        let mut earliest = u64::MAX;
        for at in changes.iter().rev().copied() {
            newer_end.push((steps[at].version, earliest));
            let Some(end_ns) = steps[at].end_ns else { continue };
            earliest = earliest.min(end_ns);
            of_all.push(due(steps, at, later(end_ns, bounds.others_ms)));
            let own = due(steps, at, later(end_ns, bounds.own_ms));
            of_own.entry(steps[at].node).or_default().push(own);
        }
        // Behind all versions that were written: what a read gives that found nothing ever.
        newer_end.push((0, earliest));
        newer_end.reverse();
        Self {
            steps,
            bounds,
            begun: Floor::new(deletes.iter().map(begun).collect()),
            deletes: deletes.iter().map(|at| (steps[*at].version, steps[*at].start_ns)).collect(),
            // The first, if there are two: that is told already.
            changes: changes.iter().rev().map(|at| (steps[*at].version, *at)).collect(),
            of_all: Floor::new(of_all),
            of_own: of_own.into_iter().map(|(node, due)| (node, Floor::new(due))).collect(),
            newer_end,
        }
    }

    fn judge(&self, places: &[usize], findings: &mut Vec<Finding>, staleness: &mut Staleness) {
        let mut given: Vec<(usize, Given)> = Vec::new();
        for at in places.iter().copied() {
            let step = &self.steps[at];
            if step.op != Op::Read {
                continue;
            }
            match self.given(step) {
                Some(found) => given.push((at, found)),
                None => findings.push(self.finding(Rule::Unwritten, at, None)),
            }
        }
        let sessions = self.sessions(places, &given);
        let nodes = self.nodes(&given);
        for (at, given) in given {
            let step = &self.steps[at];
            staleness.add(step.start_ns.saturating_sub(self.newer_end(given.most)));
            let older = |due: &Due| due.version > given.most;
            if let Some(due) = self.due(step).filter(older) {
                findings.push(self.classed(Rule::Stale, at, given, due));
            } else if let Some(due) =
                nodes.get(&step.node).and_then(|floor| floor.at(step.start_ns)).filter(older)
            {
                findings.push(self.classed(Rule::StaleFill, at, given, due));
            }
            let session = sessions.get(&step.session).and_then(|floor| floor.at(step.start_ns));
            if let Some(due) = session.filter(older) {
                findings.push(self.finding(Rule::Monotone, at, Some(due)));
            }
        }
    }

    /// What a read gave; none if nobody can have written it.
    fn given(&self, step: &Step) -> Option<Given> {
        let end_ns = step.end_ns.unwrap_or(u64::MAX);
        if step.version > 0 {
            let change = &self.steps[*self.changes.get(&step.version)?];
            let is_row = change.op == Op::Write;
            let given = Given { most: step.version, least: step.version, is_row };
            return (change.start_ns <= end_ns).then_some(given);
        }
        // Any delete that had begun may be meant: the newest excuses, the oldest within the bound binds.
        let most = self.begun.at(end_ns.saturating_add(1)).map_or(0, |due| due.version);
        let due = self.due(step).map_or(0, |due| due.version);
        let from = self.deletes.partition_point(|(version, _)| *version < due);
        let mut allowed = self.deletes[from..].iter().filter(|(_, start_ns)| *start_ns <= end_ns);
        let oldest = allowed.next().map_or(0, |(version, _)| *version);
        let least = if due == 0 { 0 } else { oldest };
        Some(Given { most, least, is_row: false })
    }

    /// What a read must give by when it began and where.
    fn due(&self, step: &Step) -> Option<Due> {
        let own = self.of_own.get(&step.node).and_then(|floor| floor.at(step.start_ns));
        let all = self.of_all.at(step.start_ns);
        own.into_iter().chain(all).max_by_key(|due| due.version)
    }

    /// What each session has read and written.
    fn sessions(&self, places: &[usize], given: &[(usize, Given)]) -> HashMap<u64, Floor> {
        let written = places.iter().copied().filter(|at| self.steps[*at].is_change());
        let written = written.filter_map(|at| Some(due(self.steps, at, self.steps[at].end_ns?)));
        let read = given.iter().filter_map(|(at, given)| {
            // Strictly, what is read binds at once, and if its write never ends.
            let read_ns = self.steps[*at].end_ns?;
            let after_ns = match self.bounds.back_ms {
                0 => read_ns,
                _ => read_ns.max(self.back_ns(given.least)?),
            };
            Some(Due { after_ns, version: given.least, at: *at })
        });
        let mut sessions: HashMap<u64, Vec<Due>> = HashMap::new();
        for due in written.chain(read) {
            sessions.entry(self.steps[due.at].session).or_default().push(due);
        }
        sessions.into_iter().map(|(session, due)| (session, Floor::new(due))).collect()
    }

    /// From when on nobody who has read a version is given an older one; none if its write never ended.
    fn back_ns(&self, version: u64) -> Option<u64> {
        let end_ns = self.steps[*self.changes.get(&version)?].end_ns?;
        Some(later(end_ns, self.bounds.back_ms))
    }

    /// What each node has read of writes that had ended.
    fn nodes(&self, given: &[(usize, Given)]) -> HashMap<u64, Floor> {
        let mut nodes: HashMap<u64, Vec<Due>> = HashMap::new();
        for (at, given) in given {
            let (Some(read_ns), Some(back_ns)) =
                (self.steps[*at].end_ns, self.back_ns(given.least))
            else {
                continue;
            };
            let after_ns = read_ns.max(back_ns);
            let due = Due { after_ns, version: given.least, at: *at };
            nodes.entry(self.steps[*at].node).or_default().push(due);
        }
        nodes.into_iter().map(|(node, due)| (node, Floor::new(due))).collect()
    }

    /// The earliest end of a change that is newer than a version.
    fn newer_end(&self, version: u64) -> u64 {
        let behind = self.newer_end.partition_point(|(other, _)| *other <= version);
        behind.checked_sub(1).map_or(u64::MAX, |at| self.newer_end[at].1)
    }

    /// A row that is older than a delete was brought back by whoever gives it.
    fn classed(&self, rule: Rule, at: usize, given: Given, due: Due) -> Finding {
        let behind = self.deletes.partition_point(|(version, _)| *version <= given.most);
        let is_deleted = self.deletes.get(behind).is_some_and(|(delete, _)| *delete <= due.version);
        let rule = if given.is_row && is_deleted { Rule::Resurrection } else { rule };
        self.finding(rule, at, Some(due))
    }

    fn finding(&self, rule: Rule, at: usize, due: Option<Due>) -> Finding {
        finding(self.steps, rule, at, due)
    }
}

/// Versions must grow, else nothing can be said of reads.
fn check_order(steps: &[Step], changes: &[usize], findings: &mut Vec<Finding>) {
    let ended = changes.iter().filter_map(|at| Some(due(steps, *at, steps[*at].end_ns?)));
    let ended = Floor::new(ended.collect());
    let mut before: Option<usize> = None;
    for at in changes.iter().copied() {
        let step = &steps[at];
        let same = before.filter(|before| steps[*before].version == step.version);
        let same = same.map(|before| due(steps, before, 0));
        let newer = ended.at(step.start_ns).filter(|due| due.version > step.version);
        if same.is_some() || newer.is_some() || step.version == 0 {
            findings.push(finding(steps, Rule::Order, at, same.or(newer)));
        }
        before = Some(at);
    }
}

fn due(steps: &[Step], at: usize, after_ns: u64) -> Due {
    Due { after_ns, version: steps[at].version, at }
}

fn finding(steps: &[Step], rule: Rule, at: usize, due: Option<Due>) -> Finding {
    Finding {
        rule,
        line: at + 1,
        step: steps[at].clone(),
        against: due.map(|due| (due.at + 1, steps[due.at].clone())),
        due: due.map_or(0, |due| due.version),
    }
}

fn later(time_ns: u64, by_ms: u64) -> u64 {
    time_ns.saturating_add(by_ms.saturating_mul(1_000_000))
}
