use sora::memory::Memory;
use sora::plan::Negotiation;
use sora::provider::{
    Administer, Administered, Capability, Provider, Session, SessionOptions, SharedProvider,
};
use sora::read::{Output, Read, ReadReport};
use sora::write::{Change, Write, WriteReport};
use sora::{LiveTable, Result, RowSink};

use super::*;

/// What a provider does other than it claims.
#[derive(Clone, Copy, Debug)]
enum Lie {
    AllRows,
    Count,
    DropsRows,
    Keyset,
    NotAtomic,
    Sort,
}

/// Memory, but for one lie.
#[derive(Debug)]
struct Liar(Memory, Lie);

impl Provider for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn capability(&self) -> Capability {
        Provider::capability(&self.0)
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        Provider::negotiate(&self.0, ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let mut read = read.clone();
        match self.1 {
            Lie::AllRows => read.filter = Arc::default(),
            Lie::Keyset => read.after = None,
            Lie::Sort if read.sort.first().is_some_and(|sort| sort.descending) => {
                read.sort = Arc::default();
            }
            Lie::DropsRows if !read.filter.is_empty() => read.limit = Some(1),
            _ => {}
        }
        let is_count = matches!((self.1, &read.output), (Lie::Count, Output::Count));
        let report = Provider::read(&self.0, &read, sink).await?;
        Ok(if is_count { ReadReport::counted(7) } else { report })
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        let mut write = write.clone();
        if matches!((self.1, &write.change), (Lie::NotAtomic, Change::Insert { .. })) {
            write.atomic = false;
        }
        Provider::write(&self.0, &write, sink).await
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        Provider::describe(&self.0, table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        Provider::administer(&self.0, task).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        Provider::open(&self.0, options).await
    }
}

/// Returns the claims that a probe of the liar finds false.
fn false_claims(lie: Lie) -> Vec<String> {
    let runtime = crate::runtime().expect("a runtime");
    let memory = Memory::new();
    let honest = Sora::builder().provider(Arc::new(memory.clone()));
    let mut claims = Claims::default();
    runtime.block_on(async {
        // The rows stay where the filters and sorts are probed.
        writes::probe(&honest, "t", &mut claims).await.expect("an honest store");
        assert!(claims.iter().all(|claim| claim.verdict == Verdict::Holds), "{claims:?}");
        writes::fill(&honest, "t", 50).await.expect("filled");
        let liar: SharedProvider = Arc::new(Liar(memory, lie));
        let store = Sora::builder().provider(liar.clone());
        for live in store.tables().await.expect("described") {
            conditions::probe(&liar, live, "t", &mut claims).await;
        }
        let _ = writes::probe(&store, "t", &mut claims).await;
    });
    let is_false = |claim: &&Claim| claim.verdict == Verdict::False;
    let name = |claim: &Claim| format!("{} {}", claim.subject, claim.name);
    claims.iter().filter(is_false).map(name).collect()
}

#[test]
fn each_lie_is_found_out() {
    for (lie, expected) in [
        (Lie::AllRows, "t filters"),
        (Lie::Count, "t count"),
        (Lie::DropsRows, "t filters"),
        (Lie::Keyset, "t keyset"),
        (Lie::NotAtomic, "store atomic_writes"),
        (Lie::Sort, "t sorts"),
    ] {
        let found = false_claims(lie);
        assert!(found.iter().any(|claim| claim == expected), "{lie:?}: {found:?}");
    }
}
