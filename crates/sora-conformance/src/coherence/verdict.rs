//! What was found in a history.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::step::{Op, Step, Tier};

/// What a history must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Versions of a key grow with each write and delete; else the history itself is wrong.
    Order,
    /// Whatever is read was written, and not later.
    Unwritten,
    /// A session never reads what is older than it read or wrote.
    Monotone,
    /// A read that begins more than the bound behind the end of a write gives that or something newer.
    Stale,
    /// A node that has read a version of a write that has ended never gives something older again:
    /// nobody put back into a cache what had been loaded before.
    StaleFill,
    /// The same of a row that was deleted: it does not come back, neither of these ways.
    Resurrection,
}

/// A line that breaks a [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which one.
    pub rule: Rule,
    /// The line in the file, from 1.
    pub line: usize,
    /// What stands there.
    pub step: Step,
    /// The version that it should have given at least, or should have been above.
    pub due: u64,
    /// The line that says so, and what stands there.
    pub against: Option<(usize, Step)>,
}

/// What came of judging a history.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What the history is made of.
    pub tally: Tally,
    /// How far behind its reads were.
    pub staleness: Staleness,
    /// The lines that break a rule, in their order.
    pub findings: Vec<Finding>,
}

/// What a history is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say what is counted")]
pub struct Tally {
    pub sessions: usize,
    pub nodes: usize,
    pub keys: usize,
    pub writes: usize,
    pub deletes: usize,
    /// Writes and deletes that were never confirmed.
    pub unconfirmed: usize,
    pub reads: usize,
    /// Reads that found nothing.
    pub absent: usize,
    pub from_memory: usize,
    pub from_remote: usize,
    pub from_store: usize,
}

/// How far behind reads were: how long before they began a newer version had been written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// Reads that were behind at all.
    pub reads: usize,
    /// The longest, in nanoseconds.
    pub max_ns: u64,
}

impl Verdict {
    /// Whether no rule is broken.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether a rule is broken.
    pub fn breaks(&self, rule: Rule) -> bool {
        self.findings.iter().any(|finding| finding.rule == rule)
    }

    /// Prints what was judged to stderr and accepts it.
    ///
    /// # Panics
    ///
    /// Panics with the lines that break a rule.
    pub fn expect_clean(&self) {
        assert!(self.is_clean(), "{self}");
        eprintln!("{self}");
    }
}

impl Tally {
    pub(super) fn new(steps: &[Step], keys: usize) -> Self {
        let mut tally = Self { keys, ..Self::default() };
        let (mut sessions, mut nodes) = (HashSet::new(), HashSet::new());
        for step in steps {
            sessions.insert(step.session);
            nodes.insert(step.node);
            match step.op {
                Op::Delete => tally.deletes += 1,
                Op::Read => tally.reads += 1,
                Op::Write => tally.writes += 1,
            }
            let is_read = step.op == Op::Read;
            tally.absent += usize::from(is_read && step.version == 0);
            tally.unconfirmed += usize::from(!is_read && step.end_ns.is_none());
            match step.tier {
                Some(Tier::Memory) => tally.from_memory += 1,
                Some(Tier::Remote) => tally.from_remote += 1,
                Some(Tier::Store) => tally.from_store += 1,
                None => {}
            }
        }
        Self { sessions: sessions.len(), nodes: nodes.len(), ..tally }
    }
}

impl Staleness {
    pub(super) fn add(&mut self, behind_ns: u64) {
        self.reads += usize::from(behind_ns > 0);
        self.max_ns = self.max_ns.max(behind_ns);
    }
}

/// Lines that are shown of each rule.
const SHOWN_MAX: usize = 5;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.tally, self.staleness)?;
        let mut counts: BTreeMap<Rule, usize> = BTreeMap::new();
        for finding in &self.findings {
            let count = counts.entry(finding.rule).or_default();
            *count += 1;
            if *count <= SHOWN_MAX {
                write!(f, "\n{finding}")?;
            }
        }
        if counts.is_empty() {
            return write!(f, "\nno rule is broken");
        }
        for (rule, count) in counts {
            write!(f, "\n{count} lines: {rule}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, nodes, keys, writes, deletes, unconfirmed, reads, absent, .. } = self;
        let Self { from_memory, from_remote, from_store, .. } = self;
        write!(
            f,
            "{sessions} sessions on {nodes} nodes, {keys} keys: {writes} writes and {deletes} deletes \
             ({unconfirmed} of them never confirmed), {reads} reads ({absent} found nothing; \
             {from_memory} from memory, {from_remote} from the remote tier, {from_store} from the store)"
        )
    }
}

impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.max_ns / 1_000_000, self.max_ns / 1_000 % 1_000);
        write!(f, "{} reads were behind, at most {whole}.{part:03} ms", self.reads)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, line, step, due, against } = self;
        write!(f, "line {line}: {rule}")?;
        if *due > 0 {
            write!(f, "; version {due} was due")?;
        }
        write!(f, "\n  {}", Shown(step))?;
        match against {
            Some((line, step)) => write!(f, "\n  by line {line}: {}", Shown(step)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "a version is not above those before it",
            Self::Unwritten => "a read gave what nobody had written",
            Self::Monotone => "a session read what is older than it read or wrote",
            Self::Stale => "a read was behind for longer than the bound",
            Self::StaleFill => "a node gave again what is older than it gave before",
            Self::Resurrection => "a deleted row came back",
        })
    }
}

struct Shown<'a>(&'a Step);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.line() {
            Ok(line) => f.write_str(&line),
            Err(_) => write!(f, "{:?}", self.0),
        }
    }
}
