//! Tables that another program has made.

use crate::program::Program;

#[test]
fn any_table_is_read_and_nothing_of_the_file_changes() {
    let program = Program::new();
    program
        .sqlite()
        .execute_batch(
            "CREATE TABLE \"Odd Table\" (name VARCHAR(20), made DATE, price DECIMAL(8,2), raw BLOB);
             INSERT INTO \"Odd Table\" VALUES
                 ('a', '2024-01-01', 1.5, x'00ff'), (NULL, 5, 'x', NULL), ('', NULL, NULL, x'');
             CREATE VIEW names AS SELECT name FROM \"Odd Table\" WHERE name IS NOT NULL;",
        )
        .expect("created");
    let before = std::fs::read(program.path("s.db")).expect("a file");
    let rows = program.done(&["query", "odd table", "name = 'a'", "--format", "ndjson"]);
    assert_eq!(rows, "{\"name\":\"a\",\"made\":\"2024-01-01\",\"price\":1.5,\"raw\":\"AP8=\"}\n");
    let all = program.done(&["export", "Odd Table"]);
    assert_eq!(all, "name,made,price,raw\na,2024-01-01,1.5,AP8=\n,5,x,\n\"\",,,\"\"\n");
    assert_eq!(program.done(&["export", "names"]), "name\na\n\"\"\n");
    let err = program.fails(2, &["query", "Odd Table", "made > '2024-01-01'"]);
    assert!(err.contains("a type that Sora does not know"), "{err}");
    let run = program.run(&["check"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert_eq!(std::fs::read(program.path("s.db")).expect("a file"), before);
    assert!(!program.has("s.db-wal") && !program.has("s.db-shm"));
}

#[test]
fn a_table_that_cannot_be_written_by_key_is_not_imported_into() {
    let program = Program::new();
    program
        .sqlite()
        .execute_batch(
            "CREATE TABLE keyless (x TEXT); CREATE VIEW v AS SELECT x FROM keyless;
             CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT NOT NULL, y TEXT NOT NULL);",
        )
        .expect("created");
    program.file("x.csv", "x\na\n");
    for (table, expected) in [
        ("keyless", "has no key"),
        ("v", "is a view"),
        ("counted", "the key of the table counted is (id), which the file does not have"),
    ] {
        let err = program.fails(1, &["import", "x.csv", "--table", table]);
        assert!(err.contains(expected), "{err}");
    }
    program.file("id.csv", "ID,x\n1,a\n");
    let err = program.fails(1, &["import", "id.csv", "--table", "counted"]);
    assert!(err.contains("needs a value for y"), "{err}");
    program.file("all.csv", "ID,X,Y\n7,a,b\n");
    program.done(&["import", "all.csv", "--table", "counted"]);
    assert_eq!(program.done(&["query", "counted", "--format", "csv"]), "id,x,y\n7,a,b\n");
}
