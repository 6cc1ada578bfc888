use sora::aggregate::{avg, count, count_of, max, min, sum};
use sora::{Decimal, Entity, ErrorKind, Fallback, Filter};

use crate::stores::{City, cities, city, repository, stores};

#[tokio::test]
async fn groups_come_in_order_with_what_was_computed() {
    for store in stores().await {
        let cities = cities(&store).await;
        let rows = cities
            .query(City::NUMBER.lt(100))
            .group_by(City::STATE)
            .aggregate((
                count(),
                count_of(City::POPULATION),
                sum(City::POPULATION),
                avg(City::POPULATION),
                min(City::NAME),
                max(City::NUMBER),
            ))
            .await
            .expect("groups");
        let mut expected = Vec::new();
        for state in ["AK", "CA", "NY", "TX", "WA"] {
            let all: Vec<City> = (0..100).map(city).filter(|city| city.state == state).collect();
            let populations: Vec<i64> = all.iter().filter_map(|city| city.population).collect();
            let total: i64 = populations.iter().sum();
            let count = |len: usize| i64::try_from(len).expect("few");
            let values = (
                count(all.len()),
                count(populations.len()),
                Some(total),
                #[expect(clippy::cast_precision_loss, reason = "small")]
                Some(total as f64 / populations.len() as f64),
                all.iter().map(|city| city.name.clone()).min(),
                all.iter().map(|city| city.number).max(),
            );
            expected.push((state.to_owned(), values));
        }
        assert_eq!(rows[..], expected);
        let outcome = rows.outcome();
        assert_eq!((outcome.received(), outcome.returned()), (5, 5));
        assert_eq!((outcome.pushed().count(), outcome.residual().count()), (1, 0));
        assert!(!outcome.is_aggregated_in_memory() && outcome.is_complete());
    }
}

#[tokio::test]
async fn groups_of_several_fields_and_nulls() {
    for store in stores().await {
        let cities = cities(&store).await;
        let by = (City::POPULATION, City::STATE);
        let rows = cities.query(City::NUMBER.le(10)).group_by(by).aggregate(count()).await;
        let rows = rows.expect("groups");
        let first = |at: usize| (rows[at].0.0, rows[at].0.1.as_str(), rows[at].1);
        assert_eq!(rows.len(), 11);
        assert_eq!(first(0), (None, "AK", 1));
        assert_eq!(first(1), (None, "NY", 1));
        assert_eq!(first(2), (Some(1_000), "CA", 1));
        assert_eq!(first(10), (Some(10_000), "AK", 1));
    }
}

#[tokio::test]
async fn all_rows_are_one_group_also_if_there_is_none() {
    for store in stores().await {
        let cities = cities(&store).await;
        let all = (count(), sum(City::POPULATION), min(City::CODE), avg(City::NUMBER));
        let found = cities.query(Filter::all()).aggregate(all).await.expect("numbers");
        assert_eq!((found.0, found.2.clone(), found.3), (250, None, Some(124.5)));
        let none = cities.query(City::NUMBER.lt(0)).aggregate(all).await.expect("numbers");
        assert_eq!(none.into_inner(), (0, None, None, None));
        let none = cities.query(City::NUMBER.lt(0)).group_by(City::STATE).aggregate(all).await;
        assert!(none.expect("no groups").is_empty());
    }
}

/// Numbers whose totals need care.
#[derive(Debug, Entity)]
struct Entry {
    #[sora(key)]
    id: i64,
    amount: i64,
    #[sora(decimal(12, 2))]
    price: Decimal,
    share: f64,
}

fn entry(id: i64, amount: i64, price: &str, share: f64) -> Entry {
    Entry { id, amount, price: price.parse().expect("a decimal"), share }
}

#[tokio::test]
async fn totals_are_exact_and_what_does_not_fit_is_an_error() {
    for store in stores().await {
        let entries = repository::<Entry>(&store).await;
        let rows = [
            entry(1, i64::MAX, "0.10", 1e300),
            entry(2, 1, "0.20", 1.0),
            entry(3, -1, "9999999999.99", f64::INFINITY),
            entry(4, 1, "-0.30", f64::NEG_INFINITY),
        ];
        entries.insert_many(&rows).await.expect("written");
        let to = |id| entries.query(Entry::ID.le(id));
        let totals = (sum(Entry::AMOUNT), sum(Entry::PRICE), avg(Entry::PRICE), sum(Entry::SHARE));
        let found = to(3).aggregate(totals).await.expect("totals");
        assert_eq!((found.0, found.3), (Some(i64::MAX), Some(f64::INFINITY)));
        assert_eq!(found.1.expect("a sum").to_string(), "10000000000.29");
        assert_eq!(found.2, Some(3_333_333_333.43));
        // The mean of what does not fit one integer does fit.
        let mean = to(2).aggregate(avg(Entry::AMOUNT)).await.expect("a mean");
        assert_eq!(mean.into_inner(), Some(4_611_686_018_427_387_904.0));
        let errors = [
            to(2).aggregate(sum(Entry::AMOUNT)).await.map(drop).expect_err("too large"),
            to(4).aggregate(sum(Entry::SHARE)).await.map(drop).expect_err("no number"),
            to(4).aggregate(avg(Entry::SHARE)).await.map(drop).expect_err("no number"),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Constraint, "{error}");
            assert!(error.to_string().contains("the sum does not fit"), "{error}");
        }
    }
}

#[tokio::test]
async fn groups_are_bounded_and_the_plan_says_who_computes() {
    for store in stores().await {
        let cities = cities(&store).await;
        let by_state = || cities.query(City::POPULATION.gt(5)).group_by(City::STATE);
        let five = by_state().groups_max(5).aggregate(count()).await.expect("five");
        assert_eq!(five.len(), 5);
        let error = by_state().groups_max(4).aggregate(count()).await.expect_err("five");
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains("count() by state makes more than 4"), "{error}");
        let explained = by_state().fallback(Fallback::Reject).explain(count()).await;
        let text = explained.expect("a plan").to_string();
        assert!(text.contains("aggregated by the store: count() by state"), "{text}");
        assert!(text.contains("nothing is done in memory"), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_part_of_an_aggregation_is_refused() {
    for store in stores().await {
        let cities = cities(&store).await;
        for (query, part) in [
            (cities.query(Filter::all()).limit(5), "a limit"),
            (cities.query(Filter::all()).sort(City::NAME.asc()), "a sort"),
            (cities.query(Filter::all()).offset(5), "an offset"),
        ] {
            let error = query.group_by(City::STATE).aggregate(count()).await.expect_err(part);
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(part), "{error}");
        }
        let twice = cities.query(Filter::all()).group_by((City::STATE, City::STATE));
        let error = twice.aggregate(count()).await.expect_err("twice");
        assert!(error.to_string().contains("grouped by twice"), "{error}");
    }
}
