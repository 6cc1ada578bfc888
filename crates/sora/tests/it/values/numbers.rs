//! Integers and floats.

use sora::write::Effect;
use sora::{Entity, ErrorKind, Filter, Value};

use super::{fails, holds, keeps, kept, sorts, write};
use crate::stores::{repository, stores};

/// 2^53 + 1, which no float is.
const NO_FLOAT: i64 = (1 << 53) + 1;

#[derive(Clone, Debug, PartialEq, Entity)]
struct Integers {
    #[sora(key)]
    id: i64,
    wide: Option<i64>,
    tiny: i8,
    long: u32,
}

fn integers() -> [Integers; 4] {
    [
        Integers { id: 1, wide: Some(i64::MIN), tiny: i8::MIN, long: 0 },
        Integers { id: 2, wide: Some(0), tiny: 0, long: 1 },
        Integers { id: 3, wide: None, tiny: 1, long: 2 },
        Integers { id: 4, wide: Some(i64::MAX), tiny: i8::MAX, long: u32::MAX },
    ]
}

#[tokio::test]
async fn integers_are_compared_within_and_beyond_their_range() {
    for store in stores().await {
        let table = repository::<Integers>(&store).await;
        holds(&table, &integers()).await;
        keeps(
            &table,
            &[
                ("wide = -9223372036854775808", &[1]),
                ("wide >= 9223372036854775807", &[4]),
                // No integer is so large: the comparison has one answer, but none beside null.
                ("wide < 9223372036854775808", &[1, 2, 4]),
                ("wide = 99999999999999999999", &[]),
                ("NOT wide = 99999999999999999999", &[1, 2, 4]),
                ("wide > -1e300 AND wide < 9e999", &[1, 2, 4]),
                ("tiny < 1000", &[1, 2, 3, 4]),
                ("tiny IN (127, 128)", &[4]),
                ("long = -1", &[]),
                ("long <> -1", &[1, 2, 3, 4]),
            ],
        )
        .await;
        sorts(&table, [Integers::WIDE.asc(), Integers::WIDE.desc()], [3, 1, 2, 4]).await;
        sorts(&table, [Integers::TINY.asc(), Integers::TINY.desc()], [1, 2, 3, 4]).await;
    }
}

#[tokio::test]
async fn integers_out_of_range_are_refused_and_sums_never_wrap() {
    for store in stores().await {
        let table = repository::<Integers>(&store).await;
        holds(&table, &integers()).await;
        let row = |tiny| [Value::I64(9), Value::Null, Value::I64(tiny), Value::I64(0)];
        let range = "\"tiny\" takes -128 to 127, not 128";
        fails(write(table.table(), &row(128)).await, ErrorKind::InvalidInput, range);
        fails(table.patch(2, [Integers::TINY.set(128)]).await, ErrorKind::InvalidInput, range);
        let half = table.patch(2, [Integers::WIDE.set(0.5)]).await;
        fails(half, ErrorKind::InvalidInput, "\"wide\" is i64, not f64");
        for (id, change) in [
            (4, Integers::WIDE.add(1)),
            (1, Integers::WIDE.add(-1)),
            (4, Integers::WIDE.add(i64::MAX)),
            (4, Integers::TINY.add(1)),
            (1, Integers::TINY.add(-1)),
            (4, Integers::LONG.add(1)),
            (1, Integers::LONG.add(-1)),
        ] {
            let sum = table.patch(id, [change]).await;
            assert_eq!(sum.expect_err("overflows").kind(), ErrorKind::Constraint);
        }
        // One row overflows, so none changes.
        let all = table.patch_where(Filter::all(), [Integers::WIDE.add(1)]).await;
        assert_eq!(all.expect_err("overflows").kind(), ErrorKind::Constraint);
        let rows = table.query(Filter::all()).sort(Integers::ID.asc()).fetch().await;
        assert_eq!(rows.expect("a query")[..], integers());
        for (id, expected) in [(1, Some(i64::MIN + 5)), (2, Some(5)), (3, None)] {
            let effect = table.patch(id, [Integers::WIDE.add(5), Integers::TINY.add(5)]).await;
            assert_eq!(effect.expect("a sum"), Effect::Updated);
            let stored = table.get(id).await.expect("a read").expect("a row");
            assert_eq!(stored.wide, expected);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Entity)]
struct Floats {
    #[sora(key)]
    id: i64,
    f: Option<f64>,
    single: f32,
}

#[tokio::test]
async fn floats_have_infinities_one_zero_and_no_nan() {
    for store in stores().await {
        let table = repository::<Floats>(&store).await;
        let row = |id, f| Floats { id, f, single: 0.1 };
        holds(
            &table,
            &[
                row(1, Some(f64::INFINITY)),
                row(2, Some(-0.0)),
                row(3, None),
                row(4, Some(f64::NEG_INFINITY)),
                row(5, Some(f64::MAX)),
                row(6, Some(-5e-324)),
            ],
        )
        .await;
        let zero = table.get(2).await.expect("a read").expect("a row").f.expect("a float");
        assert!(zero.is_sign_positive());
        sorts(&table, [Floats::F.asc(), Floats::F.desc()], [3, 4, 6, 2, 5, 1]).await;
        keeps(
            &table,
            &[
                ("f = -0.0", &[2]),
                ("f = 0", &[2]),
                ("f < 0", &[4, 6]),
                ("f = 9e999", &[1]),
                ("f >= 1.7976931348623157e308", &[1, 5]),
                ("NOT f < 9e999", &[1]),
                ("f IN (-9e999, NULL)", &[4]),
                ("single = 0.10000000149011612", &[1, 2, 3, 4, 5, 6]),
            ],
        )
        .await;
        let nan = "cannot be NaN";
        fails(table.insert(row(9, Some(f64::NAN))).await, ErrorKind::InvalidInput, nan);
        fails(table.upsert(row(1, Some(f64::NAN))).await, ErrorKind::InvalidInput, nan);
        let single = Floats { single: f32::NAN, ..row(9, None) };
        fails(table.insert(single).await, ErrorKind::InvalidInput, nan);
        fails(table.patch(1, [Floats::F.set(f64::NAN)]).await, ErrorKind::InvalidInput, nan);
        let sum = table.patch(1, [Floats::F.add(f64::NEG_INFINITY)]).await;
        assert_eq!(sum.expect_err("no number").kind(), ErrorKind::Constraint);
        let filter = table.query(Floats::F.eq(f64::NAN)).fetch().await;
        fails(filter, ErrorKind::InvalidInput, "cannot be compared with NaN");
        assert_eq!(table.query(Filter::all()).count().await.expect("a count"), 6);
        table.patch(5, [Floats::F.add(f64::MAX)]).await.expect("a sum");
        assert_eq!(kept(&table, Floats::F.eq(f64::INFINITY)).await, [1, 5]);
    }
}

#[derive(Clone, Debug, PartialEq, Entity)]
struct Mixed {
    #[sora(key)]
    id: i64,
    i: Option<i64>,
    f: Option<f64>,
}

#[tokio::test]
async fn integers_beside_floats_lose_no_bit() {
    for store in stores().await {
        let table = repository::<Mixed>(&store).await;
        let row = |id, i, f| Mixed { id, i, f };
        holds(
            &table,
            &[
                row(1, Some(NO_FLOAT - 1), Some(9_007_199_254_740_992.0)),
                row(2, Some(NO_FLOAT), Some(9_007_199_254_740_994.0)),
                row(3, Some(-2), Some(-2.5)),
                row(4, None, None),
                row(5, Some(i64::MAX), Some(9_223_372_036_854_775_808.0)),
            ],
        )
        .await;
        keeps(
            &table,
            &[
                ("i = 9007199254740993", &[2]),
                ("i = 9007199254740992.0", &[1]),
                ("f = 9007199254740993", &[]),
                ("f < 9007199254740993", &[1, 3]),
                ("f > 9007199254740993", &[2, 5]),
                ("NOT f = 9007199254740993", &[1, 2, 3, 5]),
                ("f IN (9007199254740993, 9007199254740994)", &[2]),
                ("f > 9223372036854775807", &[5]),
                ("i < 9223372036854775808.0", &[1, 2, 3, 5]),
                ("i = 2.5", &[]),
                ("NOT i = 2.5", &[1, 2, 3, 5]),
                ("i >= -2.5 AND i < 0.5", &[3]),
                ("i <= -1.5", &[3]),
                ("f = -25e-1", &[3]),
            ],
        )
        .await;
        assert_eq!(kept(&table, Mixed::F.eq(NO_FLOAT)).await, [0; 0]);
        assert_eq!(kept(&table, Mixed::F.eq(NO_FLOAT - 1)).await, [1]);
        assert_eq!(kept(&table, Mixed::I.eq(9_007_199_254_740_992.0)).await, [1]);
        assert_eq!(kept(&table, Mixed::I.lt(-1.5)).await, [3]);
        // What is written is not rounded either.
        let set = table.patch(1, [Mixed::F.set(NO_FLOAT)]).await;
        fails(set, ErrorKind::InvalidInput, "\"f\" is f64, not i64");
        table.patch(1, [Mixed::F.set(5)]).await.expect("a float");
        assert_eq!(kept(&table, Mixed::F.eq(5.0)).await, [1]);
    }
}
