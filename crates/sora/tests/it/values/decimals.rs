//! Decimals and bools.

use sora::{Decimal, Entity, ErrorKind};

use super::{fails, holds, keeps, kept, refuses, sorts};
use crate::stores::{repository, stores};

#[derive(Clone, Debug, PartialEq, Entity)]
struct Prices {
    #[sora(key)]
    id: i64,
    #[sora(decimal(6, 2))]
    price: Option<Decimal>,
    #[sora(decimal(28, 0))]
    wide: Decimal,
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}

#[tokio::test]
async fn decimals_keep_their_digits_and_go_by_value() {
    for store in stores().await {
        let table = repository::<Prices>(&store).await;
        let row = |id, price: &str, wide| Prices {
            id,
            price: (!price.is_empty()).then(|| decimal(price)),
            wide: decimal(wide),
        };
        holds(
            &table,
            &[
                row(1, "10", "9999999999999999999999999999"),
                row(2, "9.99", "9999999999999999999999999998"),
                row(3, "-9.5", "-9999999999999999999999999999"),
                row(4, "-10.000", "0"),
                row(5, "", "10"),
                row(6, "9999.99", "9"),
                row(7, "-0.0", "-9"),
            ],
        )
        .await;
        let shown = async |id| {
            let stored = table.get(id).await.expect("a read").expect("a row");
            stored.price.expect("a price").to_string()
        };
        assert_eq!([shown(1).await, shown(3).await, shown(7).await], ["10.00", "-9.50", "0.00"]);
        sorts(&table, [Prices::PRICE.asc(), Prices::PRICE.desc()], [5, 4, 3, 7, 2, 1, 6]).await;
        sorts(&table, [Prices::WIDE.asc(), Prices::WIDE.desc()], [3, 7, 4, 6, 5, 2, 1]).await;
        keeps(
            &table,
            &[
                ("price = 10", &[1]),
                ("price = '10.000'", &[1]),
                ("price IN (1e1, 9.990)", &[1, 2]),
                ("price < 9.995", &[2, 3, 4, 7]),
                ("price = 9.995", &[]),
                ("NOT price = 9.995", &[1, 2, 3, 4, 6, 7]),
                ("price BETWEEN -9.995 AND -9.5", &[3]),
                ("price > 10000", &[]),
                ("wide = 9999999999999999999999999998", &[2]),
                ("wide > 9999999999999999999999999998", &[1]),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn decimals_are_refused_rather_than_rounded() {
    for store in stores().await {
        let table = repository::<Prices>(&store).await;
        let row = |price: &str| Prices { id: 1, price: Some(decimal(price)), wide: decimal("0") };
        let digits = "\"price\" takes 6 digits, 2 of them behind the point, not ";
        for price in ["1.005", "0.001", "10000", "-10000.00"] {
            let why = format!("{digits}{price}");
            fails(table.insert(row(price)).await, ErrorKind::InvalidInput, &why);
            fails(table.upsert(row(price)).await, ErrorKind::InvalidInput, &why);
        }
        table.insert(row("0.10")).await.expect("a row");
        let set = table.patch(1, [Prices::PRICE.set(decimal("1.005"))]).await;
        fails(set, ErrorKind::InvalidInput, &format!("{digits}1.005"));
        table.patch(1, [Prices::PRICE.add(decimal("0.2"))]).await.expect("a sum");
        let stored = table.get(1).await.expect("a read").expect("a row");
        assert_eq!(stored.price.expect("a price").to_string(), "0.30");
        let sum = table.patch(1, [Prices::PRICE.add(decimal("9999.90"))]).await;
        assert_eq!(sum.expect_err("overflows").kind(), ErrorKind::Constraint);
        assert_eq!(kept(&table, Prices::PRICE.eq(decimal("0.3"))).await, [1]);
    }
}

#[derive(Clone, Debug, PartialEq, Entity)]
struct Flags {
    #[sora(key)]
    id: i64,
    active: Option<bool>,
    ready: bool,
}

#[tokio::test]
async fn bools_stand_alone_and_are_no_numbers() {
    for store in stores().await {
        let table = repository::<Flags>(&store).await;
        let row = |id, active, ready| Flags { id, active, ready };
        let rows = [row(1, Some(true), true), row(2, None, true), row(3, Some(false), false)];
        holds(&table, &rows).await;
        sorts(&table, [Flags::ACTIVE.asc(), Flags::ACTIVE.desc()], [2, 3, 1]).await;
        keeps(
            &table,
            &[
                ("active", &[1]),
                ("NOT active", &[3]),
                ("active AND ready", &[1]),
                ("ready OR active", &[1, 2]),
                ("active IS NOT TRUE", &[2, 3]),
                ("active = FALSE", &[3]),
                ("active < TRUE", &[3]),
                ("active IN (TRUE, NULL)", &[1]),
            ],
        )
        .await;
        assert_eq!(
            kept(&table, Flags::ACTIVE.is_false() | Flags::READY.is_true()).await,
            [1, 2, 3]
        );
    }
    let why = "\"active\" is bool and cannot be compared with";
    refuses::<Flags>(&[
        ("active = 1", why),
        ("active = 'true'", why),
        ("active IN (0)", why),
        ("id AND active", "\"id\" stands alone, which only a bool column can"),
        ("id IS TRUE", "stand behind a bool column"),
    ]);
}
