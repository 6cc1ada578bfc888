use sora::text::Parameters;
use sora::{ErrorKind, Fallback, Filter, Projection, Value};

use crate::stores::{City, cities, city, stores};

#[tokio::test]
async fn get_takes_keys_by_reference() {
    for store in stores().await {
        let cities = cities(&store).await;
        let found = cities.get(("NY", 2)).await.expect("a read").expect("a city");
        assert_eq!(*found, city(2));
        let key = (String::from("NY"), 7);
        assert!(cities.get(&key).await.expect("a read").is_some());
        assert!(cities.get(("NY", 3)).await.expect("a read").is_none());
    }
}

#[tokio::test]
async fn get_many_answers_one_slot_for_each_key() {
    for store in stores().await {
        let cities = cities(&store).await;
        let keys = [("NY", 7), ("NY", 3), ("AK", 0), ("NY", 7)];
        let found = cities.get_many(keys).await.expect("a read");
        let found: Vec<_> =
            found.iter().map(|city| city.as_ref().map(|city| city.number)).collect();
        assert_eq!(found, [Some(7), None, Some(0), Some(7)]);
        let none: [(&str, i64); 0] = [];
        assert!(cities.get_many(none).await.expect("a read").is_empty());
    }
}

#[tokio::test]
async fn a_query_filters_sorts_and_says_what_happened() {
    for store in stores().await {
        let cities = cities(&store).await;
        let filter = City::STATE.eq("NY") & City::POPULATION.ge(30_000);
        let rows = cities
            .query(filter)
            .sort(City::POPULATION.desc())
            .limit(3)
            .fetch()
            .await
            .expect("a query");
        let mut expected: Vec<_> = (0..250)
            .map(city)
            .filter(|city| city.state == "NY" && city.population >= Some(30_000))
            .collect();
        expected.sort_by_key(|city| std::cmp::Reverse((city.population, city.number)));
        assert_eq!(rows[..], expected[..3]);
        assert_eq!(rows.outcome().returned(), 3);
        assert_eq!(rows.outcome().residual().count(), 0);
        assert_eq!(rows.outcome().pushed().count(), 2);
        assert!(!rows.outcome().is_complete());
        assert!(rows.next().is_some());
    }
}

#[tokio::test]
async fn keyset_pages_meet_every_row_once() {
    for store in stores().await {
        let cities = cities(&store).await;
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let mut query =
                cities.query(Filter::all()).sort(City::POPULATION.asc()).sort(City::NAME.desc());
            if let Some(cursor) = cursor {
                query = query.after(cursor);
            }
            let page = query.limit(40).fetch().await.expect("a page");
            cursor = page.next().map(|cursor| cursor.to_string().parse().expect("a cursor"));
            seen.extend(page.into_iter().map(|city| (city.population, city.number)));
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 250);
        assert!(seen.is_sorted_by_key(|(population, _)| *population));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 250);
    }
}

#[tokio::test]
async fn offset_pages_count_on_request() {
    for store in stores().await {
        let cities = cities(&store).await;
        let page = || cities.query(City::STATE.eq("TX")).offset(45).limit(10);
        let rows = page().with_total().fetch().await.expect("a page");
        assert_eq!((rows.len(), rows.total(), rows.next()), (5, Some(50), None));
        assert_eq!(page().fetch().await.expect("a page").total(), None);
        let beyond = cities.query(Filter::all()).offset(1_000).limit(5).fetch().await;
        assert!(beyond.expect("a page").is_empty());
    }
}

#[derive(Debug, PartialEq, Projection)]
#[sora(entity = City)]
struct Name {
    name: String,
    number: i64,
}

#[tokio::test]
async fn one_first_exists_count_and_projections() {
    for store in stores().await {
        let cities = cities(&store).await;
        let name = cities.query(City::NUMBER.eq(13)).select::<Name>().one().await.expect("one");
        assert_eq!(name, Name { name: "City 3".into(), number: 13 });
        let several = cities.query(City::NAME.eq("City 3")).one().await.expect_err("several");
        assert_eq!(several.kind(), ErrorKind::InvalidInput);
        let none = cities.query(City::NUMBER.lt(0)).one().await.expect_err("none");
        assert_eq!(none.kind(), ErrorKind::NotFound);
        let first = cities.query(Filter::all()).sort(City::NUMBER.desc()).first().await;
        assert_eq!(first.expect("a query").expect("a city").number, 249);
        assert!(cities.query(City::POPULATION.is_null()).exists().await.expect("a query"));
        assert!(!cities.query(City::NUMBER.gt(249)).exists().await.expect("a query"));
        let nulls = cities.query(City::POPULATION.is_null()).count().await.expect("a count");
        assert_eq!(nulls, 36);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_the_remedy() {
    for store in stores().await {
        let cities = cities(&store).await;
        let page = cities.query(Filter::all()).limit(1).fetch().await.expect("a page");
        let cursor = page.next().expect("more").clone();
        let other = cities.query(City::STATE.eq("NY")).after(cursor).fetch().await;
        let error = other.expect_err("another query");
        assert!(error.to_string().contains("another filter or sort"), "{error}");
        store.ping().await.expect("an answer");
        let error = store.table("citty").await.expect_err("no such table");
        assert!(error.to_string().contains("did you mean \"city\"?"), "{error}");
    }
}

#[tokio::test]
async fn explain_says_the_plan_before_running() {
    for store in stores().await {
        let cities = cities(&store).await;
        let query = cities.query(City::POPULATION.gt(5)).sort(City::POPULATION.asc()).limit(5);
        let explained = query.fallback(Fallback::Reject).explain().await.expect("a plan");
        let text = explained.to_string();
        assert!(text.contains("pushed down: population > 5"), "{text}");
        assert!(text.contains("nothing is done in memory"), "{text}");
    }
}

#[tokio::test]
async fn a_filter_as_text_is_the_same_filter() {
    for store in stores().await {
        let cities = cities(&store).await;
        let parameters = Parameters::from([("state", Value::Text("NY".into()))]);
        let text = "state = :state AND NOT (population < 30000 OR population IS NULL)";
        let filter = Filter::parse(text, &parameters).expect("a filter");
        let rows = cities.query(filter).fetch().await.expect("a query");
        let typed = City::STATE.eq("NY") & City::POPULATION.ge(30_000);
        assert_eq!(rows[..], cities.query(typed).fetch().await.expect("a query")[..]);
        assert!(rows.outcome().is_complete());
        let error = Filter::<City>::parse("popluation > 5", &Parameters::default());
        let error = error.expect_err("misspelt").to_string();
        assert!(error.contains("did you mean \"population\"?"), "{error}");
    }
}
