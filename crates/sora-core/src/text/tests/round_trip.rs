//! What a predicate displays is read as that predicate, and what is read compares exactly.

use proptest::prelude::*;
use proptest::sample::select;

use super::{read, schema};
use crate::text::Parameters;
use crate::{
    Comparison, Date, Decimal, FilterLimits, Pattern, Predicate, Timestamp, Truth, Type, Value,
};

fn texts() -> impl Strategy<Value = Box<str>> {
    let characters = select(vec!['a', 'Z', '\'', '"', '\\', '%', '_', '\n', '\t', 'é', '東', '?']);
    let characters = prop_oneof![characters, any::<char>().prop_filter("text", |c| *c != '\0')];
    prop::collection::vec(characters, 0..8).prop_map(|chars| String::from_iter(chars).into())
}

fn decimals() -> impl Strategy<Value = Decimal> {
    let mantissa = prop_oneof![-10_000..10_000i128, -(1i128 << 96)..(1i128 << 96)];
    let decimal = |(mantissa, scale)| Decimal::new(mantissa, scale);
    (mantissa, 0..=28u8).prop_filter_map("96 bits", decimal)
}

fn floats() -> impl Strategy<Value = f64> {
    let edges = vec![0.0, -0.0, 0.5, 1e16, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::INFINITY];
    let edges = select(edges).prop_flat_map(|float| select(vec![float, -float]));
    prop_oneof![edges, any::<f64>().prop_filter("a number", |float| !float.is_nan())]
}

fn integers() -> impl Strategy<Value = i64> {
    prop_oneof![-5..5i64, any::<i64>(), select(vec![i64::MIN, i64::MAX, (1 << 53) + 1])]
}

fn timestamps() -> impl Strategy<Value = Timestamp> {
    let micros = Timestamp::MIN.micros()..=Timestamp::MAX.micros();
    micros.prop_filter_map("in range", Timestamp::from_micros)
}

fn dates() -> impl Strategy<Value = Date> {
    (Date::MIN.days()..=Date::MAX.days()).prop_filter_map("in range", Date::from_days)
}

/// Values that a column of a type can be compared with.
fn values(column_type: Type) -> BoxedStrategy<Value> {
    let number = prop_oneof![
        integers().prop_map(Value::I64),
        decimals().prop_map(Value::Decimal),
        floats().prop_map(Value::F64),
    ];
    let exact = prop_oneof![
        integers().prop_map(Value::I64),
        decimals().prop_map(Value::Decimal),
        decimals().prop_map(|decimal| Value::Text(decimal.to_string().into())),
    ];
    let time = prop_oneof![
        timestamps().prop_map(Value::Timestamp),
        dates().prop_map(Value::Date),
        timestamps().prop_map(|time| Value::Text(time.to_string().into())),
    ];
    let value = match column_type {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::I64 | Type::F64 => number.boxed(),
        Type::Decimal { .. } => exact.boxed(),
        Type::Text => texts().prop_map(Value::Text).boxed(),
        Type::Bytes => any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        Type::Timestamp | Type::Date => time.boxed(),
        Type::Uuid => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        Type::Json | Type::Unknown => Just(Value::Null).boxed(),
    };
    prop_oneof![9 => value, 1 => Just(Value::Null)].boxed()
}

fn patterns() -> impl Strategy<Value = Pattern> {
    let any =
        (texts(), texts(), texts()).prop_filter_map("a pattern", |(text, middle, pattern)| {
            Pattern::parse(&format!("{pattern}{middle}"), None)
                .or_else(|_| Pattern::contains(&text))
                .ok()
        });
    let plain = (0..3, texts()).prop_filter_map("a pattern", |(kind, text)| match kind {
        0 => Pattern::starts_with(&text).ok(),
        1 => Pattern::ends_with(&text).ok(),
        _ => Pattern::contains(&text).ok(),
    });
    prop_oneof![any, plain]
}

/// One condition on one column, not yet bound.
fn leaves() -> BoxedStrategy<Predicate> {
    let columns: Vec<_> = (0u16..).zip(schema().columns().to_vec()).collect();
    let comparisons = || {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
    };
    let leaf = select(columns).prop_flat_map(move |(column, declared)| {
        let null = Just(Predicate::IsNull(column));
        let compare = (comparisons(), values(declared.column_type))
            .prop_map(move |(comparison, value)| Predicate::Compare { column, comparison, value });
        let list = prop::collection::vec(values(declared.column_type), 0..5);
        let list = (list, any::<bool>()).prop_map(move |(values, null)| Predicate::In {
            column,
            values: values.into(),
            null,
        });
        let like = (patterns(), any::<bool>()).prop_map(move |(pattern, fold)| Predicate::Like {
            column,
            pattern,
            fold,
        });
        match declared.column_type {
            Type::Json | Type::Unknown => null.boxed(),
            Type::Bool => prop_oneof![null, compare, list, Just(Predicate::Bool(column))].boxed(),
            Type::Text => prop_oneof![null, compare, list, like].boxed(),
            _ => prop_oneof![null, compare, list].boxed(),
        }
    });
    let constant = select(vec![Truth::True, Truth::False, Truth::Unknown]);
    prop_oneof![12 => leaf, 1 => constant.prop_map(Predicate::Constant)].boxed()
}

fn predicates() -> impl Strategy<Value = Predicate> {
    leaves().prop_recursive(6, 40, 4, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            list().prop_map(Predicate::And),
            list().prop_map(Predicate::Or),
            inner.clone().prop_map(|operand| Predicate::Not(Box::new(operand))),
            (inner.clone(), any::<bool>())
                .prop_map(|(operand, truth)| Predicate::Is { operand: Box::new(operand), truth }),
        ]
    })
}

/// Texts that look like filters more often than not.
fn scraps() -> impl Strategy<Value = String> {
    const WORDS: &str = "id id = <> < >= 5 -2.5 1e3 name 'a' 'it''s' LIKE ILIKE ESCAPE '!' NOT NOT \
                         AND AND OR ( ( ) ) , IN () IS NULL TRUE FALSE BETWEEN active active doc \
                         born '2024-01-01' X'00' \"or\" ? :n é ; -- /* == . \" '";
    let words: Vec<_> = WORDS.split(' ').collect();
    prop::collection::vec(select(words), 1..12).prop_map(|words| words.join(" "))
}

fn check_round_trip(bound: &Predicate) {
    let schema = schema();
    let shown = bound.display(&schema).to_string();
    let again = read(&shown, Parameters::none());
    assert_eq!(again.map_err(|error| error.to_string()).as_ref(), Ok(bound), "{shown}");
    let rebound = bound.clone().bind(&schema, FilterLimits::default());
    assert_eq!(rebound.map_err(|error| error.to_string()).as_ref(), Ok(bound), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_displayed_is_read_as_it_was(predicate in predicates()) {
        let bound = predicate.bind(&schema(), FilterLimits::default());
        check_round_trip(&bound.expect("the values fit their columns"));
    }

    #[test]
    fn any_text_is_read_or_explained(text in prop_oneof![scraps(), any::<String>()]) {
        match read(&text, Parameters::none()) {
            Ok(predicate) => check_round_trip(&predicate),
            Err(error) => assert!(!error.message().is_empty()),
        }
    }

    #[test]
    fn numbers_compare_exactly(
        mantissa in -400..400i64,
        places in 0..=2usize,
        row in -40..40i64,
    ) {
        // The number is mantissa / 10^places; column and number are compared in hundredths.
        let sign = if mantissa < 0 { "-" } else { "" };
        let digits = format!("{:0>3}", mantissa.abs());
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let number = match places {
            0 => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{fraction}"),
        };
        let hundredths = mantissa * 10i64.pow(2 - u32::try_from(places).expect("at most two"));
        let mut cells = vec![Value::Null; schema().columns().len()];
        cells[0] = Value::I64(row);
        cells[1] = Value::Decimal(Decimal::new(row.into(), 2).expect("fits"));
        for (name, cell) in [("id", row * 100), ("price", row)] {
            for (sign, expected) in [
                ("=", cell == hundredths),
                ("<>", cell != hundredths),
                ("<", cell < hundredths),
                ("<=", cell <= hundredths),
                (">", cell > hundredths),
                (">=", cell >= hundredths),
            ] {
                let text = format!("{name} {sign} {number}");
                let truth = read(&text, Parameters::none()).expect(&text).evaluate(&cells);
                assert_eq!(truth.expect("a truth"), expected.into(), "{text} of {row}");
            }
        }
    }

    #[test]
    fn whole_numbers_beside_floats_compare_exactly(number in any::<i128>(), row in -1e30..1e30f64) {
        #[expect(clippy::cast_possible_truncation, reason = "floored, and below 2^127")]
        let floor = row.floor() as i128;
        let mut cells = vec![Value::Null; schema().columns().len()];
        cells[2] = Value::F64(row);
        // Small numbers and the neighbours of the row, too, or hardly any pair would be close.
        for number in [number, number >> 64, number >> 100, floor, floor + 1] {
            let text = format!("score > {number}");
            let truth = read(&text, Parameters::none()).expect(&text).evaluate(&cells);
            #[expect(clippy::float_cmp, reason = "whether it was whole is an exact question")]
            let expected = floor > number || (floor == number && row != row.floor());
            assert_eq!(truth.expect("a truth"), expected.into(), "{row:?}: {text}");
        }
    }
}
