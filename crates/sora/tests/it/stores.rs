//! The stores that tests run on, and the entity that they hold.

use sora::{Entity, Repository, Sora};

/// A city, with a key of two columns, a nullable number, a unique code and an index.
#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(index(population))]
pub(crate) struct City {
    #[sora(key)]
    pub(crate) state: String,
    #[sora(key)]
    pub(crate) number: i64,
    pub(crate) name: String,
    pub(crate) population: Option<i64>,
    #[sora(unique)]
    pub(crate) code: Option<String>,
}

/// A row that counts its writes and gets its key from the store.
#[derive(Clone, Debug, PartialEq, Entity)]
pub(crate) struct Account {
    #[sora(key, identity)]
    pub(crate) id: i64,
    pub(crate) owner: String,
    #[sora(version)]
    pub(crate) version: i64,
    #[sora(default = 100)]
    pub(crate) balance: i64,
}

/// A new account: the store gives it its key and balance.
#[derive(Clone, Debug, sora::Insert)]
#[sora(entity = Account)]
pub(crate) struct NewAccount {
    pub(crate) owner: String,
}

/// Opens every store that needs no server.
pub(crate) async fn stores() -> Vec<Sora> {
    let mut stores = Vec::new();
    for address in ADDRESSES {
        stores.push(Sora::open(address).await.expect("the store opens"));
    }
    stores
}

#[cfg(feature = "sqlite")]
const ADDRESSES: [&str; 2] = ["memory:", "sqlite::memory:"];
#[cfg(not(feature = "sqlite"))]
const ADDRESSES: [&str; 1] = ["memory:"];

/// Returns the table of an entity, empty.
pub(crate) async fn repository<E: Entity>(store: &Sora) -> Repository<E> {
    store.ensure_schema::<E>().await.expect("the table is made");
    store.repository::<E>().await.expect("the table opens")
}

/// Returns a table of 250 cities in five states; every seventh has no population.
pub(crate) async fn cities(store: &Sora) -> Repository<City> {
    let cities = repository::<City>(store).await;
    let report = cities.insert_many((0..250).map(city)).await.expect("the cities are written");
    assert_eq!(report.affected, 250);
    cities
}

/// The city of a number.
pub(crate) fn city(number: i64) -> City {
    let state = ["AK", "CA", "NY", "TX", "WA"][usize::try_from(number % 5).expect("small")];
    City {
        state: state.into(),
        number,
        name: format!("City {}", number % 10),
        population: (number % 7 != 0).then_some(number % 40 * 1_000),
        code: None,
    }
}
