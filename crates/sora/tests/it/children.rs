use sora::{ErrorKind, Fallback, Filter, LoadOptions, Query, Row, Value};

use crate::stores::{City, cities, city, stores};

fn numbers(lists: &[Vec<City>]) -> Vec<Vec<i64>> {
    lists.iter().map(|list| list.iter().map(|city| city.number).collect()).collect()
}

#[tokio::test]
async fn each_parent_has_its_list_in_the_order_of_the_parents() {
    for store in stores().await {
        let cities = cities(&store).await;
        let lists = cities
            .load_many(City::STATE, ["TX", "??", "AK", "TX"])
            .filter(City::NUMBER.lt(30))
            .sort(City::NUMBER.desc())
            .fetch()
            .await
            .expect("loaded");
        let of = |rest: i64| -> Vec<i64> { (0..30).rev().filter(|at| at % 5 == rest).collect() };
        assert_eq!(numbers(&lists), [of(3), vec![], of(0), of(3)]);
        let nobody: [&str; 0] = [];
        assert!(cities.load_many(City::STATE, nobody).fetch().await.expect("loaded").is_empty());
    }
}

#[tokio::test]
async fn a_limit_keeps_the_first_of_each_parent() {
    for store in stores().await {
        let cities = cities(&store).await;
        let lists = cities
            .load_many(City::STATE, ["NY", "CA"])
            .sort(City::POPULATION.desc())
            .limit_per_parent(3)
            .fetch()
            .await
            .expect("loaded");
        let of = |state: &str| -> Vec<i64> {
            let mut all: Vec<City> =
                (0..250).map(city).filter(|city| city.state == state).collect();
            all.sort_by_key(|city| std::cmp::Reverse((city.population, city.number)));
            all.iter().take(3).map(|city| city.number).collect()
        };
        assert_eq!(numbers(&lists), [of("NY"), of("CA")]);
        // Without a sort they are the first by key.
        let lists = cities.load_many(City::POPULATION, [1_000, 2_000]).limit_per_parent(2);
        let of = |population: i64| -> Vec<i64> {
            let mut all: Vec<City> =
                (0..250).map(city).filter(|city| city.population == Some(population)).collect();
            all.sort_by_key(|city| (city.state.clone(), city.number));
            all.iter().take(2).map(|city| city.number).collect()
        };
        assert_eq!(numbers(&lists.fetch().await.expect("loaded")), [of(1_000), of(2_000)]);
    }
}

#[tokio::test]
async fn children_are_bounded() {
    for store in stores().await {
        let cities = cities(&store).await;
        let load = |max| cities.load_many(City::STATE, ["TX", "AK"]).children_max(max);
        assert_eq!(load(100).fetch().await.expect("100").concat().len(), 100);
        let error = load(99).fetch().await.expect_err("too many");
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains("more than 99 children"), "{error}");
        let limited = load(4).limit_per_parent(2).fallback(Fallback::Reject).fetch().await;
        assert_eq!(limited.expect("pushed down").concat().len(), 4);
    }
}

#[tokio::test]
async fn nulls_have_no_children_and_other_types_are_refused() {
    for store in stores().await {
        let cities = cities(&store).await;
        let table = cities.table();
        let population = City::POPULATION.column();
        let parents = [Value::Null, Value::I64(3_000)];
        let mut found = [0, 0];
        let count = |place: usize, row: &dyn Row| {
            assert_eq!(row.width(), 1);
            found[place] += 1;
            Ok(())
        };
        let query = Query { columns: Some(vec![City::NUMBER.column()]), ..Query::default() };
        table
            .load_many(&query, population, &parents, LoadOptions::default(), count)
            .await
            .expect("loaded");
        let expected = (0..250).map(city).filter(|city| city.population == Some(3_000)).count();
        assert_eq!(found, [0, expected]);
        let text = [Value::Text("3000".into())];
        let error = table
            .load_many(&query, population, &text, LoadOptions::default(), |_, _| Ok(()))
            .await
            .expect_err("a text");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let limited = Query { limit: Some(5), ..Query::default() };
        for limit_per_parent in [None, Some(1)] {
            let options = LoadOptions { limit_per_parent, ..LoadOptions::default() };
            let loaded = table.load_many(&limited, population, &parents, options, |_, _| Ok(()));
            assert_eq!(loaded.await.expect_err("a limit").kind(), ErrorKind::InvalidInput);
        }
        assert!(cities.query(Filter::all()).exists().await.expect("still there"));
    }
}
