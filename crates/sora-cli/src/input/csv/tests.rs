use super::super::record::Field;
use super::*;

fn read(text: &[u8], nulls: &[&str], width: Option<usize>) -> Vec<String> {
    let nulls = nulls.iter().map(|null| Box::from(*null)).collect();
    let reader = Box::new(io::Cursor::new(text.to_vec()));
    let mut reader = CsvReader::new(reader, b',', nulls).expect("opens");
    if let Some(width) = width {
        reader.expect_width(width);
    }
    let mut found = Vec::new();
    loop {
        let line = match reader.advance().expect("reads") {
            Advance::End => return found,
            Advance::Bad(reason) => format!("bad: {reason}"),
            Advance::Record => match reader.record() {
                Ok(record) => (0..record.len())
                    .map(|at| match record.field(at) {
                        Field::Bare(text) => format!("{text:?}"),
                        Field::Null => "null".into(),
                        other => panic!("not of CSV: {other:?}"),
                    })
                    .collect::<Vec<_>>()
                    .join(" "),
                Err(reason) => format!("bad: {reason}"),
            },
        };
        found.push(format!("{} {line}", reader.line()));
    }
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(read(text.as_bytes(), &[""], None), expected, "{text:?}");
}

#[test]
fn a_bare_empty_field_is_null_and_a_quoted_one_is_text() {
    check("a,,\"\"", &[r#"1 "a" null """#]);
    check(",", &["1 null null"]);
    check("\"\"\n", &[r#"1 """#]);
    let found = read(b"NA,,\"NA\",x", &["NA"], None);
    assert_eq!(found, [r#"1 null "" "NA" "x""#]);
    let found = read(b"NA,,\"NA\",x", &["NA", ""], None);
    assert_eq!(found, [r#"1 null null "NA" "x""#]);
}

#[test]
fn lines_end_in_either_way_and_are_counted() {
    check("a,b\r\nc,d\n\r\n\ne,f", &[r#"1 "a" "b""#, r#"2 "c" "d""#, r#"5 "e" "f""#]);
    check("\"x\ny\r\nz\",1\r\nb,2\r\n", &["1 \"x\\ny\\r\\nz\" \"1\"", r#"4 "b" "2""#]);
    check("a\rb,c\r", &["1 \"a\\rb\" \"c\""]);
    check("\u{feff}a,b", &[r#"1 "a" "b""#]);
    // In a file of one column an empty line is a row.
    assert_eq!(read(b"a\n\nb\n", &[""], Some(1)), [r#"1 "a""#, "2 null", r#"3 "b""#]);
}

#[test]
fn quotes_are_resolved() {
    check(r#""say ""hi""","","""",5" disk,"a,b""#, &[r#"1 "say \"hi\"" "" "\"" "5\" disk" "a,b""#]);
}

#[test]
fn bad_lines_are_named_and_the_rest_goes_on() {
    let behind = "field 2 goes on behind its closing quote; a quote inside a quoted field is \
                  written twice";
    check("1,\"a\"b\n2,c", &[&format!("1 bad: {behind}"), r#"2 "2" "c""#]);
    let open = "a quoted field begins here and is never closed";
    check("1,\"a\n2,b\n3,c", &[&format!("1 bad: {open}"), r#"2 "2" "b""#, r#"3 "3" "c""#]);
    assert_eq!(
        read(b"1,2\n1\n1,2,3\n\"\xff\",2\n3,\xff\n4,5", &[""], Some(2)),
        [
            r#"1 "1" "2""#,
            "2 bad: 1 fields, where 2 are expected",
            "3 bad: 3 fields, where 2 are expected",
            "4 bad: field 1 is not UTF-8",
            "5 bad: field 2 is not UTF-8",
            r#"6 "4" "5""#,
        ]
    );
}

#[test]
fn a_record_of_any_length_is_read_or_refused() {
    let line = "x".repeat(1_023) + "\n";
    let long = line.repeat(RECORD_BYTES_MAX / line.len());
    let text = format!("\"{}\",1\n\"{long}\",2\n", &long[..3_000 * line.len()]);
    let found = read(text.as_bytes(), &[""], Some(2));
    assert!(found[0].starts_with("1 \"xxx") && found[0].ends_with("\\n\" \"1\""));
    assert!(found[1] == "3002 bad: the record is longer than 16 MiB", "{}", &found[1][..40]);
    // Reading starts over on the next line, where there is one field only.
    assert_eq!(found[2], "3003 bad: 1 fields, where 2 are expected");
}

#[test]
fn files_in_other_encodings_are_refused() {
    let reader = Box::new(io::Cursor::new(b"\xff\xfea\0,\0"));
    let error = CsvReader::new(reader, b',', Box::default()).expect_err("UTF-16");
    assert!(error.to_string().contains("UTF-16"), "{error}");
}

/// What the `csv` crate reads of a well-formed file is what this reader reads of it.
#[test]
fn well_formed_files_are_read_as_by_the_csv_crate() {
    // A linear congruential generator (Knuth, MMIX) makes the same files everywhere.
    let mut state = 7u64;
    let mut random = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let alphabet = ["", "a", "é", "\"", ",", "\n", "\r\n", " ", "00501", "x\ty"];
    for _ in 0..2_000 {
        let width = random(4) + 2;
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut rows: Vec<Vec<String>> = Vec::new();
        for _ in 0..=random(5) {
            let mut field =
                || (0..random(4)).map(|_| alphabet[random(alphabet.len())]).collect::<String>();
            let row: Vec<String> = (0..width).map(|_| field()).collect();
            writer.write_record(&row).expect("written");
            rows.push(row);
        }
        let text = writer.into_inner().expect("flushed");
        let show = |row: &Vec<String>| {
            row.iter().map(|field| format!("{field:?}")).collect::<Vec<_>>().join(" ")
        };
        let found = read(&text, &[], Some(width));
        let found: Vec<&str> =
            found.iter().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
        assert_eq!(found, rows.iter().map(show).collect::<Vec<_>>());
    }
}
