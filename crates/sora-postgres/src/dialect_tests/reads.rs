//! Reads against a real server.

use sora_core::read::Access;
use sora_core::{Column, Pattern, Sort, Timestamp, Type};

use super::*;

/// A table with a column of every type, each nullable but the key.
fn every_type() -> Schema {
    Schema::builder("every \"type\"")
        .column(Column::new("id", Type::I64))
        .column(Column::new("bool", Type::Bool).nullable())
        .column(Column::new("short", Type::I64).range(-32_768, 32_767).nullable())
        .column(Column::new("byte", Type::I64).range(0, 255).nullable())
        .column(Column::new("float", Type::F64).nullable())
        .column(Column::new("decimal", Type::Decimal { precision: 28, scale: 10 }).nullable())
        .column(Column::new("text", Type::Text).nullable())
        .column(Column::new("bytes", Type::Bytes).nullable())
        .column(Column::new("at", Type::Timestamp).nullable())
        .column(Column::new("day", Type::Date).nullable())
        .column(Column::new("uuid", Type::Uuid).nullable())
        .column(Column::new("json", Type::Json).nullable())
        .key(["id"])
        .index(["text"])
        .build()
        .expect("a schema")
}

fn rows() -> Vec<Vec<Value>> {
    let mut null = vec![Value::Null; 12];
    null[0] = Value::I64(0);
    vec![
        null,
        vec![
            Value::I64(i64::MIN),
            Value::Bool(true),
            Value::I64(-32_768),
            Value::I64(255),
            Value::F64(f64::NEG_INFINITY),
            decimal("-999999999999999999.9999999999"),
            Value::Text("".into()),
            Value::Bytes([].into()),
            Value::Timestamp(Timestamp::MIN),
            Value::Date(Timestamp::MIN.date()),
            Value::Uuid([0; 16]),
            Value::Json("null".into()),
        ],
        vec![
            Value::I64(i64::MAX),
            Value::Bool(false),
            Value::I64(32_767),
            Value::I64(0),
            Value::F64(5e-324),
            decimal("0.0000000001"),
            Value::Text("a'\\\"\u{10ffff}\n%_".into()),
            Value::Bytes([0, 255, b'\\'].into()),
            Value::Timestamp(Timestamp::MAX),
            Value::Date(Timestamp::MAX.date()),
            Value::Uuid([255; 16]),
            Value::Json("{\"a\":[1,2.50],\"bb\":\"\\n\",\"c\":{}}".into()),
        ],
    ]
}

async fn fill(bench: &Bench, binding: &Arc<Binding>, rows: &[Vec<Value>]) {
    writes::insert(bench, binding, rows).await;
}

fn ordered(binding: &Arc<Binding>) -> Read {
    let mut read = Read::new(binding.clone(), binding.schema().visible().collect());
    read.sort = Arc::from([Sort { column: 0, descending: false }]);
    read
}

#[tokio::test]
async fn every_value_comes_back() {
    let bench = Bench::new().await;
    let binding = bench.create(every_type()).await;
    let mut rows = rows();
    fill(&bench, &binding, &rows).await;
    rows.sort_by(|left, right| left[0].cell().sort_order(right[0].cell()));
    assert_eq!(bench.read(&ordered(&binding)).await.expect("rows"), rows);
    let mut read = ordered(&binding);
    let keys: Vec<Vec<Value>> = rows.iter().map(|row| vec![row[0].clone()]).collect();
    read.access = Access::Keys(buffer(&keys));
    assert_eq!(bench.read(&read).await.expect("rows"), rows);
}

#[tokio::test]
async fn every_condition_is_one_that_the_server_takes() {
    let bench = Bench::new().await;
    let binding = bench.create(every_type()).await;
    fill(&bench, &binding, &rows()).await;
    let mut nondeterministic = (**binding.live()).clone();
    let mut linguistic = nondeterministic.clone();
    linguistic.columns[6].collation = Some("en-US-x-icu".into());
    nondeterministic.columns[6].collation = Some("ignore_case".into());
    nondeterministic.columns[6].is_deterministic = false;
    for live in [(**binding.live()).clone(), linguistic, nondeterministic] {
        let binding = Binding::new(binding.schema().clone(), Arc::new(live)).expect("bound");
        let binding = Arc::new(binding);
        for text in [
            "bool AND bool IS TRUE AND bool IN (TRUE, FALSE)",
            "short > 1 OR short IN (1, 2, NULL) OR byte < 3.5",
            "float >= 1e300 OR float <> 0.5 OR float IN (1, 2)",
            "decimal < 1.5 OR decimal IN (1, 2.5)",
            "text = 'a' OR text > 'b' OR text IN ('a', 'b') OR text <> 'c'",
            "text LIKE 'a' OR text LIKE 'a%' OR text LIKE '%a' OR text LIKE 'a_b'",
            "text LIKE '\u{10ffff}%' OR text ILIKE 'A%' OR NOT text LIKE '%\\'",
            "bytes = X'00ff' OR bytes > X'' OR bytes IN (X'00', X'01')",
            "at > '2024-02-29' OR at IN ('2024-02-29', '2024-03-01T12:00:00Z')",
            "day = '2024-02-29' OR day IN ('2024-02-29', '2024-03-01')",
            "uuid > '0190a6f2-7c1e-7d3a-9b1f-00ff00ff00ff' OR json IS NULL",
            "NULL OR NOT (id = 1 AND NULL) OR FALSE",
        ] {
            let mut read = ordered(&binding);
            read.filter = filter(&binding, text).into();
            bench.read(&read).await.expect(text);
        }
        for column in binding.schema().visible().filter(|column| *column != 11) {
            for descending in [false, true] {
                let values = rows()
                    .into_iter()
                    .map(|row| [row[usize::from(column)].clone(), row[0].clone()]);
                for after in values {
                    let mut read = ordered(&binding);
                    let by = |column| Sort { column, descending };
                    read.sort = Arc::from([by(column), by(0)]);
                    read.after = Some(Arc::from(after));
                    read.limit = Some(2);
                    bench.read(&read).await.expect("a page");
                    read.sort =
                        Arc::from([by(column), Sort { column: 0, descending: !descending }]);
                    read.offset = 1;
                    bench.read(&read).await.expect("a page");
                }
            }
        }
    }
}

const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ab",
    "aB",
    "Ab",
    "b",
    "B",
    "ä",
    "Ä",
    "aä",
    "aÄb",
    "a%",
    "a_",
    "a\\",
    "\\",
    "%",
    "a b",
    "a-b",
    "ı",
    "I",
    "İ",
    "ſ",
    "s",
    "K",
    "k",
    "\u{212a}",
    "日本",
    "\u{10ffff}",
    "a\u{10ffff}b",
    "A\nb",
    "ab ",
    " ab",
];

/// The sharpest difference between stores: what order and patterns make of odd texts, on columns of
/// three kinds of collations.
#[tokio::test]
async fn texts_are_matched_and_ordered_as_in_memory() {
    let bench = Bench::new().await;
    bench
        .run(
            "CREATE COLLATION ignore_case \
             (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        )
        .await;
    for (table, collation, live_collation) in [
        ("c", "\"C\"", None),
        ("linguistic", "\"en-US-x-icu\"", Some("en-US-x-icu")),
        ("nondeterministic", "ignore_case", Some("ignore_case")),
    ] {
        bench.run(&format!("CREATE TABLE {table} (id int4 PRIMARY KEY, text varchar(9) COLLATE {collation} NOT NULL)")).await;
        bench.run(&format!("CREATE INDEX ON {table} (text)")).await;
        let schema = Schema::builder(table)
            .column(Column::new("id", Type::I64))
            .column(Column::new("text", Type::Text))
            .key(["id"])
            .build()
            .expect("a schema");
        let mut live = LiveTable::from(&schema);
        live.columns[1].declared = "character varying(9)".into();
        live.columns[1].collation = live_collation.map(Into::into);
        live.columns[1].is_deterministic = table != "nondeterministic";
        let binding = Binding::new(Arc::new(schema), Arc::new(live)).expect("bound");
        let binding = Arc::new(binding);
        let texts: Vec<Vec<Value>> = (0i64..)
            .zip(TEXTS)
            .map(|(id, text)| vec![Value::I64(id), Value::Text((*text).into())])
            .collect();
        fill(&bench, &binding, &texts).await;
        check_texts(&bench, &binding).await;
    }
}

async fn check_texts(bench: &Bench, binding: &Arc<Binding>) {
    let mut read = Read::new(binding.clone(), Arc::from([1]));
    read.sort = Arc::from([Sort { column: 1, descending: false }]);
    let mut expected = TEXTS.to_vec();
    expected.sort_unstable();
    let texts = |found: Vec<Vec<Value>>| -> Vec<String> {
        let text = |row: Vec<Value>| match row.into_iter().next() {
            Some(Value::Text(text)) => text.into(),
            other => panic!("{other:?}"),
        };
        found.into_iter().map(text).collect()
    };
    assert_eq!(texts(bench.read(&read).await.expect("rows")), expected);
    let patterns = TEXTS.iter().flat_map(|text| {
        let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
        [
            escaped.clone(),
            format!("{escaped}%"),
            format!("%{escaped}"),
            format!("{escaped}_"),
            format!("_{escaped}%"),
        ]
    });
    for pattern in patterns {
        let pattern = Pattern::parse(&pattern, Some('!')).expect("a pattern");
        for fold in [false, true] {
            let expected: Vec<&str> =
                expected.iter().copied().filter(|text| pattern.matches(text, fold)).collect();
            let like = Predicate::Like { column: 1, pattern: pattern.clone(), fold };
            read.filter = Arc::from([like]);
            let found = texts(bench.read(&read).await.expect("rows"));
            assert_eq!(found, expected, "{pattern:?} {fold} {}", binding.live().name);
        }
    }
    for text in TEXTS {
        let value = Value::Text((*text).into());
        let other = Value::Text("no such".into());
        read.filter =
            Arc::from([Predicate::In { column: 1, values: [value, other].into(), null: false }]);
        assert_eq!(texts(bench.read(&read).await.expect("rows")), [*text]);
    }
}

#[tokio::test]
async fn keys_of_text_are_joined_whatever_their_collation() {
    let bench = Bench::new().await;
    for collation in ["\"C\"", "\"en-US-x-icu\"", "\"default\""] {
        bench
            .run(&format!(
                "DROP TABLE IF EXISTS t; \
                 CREATE TABLE t (a text COLLATE {collation}, b uuid, PRIMARY KEY (a, b))"
            ))
            .await;
        let schema = Schema::builder("t")
            .column(Column::new("a", Type::Text))
            .column(Column::new("b", Type::Uuid))
            .key(["a", "b"])
            .build()
            .expect("a schema");
        let live = LiveTable::from(&schema);
        let binding = Binding::new(Arc::new(schema), Arc::new(live)).expect("bound");
        let binding = Arc::new(binding);
        let rows: Vec<Vec<Value>> =
            (0..3).map(|at| vec![Value::Text("a".into()), Value::Uuid([at; 16])]).collect();
        fill(&bench, &binding, &rows).await;
        let mut read = Read::new(binding.clone(), Arc::from([0, 1]));
        let keys = [rows[2].clone(), rows[0].clone(), rows[2].clone()];
        read.access = Access::Keys(buffer(&keys));
        let mut found = bench.read(&read).await.expect("rows");
        found.sort_by(|left, right| left[1].cell().sort_order(right[1].cell()));
        assert_eq!(found, [rows[0].clone(), rows[2].clone()]);
    }
}

#[tokio::test]
async fn a_cell_that_is_no_value_names_row_and_column() {
    let bench = Bench::new().await;
    bench
        .run(
            "CREATE TYPE mood AS ENUM ('glad'); \
             CREATE TABLE t (id int4 PRIMARY KEY, at timestamp, mood mood, big numeric); \
             INSERT INTO t VALUES (7, 'infinity', 'glad', 1e40), (8, '2024-02-29 12:00', NULL, 1.50)",
        )
        .await;
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("at", Type::Timestamp).nullable())
        .column(Column::new("mood", Type::Unknown).nullable())
        .column(Column::new("big", Type::Decimal { precision: 10, scale: 2 }).nullable())
        .key(["id"])
        .build()
        .expect("a schema");
    let mut live = LiveTable::from(&schema);
    live.columns[1].declared = "timestamp without time zone".into();
    live.columns[3].column_type = Type::Unknown;
    live.columns[3].readable_as = Box::from([Type::Decimal { precision: 28, scale: 0 }]);
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let read = |columns: &[u16]| Read::new(binding.clone(), columns.into());
    let error = bench.read(&read(&[1])).await.expect_err("infinite").to_string();
    assert!(error.contains("\"at\" holds an infinity") && error.contains("\"id\" = 7"), "{error}");
    let error = bench.read(&read(&[3])).await.expect_err("too wide").to_string();
    assert!(error.contains("\"big\" holds") && error.contains("\"id\" = 7"), "{error}");
    let mut read = read(&[1, 2, 3]);
    read.filter = filter(&binding, "at = '2024-02-29T12:00:00Z'").into();
    let row = vec![at("2024-02-29T12:00:00Z"), Value::Null, decimal("1.50")];
    assert_eq!(bench.read(&read).await.expect("rows"), [row]);
}

/// Returns the server's plan of a read.
async fn plan(bench: &Bench, read: &Read) -> String {
    let select = |out: &mut _| select::<Postgres, _>(read, portions(read)[0], read.limit, out);
    let text = format!("EXPLAIN {}", render::<Postgres>(select));
    let parameters = Parameters::of(|out| {
        sora_sql::select::<Postgres, _>(read, portions(read)[0], read.limit, out);
    });
    let rows = bench.query(&text, &parameters.expect("they fit")).await.expect(&text);
    let lines = rows.iter().map(|row| row.get::<_, String>(0) + "\n");
    lines.collect()
}

#[tokio::test]
async fn indexes_serve_what_sora_asks() {
    let bench = Bench::new().await;
    let schema = Schema::builder("item")
        .column(Column::new("id", Type::I64).range(i32::MIN.into(), i32::MAX.into()))
        .column(Column::new("name", Type::Text).nullable())
        .column(Column::new("found", Type::Text))
        .column(Column::new("at", Type::Timestamp))
        .key(["id"])
        .index(["name"])
        .index(["at"])
        .build()
        .expect("a schema");
    let binding = bench.create(schema).await;
    bench
        .run(
            "INSERT INTO item SELECT g, CASE WHEN g % 3 > 0 THEN 'n' || g END, 'f' || g, \
             to_timestamp(g) FROM generate_series(1, 5000) g; \
             ALTER TABLE item ALTER at TYPE timestamp USING at AT TIME ZONE 'UTC', \
             ALTER found TYPE varchar(9) COLLATE \"en-US-x-icu\"; \
             CREATE INDEX by_prefix ON item (found varchar_pattern_ops); ANALYZE item",
        )
        .await;
    let mut live = (**binding.live()).clone();
    live.columns[2].collation = Some("en-US-x-icu".into());
    live.columns[3].declared = "timestamp without time zone".into();
    let binding = Binding::new(binding.schema().clone(), Arc::new(live)).expect("bound");
    let binding = Arc::new(binding);
    let by = |column, descending| Sort { column, descending };
    let text = |text: &str| Value::Text(text.into());
    let read = || Read::new(binding.clone(), Arc::from([0, 1]));
    let page = |sort: [Sort; 2], after: Option<[Value; 2]>| {
        let mut read = read();
        (read.sort, read.limit) = (Arc::from(sort), Some(10));
        read.after = after.map(|after| Arc::from(&after[..]));
        read
    };
    let filtered = |text: &str| {
        let mut read = read();
        read.filter = filter(&binding, text).into();
        read
    };
    let keys: Vec<Vec<Value>> = (1..9).map(|id| vec![Value::I64(id * 500)]).collect();
    let mut lookup = read();
    lookup.access = Access::Keys(buffer(&keys));
    for (read, index) in [
        (page([by(1, false), by(0, false)], None), "item_name_idx"),
        (page([by(1, true), by(0, true)], None), "Backward using item_name_idx"),
        (page([by(1, false), by(0, false)], Some([text("n5"), Value::I64(5)])), "item_name_idx"),
        (page([by(1, true), by(0, true)], Some([Value::Null, Value::I64(4_500)])), "item_name_idx"),
        (
            page([by(3, false), by(0, false)], Some([at("1970-01-01"), Value::I64(5)])),
            "item_at_idx",
        ),
        (filtered("name LIKE 'n123%'"), "item_name_idx"),
        (filtered("found LIKE 'f123%'"), "by_prefix"),
        (filtered("at > '1970-01-01T01:20:00Z' AND at < '1970-01-01T01:20:09Z'"), "item_at_idx"),
        (filtered("id = 5"), "item_pkey"),
        (lookup, "item_pkey"),
    ] {
        let plan = plan(&bench, &read).await;
        let is_served = plan.contains(index) && !plan.contains("Seq Scan");
        let sorts = plan.contains("Sort") && read.limit.is_some();
        assert!(is_served && !sorts, "{index}:\n{plan}");
    }
}

/// A plan that holds for every number of keys is made once, not at every call.
#[tokio::test]
async fn lookups_and_pages_are_not_planned_anew() {
    let bench = Bench::new().await;
    let binding = bench.create(every_type()).await;
    bench
        .run(
            "INSERT INTO \"every \"\"type\"\"\" (id) SELECT generate_series(1, 5000); \
             ANALYZE \"every \"\"type\"\"\"",
        )
        .await;
    let mut lookup = Read::new(binding.clone(), Arc::from([0]));
    lookup.access = Access::Keys(buffer(&[vec![Value::I64(1)], vec![Value::I64(2)]]));
    let mut page = ordered(&binding);
    page.limit = Some(50);
    page.filter = filter(&binding, "id > 5").into();
    for read in [lookup, page] {
        let select =
            |out: &mut _| select::<Postgres, _>(&read, portions(&read)[0], read.limit, out);
        let text = render::<Postgres>(select);
        let parameters = Parameters::of(|out| {
            sora_sql::select::<Postgres, _>(&read, portions(&read)[0], read.limit, out);
        });
        let parameters = parameters.expect("they fit");
        let statement = bench.client.prepare(&text).await.expect(&text);
        assert_eq!(statement.params(), parameters.types());
        let given: Vec<_> = parameters.iter().collect();
        let given: Vec<&(dyn ToSql + Sync)> = given.iter().map(|one| one as _).collect();
        for _ in 0..10 {
            bench.client.query(&statement, &given).await.expect(&text);
        }
    }
    let plans =
        "SELECT statement, generic_plans FROM pg_prepared_statements WHERE generic_plans < 5";
    let anew = bench.client.query(plans, &[]).await.expect("plans");
    let anew: Vec<String> =
        anew.iter().map(|row| row.get(0)).filter(|text: &String| text.contains("every")).collect();
    assert!(anew.is_empty(), "{anew:?}");
}
