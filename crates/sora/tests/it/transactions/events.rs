use std::sync::{Arc, Mutex};

use sora::{End, ErrorKind, Event, Observer, Operation, RequestId, Sora, in_request};

use super::{Refused, two_accounts};
use crate::stores::Account;

#[derive(Default)]
struct Seen(Mutex<Vec<Short>>);

/// Operation, whether it was inside a transaction, request, end, line of the call.
type Short = (Operation, bool, Option<u128>, End, u32);

impl Observer for Seen {
    fn observe(&self, event: &Event<'_>) {
        let Event { operation, in_transaction, request, end, location, .. } = *event;
        let request = request.map(|RequestId(request)| request);
        let seen = (operation, in_transaction, request, end, location.line());
        self.0.lock().expect("no panic").push(seen);
    }
}

async fn watched() -> (Sora, Arc<Seen>, sora::Repository<Account>) {
    let seen = Arc::new(Seen::default());
    let store = Sora::builder().observer(seen.clone()).open("memory:").await.expect("it opens");
    let accounts = two_accounts(&store).await;
    seen.0.lock().expect("no panic").clear();
    (store, seen, accounts)
}

#[tokio::test]
async fn a_transaction_has_an_event_at_its_end_and_its_operations_say_that_they_are_inside() {
    let (store, seen, accounts) = watched().await;
    let accounts = &accounts;
    let line = line!();
    let tx = store.begin().await.expect("begun");
    accounts.within(&tx).get(1).await.expect("read");
    accounts.get(1).await.expect("read");
    let stream = accounts.within(&tx).query(Account::ID.eq(1)).stream();
    drop(stream);
    tx.commit().await.expect("committed");
    drop(store.begin().await.expect("begun"));
    store.begin().await.expect("begun").rollback().await.expect("rolled back");
    let refused = store.transaction(|_| async { Err::<(), _>(Refused::No) });
    refused.await.expect_err("refused");
    let failed = store.transaction(|tx| async move {
        tx.transaction(|_| async { Ok::<_, sora::Error>(()) }).await?;
        accounts.within(&tx).get_for_update(1).await?;
        accounts.within(&tx).patch(1, [Account::BALANCE.add(i64::MAX)]).await
    });
    failed.await.expect_err("it overflows");
    let seen = seen.0.lock().expect("no panic").clone();
    let constraint = End::Failed(ErrorKind::Constraint);
    let expected = [
        (Operation::Get, true, None, End::Done, line + 2),
        (Operation::Get, false, None, End::Done, line + 3),
        (Operation::Stream, true, None, End::Dropped, line + 4),
        (Operation::Transaction, false, None, End::Done, line + 1),
        (Operation::Transaction, false, None, End::Dropped, line + 7),
        (Operation::Transaction, false, None, End::Dropped, line + 8),
        (Operation::Transaction, false, None, End::Dropped, line + 9),
        (Operation::GetForUpdate, true, None, End::Done, line + 13),
        (Operation::Patch, true, None, constraint, line + 14),
        (Operation::Transaction, false, None, End::Dropped, line + 11),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn the_event_of_one_that_failed_says_why() {
    let (store, seen, _) = watched().await;
    let tx = store.begin().await.expect("begun");
    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    let ends: Vec<End> = seen.0.lock().expect("no panic").iter().map(|seen| seen.3).collect();
    assert_eq!(ends, [End::Failed(ErrorKind::Timeout)]);
    drop(tx);
    assert_eq!(seen.0.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn events_carry_the_request_of_their_caller() {
    let (store, seen, accounts) = watched().await;
    let work = |id: i64| {
        let (store, accounts) = (store.clone(), accounts.clone());
        async move {
            // The pattern that later work looks for: one call site, one request, many reads.
            for _ in 0..3 {
                accounts.get(id).await.expect("read");
            }
            let mut stream = accounts.query(Account::ID.eq(id)).stream();
            while stream.next().await.is_some() {}
            let tx = store.begin().await.expect("begun");
            drop(stream);
            tokio::task::yield_now().await;
            tx.commit().await.expect("committed");
        }
    };
    tokio::join!(
        in_request(RequestId(1), work(1)),
        in_request(RequestId(2), async {
            in_request(RequestId(3), accounts.get(1)).await.expect("read");
            work(2).await;
        })
    );
    accounts.get(1).await.expect("read");
    let seen = seen.0.lock().expect("no panic").clone();
    let of = |request: Option<u128>| {
        let mut found: Vec<&str> =
            seen.iter().filter(|seen| seen.2 == request).map(|seen| seen.0.name()).collect();
        found.sort_unstable();
        found
    };
    let all = ["get", "get", "get", "stream", "transaction"];
    assert_eq!((of(Some(1)), of(Some(2))), (all.to_vec(), all.to_vec()));
    assert_eq!((of(Some(3)), of(None)), (vec!["get"], vec!["get"]));
}
