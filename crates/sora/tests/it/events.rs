use std::sync::{Arc, Mutex};

use sora::{End, ErrorKind, Event, Observer, Operation, Sora};

use crate::stores::{City, cities, city};

#[derive(Default)]
struct Seen(Mutex<Vec<Short>>);

/// Operation, rows received, rows returned, end, line of the call.
type Short = (Operation, u64, u64, End, u32);

impl Observer for Seen {
    fn observe(&self, event: &Event<'_>) {
        assert_eq!(event.provider, "memory");
        assert!(event.location.file().contains("tests"));
        let Event { operation, received, returned, end, location, .. } = event;
        self.0.lock().expect("no panic").push((
            *operation,
            *received,
            *returned,
            *end,
            location.line(),
        ));
    }
}

#[tokio::test]
async fn every_operation_emits_one_event_with_its_call_site() {
    let seen = Arc::new(Seen::default());
    let store =
        Sora::builder().observer(seen.clone()).open("memory:").await.expect("the store opens");
    let cities = cities(&store).await;
    seen.0.lock().expect("no panic").clear();

    let line = line!();
    cities.get(("NY", 2)).await.expect("a read");
    cities.query(City::STATE.eq("NY")).limit(5).fetch().await.expect("a query");
    cities.insert(city(2)).await.expect_err("taken");
    drop(cities.delete(("NY", 2)));
    cities.delete_where(City::STATE.eq("NY")).await.expect("deleted");

    let events = seen.0.lock().expect("no panic").clone();
    assert_eq!(
        events,
        [
            (Operation::Get, 1, 1, End::Done, line + 1),
            (Operation::Query, 6, 5, End::Done, line + 2),
            (Operation::Insert, 1, 0, End::Failed(ErrorKind::Conflict), line + 3),
            (Operation::DeleteWhere, 0, 50, End::Done, line + 5),
        ]
    );
}
