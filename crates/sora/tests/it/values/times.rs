//! Timestamps and dates.

use sora::{Date, Entity, Timestamp};

use super::{holds, keeps, kept, refuses, sorts};
use crate::stores::{repository, stores};

#[derive(Clone, Debug, PartialEq, Entity)]
struct Times {
    #[sora(key)]
    id: i64,
    at: Option<Timestamp>,
    day: Option<Date>,
}

fn row(id: i64, at: &str, day: &str) -> Times {
    Times { id, at: Some(at.parse().expect(at)), day: Some(day.parse().expect(day)) }
}

fn rows() -> [Times; 6] {
    [
        row(1, "2024-02-29T00:00:00Z", "2024-02-29"),
        row(2, "9999-12-31T23:59:59.999999Z", "9999-12-31"),
        row(3, "0001-01-01T00:00:00Z", "0001-01-01"),
        row(4, "2024-02-29T00:00:00.000001Z", "2024-03-01"),
        Times { id: 5, at: None, day: None },
        row(6, "1969-12-31T23:59:59.999999Z", "1969-12-31"),
    ]
}

#[tokio::test]
async fn timestamps_are_moments_in_utc() {
    for store in stores().await {
        let table = repository::<Times>(&store).await;
        holds(&table, &rows()).await;
        sorts(&table, [Times::AT.asc(), Times::AT.desc()], [5, 3, 6, 1, 4, 2]).await;
        keeps(
            &table,
            &[
                ("at = '2024-02-29T00:00:00.000001'", &[4]),
                ("at = '2024-02-29T01:00:00.000001+01:00'", &[4]),
                ("at = '2024-02-28 22:30-0130'", &[1]),
                ("at < '1970-01-01T00:00:00Z'", &[3, 6]),
                ("at IN ('9999-12-31T23:59:59.999999Z', NULL)", &[2]),
                ("at >= '0001-01-01T00:00:00Z'", &[1, 2, 3, 4, 6]),
                // A date is its midnight.
                ("at = '2024-02-29'", &[1]),
                ("at > '2024-02-29'", &[2, 4]),
            ],
        )
        .await;
        let epoch = Timestamp::from_micros(0).expect("in range");
        assert_eq!(kept(&table, Times::AT.lt(epoch)).await, [3, 6]);
    }
    refuses::<Times>(&[
        ("at = '0000-12-31T23:59:59Z'", "is not a timestamp"),
        ("at = '9999-12-31T23:59:59-01:00'", "is not a timestamp"),
        ("at = '2024-02-30T00:00:00Z'", "is not a timestamp"),
        ("at = 'now'", "is not a timestamp"),
        ("at = 0", "\"at\" is timestamp and cannot be compared with a number"),
    ]);
}

#[tokio::test]
async fn dates_stand_beside_timestamps_as_their_midnight() {
    for store in stores().await {
        let table = repository::<Times>(&store).await;
        holds(&table, &rows()).await;
        sorts(&table, [Times::DAY.asc(), Times::DAY.desc()], [5, 3, 6, 1, 4, 2]).await;
        keeps(
            &table,
            &[
                ("day = '2024-02-29'", &[1]),
                ("day = '2024-02-29T00:00:00Z'", &[1]),
                ("day = '2024-02-29T00:00:00.000001Z'", &[]),
                ("NOT day = '2024-02-29T00:00:00.000001Z'", &[1, 2, 3, 4, 6]),
                ("day < '2024-02-29T00:00:00.000001Z'", &[1, 3, 6]),
                ("day >= '2024-02-29T00:00:00.000001Z'", &[2, 4]),
                ("day = '2024-02-29T01:00:00+01:00'", &[1]),
                ("day BETWEEN '0001-01-01' AND '1969-12-31'", &[3, 6]),
            ],
        )
        .await;
        assert_eq!(kept(&table, Times::DAY.gt(Date::MAX)).await, [0; 0]);
    }
    refuses::<Times>(&[
        ("day = '10000-01-01'", "is not a date"),
        ("day = '0000-01-01'", "is not a date"),
        ("day = '2023-02-29'", "is not a date"),
        ("day = '2024-2-9'", "is not a date"),
        ("day = 20240229", "\"day\" is date and cannot be compared with a number"),
    ]);
}

#[cfg(feature = "jiff")]
mod floors {
    use sora::ErrorKind;

    use super::super::fails;
    use super::*;

    #[derive(Clone, Debug, PartialEq, Entity)]
    struct Moments {
        #[sora(key)]
        id: i64,
        at: jiff::Timestamp,
        day: jiff::civil::Date,
    }

    fn moment(id: i64, nanoseconds: i128) -> Moments {
        let at = jiff::Timestamp::from_nanosecond(nanoseconds).expect("in range");
        Moments { id, at, day: jiff::civil::date(2024, 2, 29) }
    }

    #[tokio::test]
    async fn nanoseconds_are_floored_before_they_are_written() {
        for store in stores().await {
            let table = repository::<Moments>(&store).await;
            // Before 1970 as behind it, to the earlier microsecond.
            for (id, written, stored) in
                [(1, 1_999, 1_000), (2, -1, -1_000), (3, -1_001, -2_000), (4, -2_000, -2_000)]
            {
                let returned = table.insert(moment(id, written)).await.expect("a row");
                assert_eq!(returned, moment(id, stored));
                let read = table.get(id).await.expect("a read").expect("a row");
                assert_eq!(*read, moment(id, stored));
            }
            sorts(&table, [Moments::AT.asc(), Moments::AT.desc()], [3, 4, 2, 1]).await;
            keeps(&table, &[("at < '1969-12-31T23:59:59.999999Z'", &[3, 4])]).await;
            // A literal is floored as a value is.
            assert_eq!(kept(&table, Moments::AT.eq(moment(0, -1).at)).await, [2]);
            table.patch(1, [Moments::AT.set(moment(0, -1_999).at)]).await.expect("written");
            assert_eq!(kept(&table, Moments::AT.eq(moment(0, -2_000).at)).await, [1, 3, 4]);
        }
    }

    #[tokio::test]
    async fn years_are_1_to_9999() {
        let out_of_range = "out of range: years 1 to 9999";
        for store in stores().await {
            let table = repository::<Moments>(&store).await;
            let year_0 = Moments { at: jiff::Timestamp::MIN, ..moment(1, 0) };
            fails(table.insert(year_0).await, ErrorKind::InvalidInput, out_of_range);
            let day_0 = Moments { day: jiff::civil::date(0, 12, 31), ..moment(1, 0) };
            fails(table.insert(day_0).await, ErrorKind::InvalidInput, out_of_range);
            let filter = table.query(Moments::AT.gt(jiff::Timestamp::MIN)).fetch().await;
            fails(filter, ErrorKind::InvalidInput, out_of_range);
            let first = jiff::civil::date(1, 1, 1);
            let last = jiff::civil::date(9999, 12, 31);
            holds(
                &table,
                &[Moments { day: first, ..moment(1, 0) }, Moments { day: last, ..moment(2, 0) }],
            )
            .await;
        }
    }
}
