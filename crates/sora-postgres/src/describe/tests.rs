//! What is found in databases that Sora did not make.

use expect_test::{Expect, expect};
use sora_core::{Assigned, LiveTable};
use sora_testbed::{Database, Postgres};

use crate::PostgresConfig;
use crate::describe::describe;
use crate::pool::Pool;

async fn described(database: &Database, table: Option<&str>) -> Vec<LiveTable> {
    let config = PostgresConfig::parse(&database.url()).expect("an address");
    let pool = Pool::new(config).expect("a pool");
    let lease = pool.acquire().await.expect("a connection");
    describe(&lease, table).await.expect("described")
}

fn database(statements: &str) -> Database {
    let postgres = Postgres::shared().expect("a server");
    let database = postgres.database().expect("a database");
    database.execute(statements).expect("executed");
    database
}

fn append(line: &mut String, text: std::fmt::Arguments<'_>) {
    use std::fmt::Write as _;
    line.write_fmt(text).expect("written");
}

/// Writes a table as a few lines.
fn text(table: &LiveTable) -> String {
    let kind = match (table.is_view, table.is_partitioned) {
        (true, _) => " (view)",
        (_, true) => " (partitioned)",
        _ => "",
    };
    let mut lines = vec![format!("{}{kind}", table.name)];
    for column in &table.columns {
        let mut line = format!("  {}: {} = {}", column.name, column.declared, column.column_type);
        if column.nullable {
            line += " null";
        }
        if let Some((min, max)) = column.range {
            append(&mut line, format_args!(" {min}..{max}"));
        }
        if let Some(collation) = &column.collation {
            append(&mut line, format_args!(" collate {collation}"));
        }
        if !column.is_deterministic {
            line += " nondeterministic";
        }
        if column.assigned != Assigned::Caller {
            append(&mut line, format_args!(" {:?}", column.assigned));
        }
        lines.push(line);
    }
    let names = |columns: &[u16]| {
        let names: Vec<&str> = columns.iter().map(|at| &*table.column(*at).name).collect();
        names.join(", ")
    };
    lines.push(format!("  key ({})", names(&table.key)));
    for index in &table.indexes {
        let mut line = format!("  index {} ({})", index.name, names(&index.columns));
        if index.descending.contains(&true) {
            append(&mut line, format_args!(" descending {:?}", index.descending));
        }
        if index.unique {
            line += " unique";
        }
        if !index.is_complete {
            line += " partial";
        }
        lines.push(line);
    }
    lines.join("\n")
}

async fn check(statements: &str, table: &str, expected: Expect) {
    let database = database(statements);
    let found = described(&database, Some(table)).await;
    let texts: Vec<String> = found.iter().map(text).collect();
    expected.assert_eq(&texts.join("\n"));
}

#[tokio::test]
async fn types_are_known_or_unknown() {
    let statements = "CREATE TYPE mood AS ENUM ('sad', 'glad'); \
        CREATE DOMAIN price AS numeric(10, 2) CHECK (VALUE >= 0); \
        CREATE DOMAIN needed AS price NOT NULL DEFAULT 1.5; \
        CREATE DOMAIN mooded AS mood; \
        CREATE DOMAIN moment AS timestamp; \
        CREATE TABLE t (a smallint, b integer, c bigint, d real, e double precision, \
        f numeric, g numeric(28, 28), h numeric(29), i numeric(3, -2), j numeric(2, 5), \
        k boolean, l text, m varchar(5), n char(3), o bytea, p uuid, q timestamptz(3), r timestamp, \
        s date, u json, v jsonb, w mood, x mood[], y int[], z price, aa needed, ab mooded, \
        ac moment, ad inet, ae time, af interval, ag money, ah name, ai \"char\", aj xml)";
    check(
        statements,
        "t",
        expect![[r#"
        t
          a: smallint = i64 null -32768..32767
          b: integer = i64 null -2147483648..2147483647
          c: bigint = i64 null
          d: real = f64 null
          e: double precision = f64 null
          f: numeric = unknown null
          g: numeric(28,28) = decimal(28,28) null
          h: numeric(29,0) = unknown null
          i: numeric(3,-2) = unknown null
          j: numeric(2,5) = unknown null
          k: boolean = bool null
          l: text = text null
          m: character varying(5) = text null
          n: character(3) = unknown null
          o: bytea = bytes null
          p: uuid = uuid null
          q: timestamp(3) with time zone = timestamp null
          r: timestamp without time zone = timestamp null
          s: date = date null
          u: json = json null
          v: jsonb = json null
          w: mood = unknown null
          x: mood[] = unknown null
          y: integer[] = unknown null
          z: numeric(10,2) = decimal(10,2) null
          aa: numeric(10,2) = decimal(10,2) Default(1.50)
          ab: mooded = unknown null
          ac: timestamp without time zone = timestamp null
          ad: inet = unknown null
          ae: time without time zone = unknown null
          af: interval = unknown null
          ag: money = unknown null
          ah: name = unknown null
          ai: "char" = unknown null
          aj: xml = unknown null
          key ()"#]],
    )
    .await;
}

#[tokio::test]
async fn defaults_and_computed_columns_are_told() {
    let statements = "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
        other integer GENERATED BY DEFAULT AS IDENTITY, old serial, big bigserial UNIQUE, \
        n integer DEFAULT -5, x double precision DEFAULT 1.5, name text NOT NULL DEFAULT 'it''s', \
        made timestamptz DEFAULT now(), changed timestamptz DEFAULT CURRENT_TIMESTAMP, \
        day date DEFAULT CURRENT_DATE, gone boolean DEFAULT false, tag varchar(9) DEFAULT NULL, \
        twice integer GENERATED ALWAYS AS (n * 2) STORED, token uuid DEFAULT gen_random_uuid(), \
        settings jsonb DEFAULT '{\"a\": 1}', price numeric(8, 2) DEFAULT 0, dropped int, \
        raw bytea DEFAULT '\\x00ff', level smallint DEFAULT 3 CHECK (level BETWEEN 0 AND 9)); \
        ALTER TABLE t DROP COLUMN dropped";
    check(
        statements,
        "t",
        expect![[r#"
        t
          id: bigint = i64 Identity
          other: integer = i64 -2147483648..2147483647 Identity
          old: integer = i64 -2147483648..2147483647 Identity
          big: bigint = i64 Identity
          n: integer = i64 null -2147483648..2147483647 Default(-5)
          x: double precision = f64 null Default(1.5)
          name: text = text Default('it''s')
          made: timestamp with time zone = timestamp null Now
          changed: timestamp with time zone = timestamp null Now
          day: date = date null Store("CURRENT_DATE")
          gone: boolean = bool null Default(FALSE)
          tag: character varying(9) = text null
          twice: integer = i64 null -2147483648..2147483647 Store("a computed column")
          token: uuid = uuid null Store("gen_random_uuid()")
          settings: jsonb = json null Default('{"a":1}')
          price: numeric(8,2) = decimal(8,2) null Default(0.00)
          raw: bytea = bytes null Default(X'00ff')
          level: smallint = i64 null 0..9 Default(3)
          key (id)
          index t_big_key (big) unique"#]],
    )
    .await;
}

#[tokio::test]
async fn keys_are_unique_and_never_null() {
    // The key of the table, though it is long.
    check(
        "CREATE TABLE t (a int, b text, c uuid NOT NULL UNIQUE, PRIMARY KEY (b, a))",
        "t",
        expect![[r"
            t
              a: integer = i64 -2147483648..2147483647
              b: text = text
              c: uuid = uuid
              key (b, a)
              index t_c_key (c) unique"]],
    )
    .await;
    // Without one: unique and complete, and over columns that are never null; the shortest.
    check(
        "CREATE TABLE t (a int NOT NULL, b text NOT NULL, c int, d int NOT NULL, e int NOT NULL, \
         f int NOT NULL, UNIQUE (a, b), UNIQUE (c), UNIQUE (f) DEFERRABLE); \
         CREATE UNIQUE INDEX partial ON t (d) WHERE a > 0; \
         CREATE UNIQUE INDEX expression ON t (abs(d)); \
         CREATE UNIQUE INDEX wide ON t (e) INCLUDE (c); \
         CREATE UNIQUE INDEX pattern ON t (b text_pattern_ops)",
        "t",
        expect![[r"
            t
              a: integer = i64 -2147483648..2147483647
              b: text = text
              c: integer = i64 null -2147483648..2147483647
              d: integer = i64 -2147483648..2147483647
              e: integer = i64 -2147483648..2147483647
              f: integer = i64 -2147483648..2147483647
              key (e)
              index expression ()
              index partial (d) unique partial
              index pattern ()
              index t_a_b_key (a, b) unique
              index t_c_key (c) unique
              index t_f_key (f)
              index wide (e) unique"]],
    )
    .await;
    // Of a type that no key has.
    check(
        "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (m mood PRIMARY KEY, d int)",
        "t",
        expect![[r"
            t
              m: mood = unknown
              d: integer = i64 null -2147483648..2147483647
              key ()
              index t_pkey (m) unique"]],
    )
    .await;
    check(
        "CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)",
        "t",
        expect![[r"
            t
              id: integer = i64 -2147483648..2147483647
              key (id)"]],
    )
    .await;
}

#[tokio::test]
async fn indexes_end_at_what_is_not_the_columns_own_order() {
    check(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int, c jsonb, d int[]); \
         CREATE INDEX plain ON t (a, b DESC, id); \
         CREATE INDEX half ON t (b, lower(a), id); \
         CREATE INDEX none ON t (lower(a)); \
         CREATE INDEX pattern ON t (b, a text_pattern_ops); \
         CREATE INDEX collated ON t (a COLLATE \"en-US-x-icu\"); \
         CREATE INDEX hashed ON t USING hash (b); \
         CREATE INDEX inverted ON t USING gin (c); \
         CREATE INDEX ranges ON t USING brin (b); \
         CREATE INDEX part ON t (b) WHERE a IS NOT NULL; \
         CREATE INDEX including ON t (b) INCLUDE (a); \
         CREATE INDEX broken ON t (b); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass",
        "t",
        expect![[r"
            t
              id: integer = i64 -2147483648..2147483647
              a: text = text null
              b: integer = i64 null -2147483648..2147483647
              c: jsonb = json null
              d: integer[] = unknown null
              key (id)
              index broken (b) partial
              index collated ()
              index half (b)
              index hashed ()
              index including (b)
              index inverted ()
              index none ()
              index part (b) partial
              index pattern (b)
              index plain (a, b, id) descending [false, true, false]
              index ranges ()"]],
    )
    .await;
}

const COLLATED: &str = "CREATE COLLATION german (provider = icu, locale = 'de-DE'); \
    CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
    CREATE TABLE t (a text PRIMARY KEY, b text COLLATE \"C\", c text COLLATE \"POSIX\", \
    d varchar(5) COLLATE german, e text COLLATE loose, f text COLLATE ucs_basic, g int, \
    h char(3) COLLATE german)";

#[tokio::test]
async fn collations_are_told_where_they_do_not_order_by_bytes() {
    check(
        COLLATED,
        "t",
        expect![[r"
        t
          a: text = text
          b: text = text null
          c: text = text null
          d: character varying(5) = text null collate german
          e: text = text null collate loose nondeterministic
          f: text = text null
          g: integer = i64 null -2147483648..2147483647
          h: character(3) = unknown null collate german
          key (a)"]],
    )
    .await;
    let postgres = Postgres::shared().expect("a server");
    let icu = postgres.icu_database("en-US-x-icu").expect("an ICU database");
    icu.execute(COLLATED).expect("executed");
    let found = described(&icu, Some("t")).await;
    expect![[r"
        t
          a: text = text collate en-US-x-icu
          b: text = text null
          c: text = text null
          d: character varying(5) = text null collate german
          e: text = text null collate loose nondeterministic
          f: text = text null
          g: integer = i64 null -2147483648..2147483647
          h: character(3) = unknown null collate german
          key (a)"]]
    .assert_eq(&text(&found[0]));
}

#[tokio::test]
async fn views_are_read_and_others_are_left_out() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, name text COLLATE \"en-US-x-icu\"); \
         CREATE VIEW v AS SELECT id, name, id + 1 AS next FROM t; \
         CREATE MATERIALIZED VIEW m AS SELECT id FROM t; CREATE UNIQUE INDEX m_id ON m (id); \
         CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (9); \
         CREATE TABLE _sora_own (id int); \
         CREATE SCHEMA app; CREATE TABLE app.hidden (id int); CREATE TABLE app.t (other int); \
         CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; \
         CREATE FOREIGN TABLE f (a text NOT NULL) SERVER files OPTIONS (filename '/dev/null')",
    );
    let found = described(&database, None).await;
    let texts: Vec<String> = found.iter().map(text).collect();
    expect![[r"
        f (view)
          a: text = text null
          key ()
        m (view)
          id: integer = i64 null -2147483648..2147483647
          key ()
          index m_id (id) unique
        parts (partitioned)
          id: integer = i64 -2147483648..2147483647
          key (id)
        t
          id: integer = i64 -2147483648..2147483647
          name: text = text null collate en-US-x-icu
          key (id)
        v (view)
          id: integer = i64 null -2147483648..2147483647
          name: text = text null collate en-US-x-icu
          next: integer = i64 null -2147483648..2147483647
          key ()"]]
    .assert_eq(&texts.join("\n"));
    // By name what is left out of all is found, but nothing beyond the search path.
    for (name, expected) in [
        ("part_1", Some("part_1")),
        ("PARTS", Some("parts")),
        ("_sora_own", Some("_sora_own")),
        ("hidden", None),
        ("app.t", None),
        ("pg_class", None),
        ("pg_stat_activity", None),
        ("tables", None),
        ("", None),
        ("%", None),
    ] {
        let found = described(&database, Some(name)).await;
        assert_eq!(found.first().map(|table| &*table.name), expected, "{name}");
    }
}

#[tokio::test]
async fn a_search_path_decides_between_tables_of_one_name() {
    let database = database(
        "CREATE SCHEMA app; CREATE TABLE t (a int); CREATE TABLE app.t (b int); \
         CREATE TABLE \"Case\" (a int); CREATE TABLE \"CASE\" (b int)",
    );
    let column = |found: &[LiveTable]| found.first().map(|table| table.column(0).name.to_string());
    assert_eq!(column(&described(&database, Some("t")).await).as_deref(), Some("a"));
    let name = database.name();
    database.execute(&format!("ALTER DATABASE {name} SET search_path = app, public")).expect("set");
    assert_eq!(column(&described(&database, Some("t")).await).as_deref(), Some("b"));
    // Two that only ASCII case tells apart are found exactly or not at all.
    assert_eq!(column(&described(&database, Some("CASE")).await).as_deref(), Some("b"));
    assert_eq!(column(&described(&database, Some("case")).await), None);
}
