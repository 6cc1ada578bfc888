use sora::write::{Effect, Outcome};
use sora::{ErrorKind, Expect, Filter};

use crate::stores::{Account, City, NewAccount, cities, city, repository, stores};

#[tokio::test]
async fn insert_returns_the_row_as_stored() {
    for store in stores().await {
        let accounts = repository::<Account>(&store).await;
        let new = NewAccount { owner: "Ada".into() };
        let first = accounts.insert(&new).await.expect("an account");
        assert_eq!((first.version, first.balance), (1, 100));
        let second = accounts.insert(new).await.expect("an account");
        assert!(second.id > first.id);
        assert_eq!(accounts.get(first.id).await.expect("a read").as_deref(), Some(&first));
    }
}

#[tokio::test]
async fn a_taken_key_or_unique_is_a_conflict_that_names_it() {
    for store in stores().await {
        let cities = cities(&store).await;
        let error = cities.insert(city(5)).await.expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.constraint().is_some());
        assert!(cities.insert_or_ignore(city(5)).await.expect("ignored").is_none());
        let coded = |number| City { code: Some("X".into()), ..city(number) };
        cities.insert(coded(1_000)).await.expect("a city");
        let error = cities.insert(coded(1_001)).await.expect_err("taken");
        assert_eq!(error.constraint(), Some("city_code_key"), "{error:?}");
        let moved = City { name: "Moved".into(), ..coded(1_000) };
        assert!(cities.upsert_on("city_code_key", &moved).await.is_ok());
        let found = cities.query(City::CODE.eq("X")).one().await.expect("one");
        assert_eq!(found.name, "Moved");
    }
}

#[tokio::test]
async fn upserts_report_each_row_and_the_last_wins() {
    for store in stores().await {
        let cities = cities(&store).await;
        let renamed = |name: &str| City { name: name.into(), ..city(5) };
        let rows = [renamed("A"), city(300), renamed("B")];
        let report = cities.upsert_many(&rows).await.expect("a report");
        assert_eq!(report.outcomes.len(), 3);
        assert!(report.outcomes.iter().all(Outcome::is_written));
        let stored = cities.get(("AK", 5)).await.expect("a read").expect("a city");
        assert_eq!(stored.name, "B");
    }
}

#[tokio::test]
async fn update_checks_the_version() {
    for store in stores().await {
        let accounts = repository::<Account>(&store).await;
        let account = accounts.insert(NewAccount { owner: "Ada".into() }).await.expect("stored");
        let changed = Account { owner: "Grace".into(), ..account.clone() };
        let updated = accounts.update(&changed).await.expect("updated");
        assert_eq!((updated.version, updated.owner.as_str()), (2, "Grace"));
        let error = accounts.update(&changed).await.expect_err("another version");
        assert_eq!(error.kind(), ErrorKind::Version);
        let gone = Account { id: 99, ..changed };
        assert_eq!(accounts.update(&gone).await.expect_err("none").kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn patches_set_and_add() {
    for store in stores().await {
        let accounts = repository::<Account>(&store).await;
        let account = accounts.insert(NewAccount { owner: "Ada".into() }).await.expect("stored");
        let changes = [Account::BALANCE.add(-30), Account::OWNER.set("Eve")];
        let effect = accounts.patch(account.id, changes.clone()).await.expect("patched");
        assert_eq!(effect, Effect::Updated);
        let stored = accounts.get(account.id).await.expect("a read").expect("an account");
        assert_eq!((stored.balance, stored.version, stored.owner.as_str()), (70, 2, "Eve"));
        let late = accounts.patch_expecting(account.id, changes.clone(), Expect::Version(1)).await;
        assert_eq!(late.expect_err("another version").kind(), ErrorKind::Version);
        let missing = accounts.patch(99, changes).await.expect("no error");
        assert_eq!(missing, Effect::Missing);
        let overflow = accounts.patch(account.id, [Account::BALANCE.add(i64::MAX)]).await;
        assert_eq!(overflow.expect_err("overflows").kind(), ErrorKind::Constraint);
        for refused in [
            accounts.patch(account.id, []).await,
            accounts.patch(account.id, [Account::ID.set(5)]).await,
            accounts.patch(account.id, [Account::VERSION.add(5)]).await,
            accounts.patch(account.id, [Account::OWNER.set("a"), Account::OWNER.set("b")]).await,
        ] {
            assert_eq!(refused.expect_err("refused").kind(), ErrorKind::InvalidInput);
        }
    }
}

#[tokio::test]
async fn writes_by_filter_and_by_key_say_how_many() {
    for store in stores().await {
        let cities = cities(&store).await;
        let touched = cities
            .patch_where(City::STATE.eq("NY"), [City::NAME.set("Gotham")])
            .await
            .expect("patched");
        assert_eq!(touched, 50);
        assert_eq!(cities.delete_where(City::NAME.eq("Gotham")).await.expect("deleted"), 50);
        assert_eq!(cities.query(Filter::all()).count().await.expect("a count"), 200);
        assert!(cities.delete(("AK", 0)).await.expect("deleted"));
        assert!(!cities.delete(("AK", 0)).await.expect("nothing to delete"));
        let report = cities.delete_many([("AK", 5), ("AK", 0)]).await.expect("a report");
        let effects: Vec<_> =
            report.outcomes.iter().map(|outcome| outcome.effect().expect("no error")).collect();
        assert_eq!(effects, [Effect::Deleted, Effect::Missing]);
    }
}

#[tokio::test]
async fn a_batch_happens_as_a_whole() {
    for store in stores().await {
        let cities = cities(&store).await;
        let effects = cities
            .batch()
            .insert(city(500))
            .patch(("CA", 1), [City::NAME.set("One")])
            .delete(("AK", 5))
            .delete(("AK", 5))
            .commit()
            .await
            .expect("done");
        assert_eq!(effects, [Effect::Inserted, Effect::Updated, Effect::Deleted, Effect::Missing]);
        let failed = cities.batch().delete(("CA", 1)).insert(city(500)).commit().await;
        let error = failed.expect_err("the second is taken");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("batch item: 1"), "{error}");
        assert!(cities.get(("CA", 1)).await.expect("a read").is_some());
    }
}

#[tokio::test]
async fn a_bad_value_is_refused_before_anything_is_written() {
    for store in stores().await {
        let cities = cities(&store).await;
        let rows = [city(600), City { name: "a\0b".into(), ..city(601) }];
        let error = cities.insert_many(&rows).await.expect_err("refused");
        assert!(error.to_string().contains("\"name\" cannot hold"), "{error}");
        assert!(cities.get(("AK", 600)).await.expect("a read").is_none());
    }
}
