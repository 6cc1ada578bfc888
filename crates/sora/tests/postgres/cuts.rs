//! A connection that is cut anywhere in the exchange of any kind of write: what is told of a row is
//! unknown exactly where the message that commits it was sent and its answer did not come.

mod paths;

use sora::{Repository, Sora};
use sora_testbed::{Direction, Fault, FaultAction, FaultProxy};

use self::paths::{Committing, Effect, PATHS, Path};
use crate::support::{Item, Place, Told, check_full, in_time, open, repository, until};

/// Places of one exchange where it is cut, in each direction.
const PLACES: u64 = 7;
/// What the server answers a commit: that it is done, and that it is ready.
const COMMITTED_BYTES: u64 = 18;
/// Around its border the place of a statement that is new is not known to the byte: the names of
/// statements grow, and it is sent as soon as it is described, before the server is ready again.
const ROUGH_BYTES: u64 = 20;
/// What commits a transaction.
const COMMIT_BYTES: u64 = 12;

#[tokio::test]
async fn unknown_is_told_exactly_where_it_is_so() {
    let place = Place::open("").await;
    let mut ids = 1_000_000;
    for path in PATHS {
        for is_warm in [true, false] {
            if !is_warm && !path.cold {
                continue;
            }
            let cut = Cut { place: &place, path, is_warm };
            in_time(path.name, cut.everywhere(&mut ids)).await;
        }
    }
}

/// One kind of write, on a connection that knows its statements or does not.
struct Cut<'a> {
    place: &'a Place,
    path: &'a Path,
    is_warm: bool,
}

/// What it writes to, and the way there.
struct On<'a> {
    store: &'a Sora,
    items: &'a Repository<Item>,
    proxy: &'a FaultProxy,
}

/// Bytes that were exchanged.
#[derive(Clone, Copy, Debug)]
struct Bytes {
    sent: u64,
    received: u64,
}

impl Cut<'_> {
    async fn everywhere(&self, ids: &mut i64) {
        let server = self.place.database.url();
        let address = url_parts(&server);
        let proxy = FaultProxy::start(address.0, address.1).expect("a proxy");
        let url = proxy.url(&server).expect("an address");
        let store = open(&url, "connections_max=1&statements=named").await;
        let items = repository(&store).await;
        let on = On { store: &store, items: &items, proxy: &proxy };
        let cold = self.whole(&on, ids).await;
        let warm = self.whole(&on, ids).await;
        let clean = if self.is_warm { warm } else { cold };
        // The next connection is as new as those behind each cut.
        proxy.reset_all();
        until("a new connection", async || store.ping().await.is_ok() && proxy.connections() > 1)
            .await;
        for direction in [Direction::ToServer, Direction::ToClient] {
            let (total, last) = match (direction, self.path.committing) {
                (Direction::ToServer, Committing::Statement) => (clean.sent, warm.sent),
                (Direction::ToClient, Committing::Statement) => (clean.received, warm.received),
                (Direction::ToServer, _) => (clean.sent, COMMIT_BYTES),
                (Direction::ToClient, _) => (clean.received, COMMITTED_BYTES),
            };
            assert!(total >= last, "{}: {clean:?} {warm:?}", self.path.name);
            let border = total - last;
            assert!(self.is_warm || border > 0, "{}: nothing was prepared", self.path.name);
            let mut places: Vec<u64> = (0..PLACES).map(|at| at * total / PLACES).collect();
            places.extend([border, border.saturating_sub(1), total - 1]);
            for after_bytes in places {
                if !self.is_warm && after_bytes.abs_diff(border) < ROUGH_BYTES {
                    continue;
                }
                let fault = Fault { direction, after_bytes, action: FaultAction::Reset };
                self.once(&on, ids, fault, after_bytes >= border).await;
            }
        }
        check_full(&store, 1).await;
        drop(store);
        self.place.watcher.check_quiet().await;
    }

    /// Writes without a fault, and returns what that takes.
    async fn whole(&self, on: &On<'_>, ids: &mut i64) -> Bytes {
        let On { store, items, proxy } = *on;
        let count = || Bytes {
            sent: proxy.passed(Direction::ToServer),
            received: proxy.passed(Direction::ToClient),
        };
        let base = self.take(ids).await;
        let before = count();
        let told = (self.path.write)(store, items, base).await;
        assert!(told.iter().all(|(_, told)| *told == Told::Applied), "{}", self.path.name);
        let after = count();
        Bytes { sent: after.sent - before.sent, received: after.received - before.received }
    }

    async fn once(&self, on: &On<'_>, ids: &mut i64, fault: Fault, is_sent: bool) {
        let On { store, items, proxy } = *on;
        // The connection is opened again after the cut before.
        store.ping().await.expect("it answers");
        if self.is_warm {
            self.whole(on, ids).await;
        }
        let base = self.take(ids).await;
        let fired = proxy.fired();
        proxy.arm(fault);
        let told = (self.path.write)(store, items, base).await;
        let at = format!("{}, warm {}, {fault:?}: {told:?}", self.path.name, self.is_warm);
        assert_eq!(proxy.fired(), fired + 1, "not cut: {at}");
        assert_eq!(told.len(), usize::try_from(self.path.rows).expect("small"), "{at}");
        // What the server still does is done.
        self.place.watcher.check_quiet().await;
        let done = self.done(base).await;
        for (id, told) in &told {
            let expected = match (self.path.committing, is_sent) {
                (Committing::Repeated, _) => Told::Applied,
                (Committing::Statement | Committing::Commit, true) => Told::Unknown,
                // The rows of a batch beside the one that is told of.
                (Committing::Commit, false) if *told == Told::Skipped => Told::Skipped,
                (Committing::Commit, false) if self.path.begins_again && *told == Told::Applied => {
                    Told::Applied
                }
                (Committing::Statement | Committing::Commit, false) => Told::Failed,
                (Committing::Several, _) => match (fault.direction, done.contains(id)) {
                    // The answer came before the next was asked for: what is there was sent.
                    (Direction::ToClient, true) if *told == Told::Applied => Told::Applied,
                    (Direction::ToClient, true) => Told::Unknown,
                    (Direction::ToClient, false) => Told::Failed,
                    (Direction::ToServer, _) => *told,
                },
            };
            assert_eq!(*told, expected, "row {}: {at}", id - base);
            match told {
                Told::Applied => assert!(done.contains(id), "applied and not there: {at}"),
                Told::Failed | Told::Skipped => {
                    assert!(!done.contains(id), "not written and there: {at}");
                }
                Told::Unknown => {}
            }
        }
    }

    /// Takes new numbers, of rows that are there if the path changes rows.
    async fn take(&self, ids: &mut i64) -> i64 {
        let base = *ids;
        *ids += self.path.rows;
        if self.path.effect != Effect::Adds {
            self.place.put(base..base + self.path.rows).await;
        }
        base
    }

    /// The rows of a run that were written.
    async fn done(&self, base: i64) -> Vec<i64> {
        let (start, end) = (base, base + self.path.rows);
        let sql = match self.path.effect {
            Effect::Deletes => format!(
                "SELECT id FROM generate_series({start}::bigint, {end} - 1) AS id \
                 WHERE id NOT IN (SELECT id FROM items)"
            ),
            _ => {
                format!("SELECT id FROM items WHERE id >= {start} AND id < {end} AND name = 'new'")
            }
        };
        self.place.watcher.numbers(&sql).await
    }
}

/// The host and port of an address.
pub(crate) fn url_parts(url: &str) -> (&str, u16) {
    let address = url.split('@').nth(1).and_then(|rest| rest.split('/').next());
    let (host, port) = address.and_then(|address| address.rsplit_once(':')).expect("host:port");
    (host, port.parse().expect("a port"))
}
