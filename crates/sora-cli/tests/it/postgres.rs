//! PostgreSQL: tables that others have made, wrong addresses, poolers, and other orders of text.

use sora_testbed::{PgBouncer, PoolMode, Postgres, PostgresOptions};

use crate::program::{DATA, Program};

/// A table with one column of each type that is found in the wild.
const EVERY: &str = "\
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN digits AS text CHECK (value ~ '^[0-9]+$');
    CREATE TABLE every (
        id int4 PRIMARY KEY, small int2, big int8, price numeric(10,2), free numeric,
        at timestamptz, at_ms timestamp(3), day date, u uuid, raw bytea, doc jsonb, old_doc json,
        flag bool NOT NULL DEFAULT false, name varchar(5), fixed char(4), f4 real, f8 float8,
        tags text[], m mood, z digits, ip inet, span interval, t time,
        twice int GENERATED ALWAYS AS (id * 2) STORED);
    INSERT INTO every (id, small, big, price, free, at, at_ms, day, u, raw, doc, old_doc, flag,
        name, fixed, f4, f8, tags, m, z, ip, span, t) VALUES
        (1, 1, 9223372036854775807, 12.50, 123456789012345678901234567890.123,
         '2024-02-29 12:30:00.123456+02', '2024-02-29 12:30:00.123', '2024-02-29',
         'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff', '{\"b\": [1.50, null], \"a\": 1}',
         '{\"x\":1}', true, 'héllo', 'ab', 1.5, 'Infinity', '{a,\"b c\",NULL}', 'happy', '123',
         '10.0.0.1', '1 day 02:00', '12:00:01'),
        (2, null, null, null, null, null, null, null, null, null, null, null, false, null, null,
         null, null, null, null, null, null, null, null),
        (3, -5, -1, -0.01, 0, '0001-01-01 00:00Z', '1999-12-31', null, null, '\\x', 'null', 'null',
         false, '', ' ', '-1e-3', '-1.5e300', '{}', 'sad', '0', null, '-1 month', null)";

const EVERY_AS_CSV: &str = r#"id,small,big,price,free,at,at_ms,day,u,raw,doc,old_doc,flag,name,fixed,f4,f8,tags,m,z,ip,span,t,twice
1,1,9223372036854775807,12.50,123456789012345678901234567890.123,2024-02-29T10:30:00.123456Z,2024-02-29T12:30:00.123000Z,2024-02-29,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,AP8=,"{""a"":1,""b"":[1.50,null]}","{""x"":1}",true,héllo,ab,1.5,Infinity,"{a,""b c"",NULL}",happy,123,10.0.0.1/32,1 day 02:00:00,12:00:01,2
2,,,,,,,,,,,,false,,,,,,,,,,,4
3,-5,-1,-0.01,0,0001-01-01T00:00:00.000000Z,1999-12-31T00:00:00.000000Z,,,"",null,null,false,"","",-0.0010000000474974513,-1.5e300,{},sad,0,,-1 mons,,6
"#;

#[test]
fn a_found_table_is_shown_and_comes_back_without_loss() {
    let program = Program::postgres();
    program.execute(EVERY);
    assert_eq!(program.done(&["query", "every", "--format", "csv"]), EVERY_AS_CSV);
    for (filter, ids) in [
        ("price = 12.5 AND small = 1", "1"),
        ("at < '2000-01-01' OR day = '2024-02-29'", "1 3"),
        ("u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "1"),
        ("name LIKE 'h%' AND flag", "1"),
        ("raw = X'' OR doc IS NULL", "2 3"),
        ("tags IS NOT NULL AND NOT f8 > 0", "3"),
    ] {
        let found = program.done(&["query", "every", filter, "--columns", "id", "--format", "csv"]);
        assert_eq!(found.lines().skip(1).collect::<Vec<_>>().join(" "), ids, "{filter}");
    }
    let err = program.fails(2, &["query", "every", "m = 'sad'"]);
    assert!(err.contains("a type that Sora does not know, so it cannot be filtered"), "{err}");

    // What the server alone knows goes back as text, and what it computes is left out.
    for format in ["csv", "ndjson"] {
        let file = format!("every.{format}");
        program.done(&["export", "every", "-o", &file]);
        program.execute("CREATE TABLE copy (LIKE every INCLUDING ALL)");
        let run = program.run(&["import", &file, "--table", "copy"]);
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert!(run.err.contains("left out, because the store computes it: twice"), "{}", run.err);
        // The JSON value null reads as no value in NDJSON; CSV keeps them apart.
        let kept = if format == "csv" { 3 } else { 2 };
        program.assert_rows("every JOIN copy ON every::text = copy::text", kept);
        program.execute("DROP TABLE copy");
    }
    assert!(program.run(&["check"]).out.contains("as claimed"));
}

#[test]
fn tables_count_views_show_and_keyless_ones_are_read() {
    let program = Program::postgres();
    program.execute(
        "CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text);
         CREATE VIEW seen AS SELECT x FROM counted;
         CREATE TABLE keyless (x text);
         CREATE TABLE \"Odd Name\" (\"Key\" int PRIMARY KEY, \"a b\" text);
         CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY);
         INSERT INTO sales.orders VALUES (7)",
    );
    program.file("a.csv", "id,x\n5,a\n7,b\n");
    program.done(&["import", "a.csv", "--table", "counted"]);
    assert_eq!(program.done(&["export", "seen"]), "x\na\nb\n");
    program.file("odd.csv", "key,A B\n1,x\n");
    program.done(&["import", "odd.csv", "--table", "odd name"]);
    assert_eq!(program.done(&["export", "odd name"]), "Key,a b\n1,x\n");
    program.file("x.csv", "x\na\n");
    for (table, expected) in [
        ("keyless", "has no key"),
        ("seen", "is a view"),
        ("counted", "the key of the table counted is (id), which the file does not have"),
    ] {
        let err = program.fails(1, &["import", "x.csv", "--table", table]);
        assert!(err.contains(expected), "{err}");
    }
    program.fails(1, &["query", "orders"]);
    let store = format!("{}?options=-c%20search_path=sales", program.store());
    let found = program.done(&["query", "orders", "--store", &store, "--format", "csv"]);
    assert_eq!(found, "id\n7\n");
}

#[test]
fn each_row_that_a_constraint_refuses_is_named() {
    let program = Program::postgres();
    program.execute(
        "CREATE TABLE owners (id int PRIMARY KEY); INSERT INTO owners VALUES (1), (2);
         CREATE TABLE t (id int8 PRIMARY KEY, x int2 NOT NULL CHECK (x < 10), name varchar(3),
             u int UNIQUE, price numeric(4,1), owner int REFERENCES owners (id))",
    );
    program.file(
        "t.csv",
        "id,x,name,u,price,owner\n1,1,abc,1,1.5,1\n2,20,abc,2,1.5,1\n3,3,abcd,3,1.5,1\n\
         4,4,abc,1,1.5,1\n5,5,abc,5,1.55,1\n6,6,abc,6,1.5,9\n7,70000,abc,7,1.5,1\n8,,abc,8,1.5,1\n\
         9,x,abc,9,1,1\n10,9,abc,10,1,2\n",
    );
    let run = program.run(&["import", "t.csv", "--table", "t"]);
    assert_eq!(run.code, Some(1));
    for expected in [
        "line 3: the check t_x_check refused the row",
        "line 4: the column \"name\" of the store does not take more than 3 characters",
        "line 5: a row with the same key of t_u_key is there already",
        "line 6: the column \"price\" takes 4 digits",
        "line 7: the foreign key t_owner_fkey refused the row",
        "line 8: the column \"x\" takes -32768 to 32767, not 70000",
        "line 9: the column \"x\" cannot be null",
        "line 10: column x: 'x' is not an integer of 64 bits",
    ] {
        assert!(run.err.contains(expected), "{expected}: {}", run.err);
    }
    let rows = program.done(&["query", "t", "--format", "csv"]);
    assert_eq!(rows, "id,x,name,u,price,owner\n1,1,abc,1,1.5,1\n10,9,abc,10,1.0,2\n");
    // A chunk with a row that fails is undone as a whole where the first failure stops.
    program.file("u.csv", "id,x,u\n20,1,20\n21,1,10\n22,1,22\n");
    let run = program.run(&["import", "u.csv", "--table", "t", "--on-error", "stop"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    program.assert_rows("t", 2);
}

#[test]
fn an_address_that_is_wrong_is_told_in_one_line_without_its_password() {
    let server = PostgresOptions::new().password("right");
    let server = Postgres::start(&server).expect("a server");
    let (host, port) = (server.host(), server.port());
    server
        .execute(
            "postgres",
            "CREATE TABLE mine (id int PRIMARY KEY); INSERT INTO mine VALUES (1);
             CREATE TABLE open_to_all (id int PRIMARY KEY); GRANT SELECT ON open_to_all TO public;
             CREATE ROLE reader LOGIN PASSWORD 's3cret'",
        )
        .expect("made");
    let program = Program::on(server.url("postgres"));
    assert_eq!(program.done(&["query", "mine", "--format", "csv"]), "id\n1\n");
    let user = "postgres:s3cret";
    for (code, store, expected) in [
        (1, "postgres://u:s3cret@no-such.invalid/d".into(), "cannot be resolved; see how"),
        (1, "postgres://u:s3cret@127.0.0.1:1/d".into(), "see whether the server runs"),
        (1, format!("postgres://{user}@{host}:{port}/postgres"), "see PGPASSWORD, ~/.pgpass or"),
        (1, format!("postgres://postgres@{host}:{port}/postgres?passfile=/s3"), "; give one by"),
        (1, format!("postgres://nobody:s3cret@{host}:{port}/postgres"), "authentication failed"),
        (1, format!("postgres://reader:s3cret@{host}:{port}/absent"), "or create it"),
        (1, format!("postgres://{user}@{host}:{port}/d?sslmode=require"), "by sslmode=prefer"),
        (
            2,
            format!("postgres://{user}@{host}:{port}/d?sslmod=require"),
            "did you mean \"sslmode\"",
        ),
        (
            2,
            format!("postgres://{user}@{host}:{port}/d?sslmode=s3cret"),
            "is one of disable, allow",
        ),
        (2, format!("postgres://{user}@{host}:s3cret/d"), "from 1 to 65535"),
        (2, format!("postgres:{user}@{host}"), "begins with postgres://"),
    ] {
        let err = program.fails(code, &["query", "mine", "--store", &store]);
        assert!(err.starts_with("error: ") && err.contains(expected), "{store}: {err}");
        assert!(err.lines().count() == 1 && !err.contains("s3cret"), "{store}: {err}");
        // From the environment it is no more.
        let run = program.command(&["check"]).env("SORA_STORE", &store).output().expect("runs");
        let told = [run.stdout, run.stderr].concat();
        assert!(!String::from_utf8_lossy(&told).contains("s3cret"), "{store}");
    }
    // Whoever may not write leaves nothing, and is told what is missing.
    let store = format!("postgres://reader:s3cret@{host}:{port}/postgres");
    program.file("a.csv", "id\n1\n");
    let arguments = ["import", "a.csv", "--table", "t", "--key", "id", "--store", &store];
    let err = program.fails(1, &arguments);
    assert!(err.contains("error: the role lacks a privilege") && !err.contains("s3cret"), "{err}");
    program.fails(1, &["query", "t"]);
    program.fails(1, &["query", "_sora_imports"]);
    let run = program.run(&["check", "--store", &store, "--format", "ndjson"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    let forbidden = r#"{"subject":"mine","claim":"readable","claimed":"true","found":"error","verdict":"not probed""#;
    assert!(run.out.contains(forbidden), "{}", run.out);
    assert!(run.out.contains(r#"{"subject":"open_to_all","claim":"filters""#), "{}", run.out);
}

#[test]
fn writes_of_a_server_are_probed_only_when_asked_for() {
    let program = Program::postgres();
    program.execute("CREATE TABLE t (id int PRIMARY KEY, x text); INSERT INTO t VALUES (1, 'a')");
    let run = program.run(&["check", "--format", "ndjson"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.err.contains("writes are not probed: a server has no place beside it"));
    assert!(run.err.contains("are false, 8 were not probed"), "{}", run.err);
    program.fails(1, &["query", "_sora_check"]);
    let run = program.run(&["check", "--write"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.err.contains("0 are false, 0 were not probed"), "{}", run.err);
    program.assert_rows("_sora_check", 0);
}

#[test]
fn a_pooler_in_front_of_the_server_changes_nothing() {
    let beside = Program::postgres();
    let server = Postgres::shared().expect("a server");
    let pooler = PgBouncer::start(server, PoolMode::Transaction).expect("a pooler");
    let program = Program::on(pooler.url(beside.database_name()));
    let path = format!("{DATA}/airports.csv");
    program.done(&["import", &path, "--table", "airports", "--key", "iata"]);
    assert!(program.done(&["import", &path, "--table", "airports"]).contains("nothing changed"));
    for arguments in [
        &["query", "airports", "state = 'NY' AND latitude > 42", "--format", "csv"][..],
        &["query", "airports", "state IN ('NY','CA')", "--sort", "-city", "--limit", "20"],
        &["query", "airports", "name LIKE 'New%'", "--explain"],
        &["export", "airports"],
    ] {
        assert_eq!(program.done(arguments), beside.done(arguments), "{arguments:?}");
    }
    let run = program.run(&["check", "--write"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
}

#[test]
fn an_order_of_the_database_changes_no_answer_and_its_cost_is_told() {
    let server = Postgres::shared().expect("a server");
    let by_bytes = Program::on_database(server.database().expect("a database"));
    let by_people = Program::on_database(server.icu_database("en-US-x-icu").expect("a database"));
    let table = |collation: &str| {
        format!(
            "CREATE TABLE zips (zip_code text {collation} PRIMARY KEY, latitude float8,
                 longitude float8, city text {collation} NOT NULL, state text {collation},
                 county text {collation});
             CREATE INDEX zips_city ON zips (city, zip_code)"
        )
    };
    by_bytes.execute(&table(""));
    by_people.execute(&table(""));
    // The column may say it, whatever the database does.
    let by_column = Program::postgres();
    by_column.execute(&table("COLLATE \"en-US-x-icu\""));
    let all = [&by_bytes, &by_people, &by_column];
    let more = "zip_code,latitude,longitude,city,state,county\n\
                a1,1,1,écart,ny,x\nB1,1,1,Ecart,NY,X\nb1,1,1,ECART,Ny,\nA1,1,1,eclair,NY,-x\n";
    let path = format!("{DATA}/zipcodes.csv");
    for program in all {
        program.file("more.csv", more);
        program.done(&["import", &path, "--table", "zips"]);
        program.done(&["import", "more.csv", "--table", "zips"]);
        program.execute("ANALYZE zips");
    }
    for arguments in [
        &["query", "zips", "city >= 'a'", "--sort", "city", "--format", "csv"][..],
        &["query", "zips", "zip_code > '99900'", "--format", "csv"],
        &[
            "query",
            "zips",
            "state = 'NY' AND city < 'B'",
            "--sort",
            "-city,zip_code",
            "--limit",
            "9",
        ],
        &["query", "zips", "city LIKE 'E%' OR city ILIKE 'éc%'", "--format", "ndjson"],
        &["query", "zips", "city BETWEEN 'E' AND 'e'", "--sort", "state,-city", "--limit", "50"],
        &["query", "zips", "county IN ('x', 'X', '-x') OR state = 'Ny'", "--format", "json"],
        &["query", "zips", "--sort", "-county,city", "--limit", "40", "--offset", "10"],
        &["export", "zips"],
    ] {
        let [expected, rest @ ..] = all.map(|program| program.run(arguments));
        assert_eq!(expected.code, Some(0), "{}", expected.err);
        for run in rest {
            // The place where the next page starts too: a token is good on both.
            assert_eq!((&run.out, &run.err), (&expected.out, &expected.err), "{arguments:?}");
        }
    }
    let explain = ["query", "zips", "city >= 'Z'", "--sort", "city", "--limit", "5", "--explain"];
    let plain = by_bytes.done(&explain);
    assert!(plain.contains("index: zips_city") && !plain.contains("note: "), "{plain}");
    for program in [&by_people, &by_column] {
        let told = program.done(&explain);
        assert!(told.contains("zips_city") && told.contains("note: "), "{told}");
        assert!(!told.contains("index: zips_city"), "{told}");
        // Equality needs no order.
        let told = program.done(&["query", "zips", "city = 'Zion'", "--explain"]);
        assert!(told.contains("index: zips_city"), "{told}");
    }
}
