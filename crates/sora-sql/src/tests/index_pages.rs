//! Pages that lie along an index.

use super::*;
use crate::{IndexPage, Portion};

const CODE: u16 = 2;
const SIZE: u16 = 5;

fn index(columns: &[u16], descending: bool) -> LiveIndex {
    LiveIndex {
        name: "by_code".into(),
        columns: columns.into(),
        descending: columns.iter().map(|_| descending).collect(),
        unique: false,
        is_complete: true,
    }
}

/// A page of a table with one index, of codes and sizes unless it is changed.
fn page(filter_text: &str, change: impl FnOnce(&mut LiveTable)) -> Read {
    let schema = schema();
    let mut live = LiveTable::from(&schema);
    live.indexes = [index(&[CODE, SIZE], false)].into();
    change(&mut live);
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let mut read = Read::new(binding, Arc::from([1, CODE]));
    read.filter = filter(&read.binding, filter_text);
    read.sort = sort(&[(SIZE, true), (ID, true)]);
    read.limit = Some(51);
    read
}

fn after(read: &mut Read) {
    read.after = Some([Value::I64(9), Value::I64(7)].into());
}

fn show_page(read: &Read) -> String {
    let page = IndexPage::of(read, Portion::All).expect("a page");
    assert_eq!(page.index(), "by_code");
    let text = render::<Postgres>(|out| page.write(out));
    let mut values = Values::default();
    page.write(&mut values);
    let again = if page.is_compared_again() { "again\n" } else { "" };
    show(&text, &values) + again
}

#[test]
fn a_run_is_told_by_comparisons_of_rows() {
    let mut shown = String::new();
    for (text, descending) in [
        ("code = 'a' AND size >= 5", true),
        ("size < 5 AND code = 'a'", true),
        ("code = 'a' AND size > 5 AND size <= 9", false),
    ] {
        let mut read = page(text, |_| {});
        read.sort = sort(&[(SIZE, descending), (ID, descending)]);
        shown += &show_page(&read);
    }
    expect![[r#"
        SELECT "name", "code" FROM (SELECT "name", "code", "size", "id" FROM "ci""ties" WHERE ("code", "size") >= ((SELECT $1::text), $2::int8) AND "code" <= (SELECT $3::text) ORDER BY "code" DESC, "size" DESC FETCH FIRST 51 ROWS WITH TIES) AS "_sora_rows" ORDER BY "size" DESC, "id" DESC LIMIT 51
        'a' · 5 · 'a'
        SELECT "name", "code" FROM (SELECT "name", "code", "size", "id" FROM "ci""ties" WHERE "code" >= (SELECT $1::text) AND ("code", "size") < ((SELECT $2::text), $3::int8) ORDER BY "code" DESC, "size" DESC FETCH FIRST 51 ROWS WITH TIES) AS "_sora_rows" ORDER BY "size" DESC, "id" DESC LIMIT 51
        'a' · 'a' · 5
        SELECT "name", "code" FROM (SELECT "name", "code", "size", "id" FROM "ci""ties" WHERE ("code", "size") > ((SELECT $1::text), $2::int8) AND ("code", "size") <= ((SELECT $3::text), $4::int8) ORDER BY "code", "size" FETCH FIRST 51 ROWS WITH TIES) AS "_sora_rows" ORDER BY "size", "id" LIMIT 51
        'a' · 5 · 'a' · 9
    "#]]
    .assert_eq(&shown);
}

#[test]
fn a_page_behind_a_row_starts_there() {
    let mut read = page("code = 'a' AND size >= 5", |_| {});
    after(&mut read);
    let mut shown = show_page(&read);
    read.filter = filter(&read.binding, "code = 'a'");
    read.sort = sort(&[(SIZE, false), (ID, false)]);
    shown += &show_page(&read);
    // The index has the whole order: nothing is sorted, and nothing compared again.
    let whole = |live: &mut LiveTable| live.indexes = [index(&[CODE, SIZE, ID], true)].into();
    let mut read = page("code = 'a' AND size >= 5", whole);
    after(&mut read);
    shown += &show_page(&read);
    let two = |live: &mut LiveTable| live.indexes = [index(&[6, CODE, SIZE, ID], false)].into();
    shown += &show_page(&page("code = 'a' AND version = 3 AND size >= 5", two));
    expect![[r#"
        SELECT "name", "code" FROM (SELECT "name", "code", "size", "id" FROM "ci""ties" WHERE ("code", "size") >= ((SELECT $1::text), $2::int8) AND ("code", "size", "id") < ((SELECT $3::text), $4::int8, $5::int8) ORDER BY "code" DESC, "size" DESC FETCH FIRST 51 ROWS WITH TIES) AS "_sora_rows" ORDER BY "size" DESC, "id" DESC LIMIT 51
        'a' · 5 · 'a' · 9 · 7
        again
        SELECT "name", "code" FROM (SELECT "name", "code", "size", "id" FROM "ci""ties" WHERE ("code", "size", "id") > ((SELECT $1::text), $2::int8, $3::int8) AND "code" <= (SELECT $4::text) ORDER BY "code", "size" FETCH FIRST 51 ROWS WITH TIES) AS "_sora_rows" ORDER BY "size", "id" LIMIT 51
        'a' · 9 · 7 · 'a'
        again
        SELECT "name", "code" FROM "ci""ties" WHERE ("code", "size") >= ((SELECT $1::text), $2::int8) AND ("code", "size", "id") < ((SELECT $3::text), $4::int8, $5::int8) ORDER BY "code" DESC, "size" DESC, "id" DESC LIMIT 51
        'a' · 5 · 'a' · 9 · 7
        SELECT "name", "code" FROM "ci""ties" WHERE ("version", "code", "size") >= ((SELECT $1::int8), $2::text, $3::int8) AND ("version", "code") <= ((SELECT $4::int8), $5::text) ORDER BY "version" DESC, "code" DESC, "size" DESC, "id" DESC LIMIT 51
        3 · 'a' · 5 · 3 · 'a'
    "#]]
    .assert_eq(&shown);
}

/// What is changed, and how.
type Case<'a, T> = (&'a str, &'a dyn Fn(&mut T));

#[test]
fn what_is_no_run_of_one_index_is_none() {
    let is_page = |text: &str, live: &dyn Fn(&mut LiveTable), change: &dyn Fn(&mut Read)| {
        let mut read = page(text, live);
        change(&mut read);
        IndexPage::of(&read, Portion::All).is_some()
    };
    let text = "code = 'a' AND size >= 5";
    assert!(is_page(text, &|_| {}, &|_| {}));
    assert!(IndexPage::of(&page(text, |_| {}), Portion::Near).is_none());
    // A run without a range is planned once as it is; of two bounds the closer one may be missed.
    for text in [
        "code = 'a'",
        "size >= 5",
        "code = 'a' AND size >= 5 AND size > 6",
        "code = 'a' AND size >= 5 AND version = 1",
        "code = 'a' AND size >= 5 AND name = 'b'",
        "code = 'a' AND size >= 5 AND version > 1",
        "code = 'a' AND size = 5",
        "code > 'a' AND size >= 5",
        "code = 'a' AND code = 'b' AND size >= 5",
        "code = 'a' AND (size >= 5 OR active)",
    ] {
        assert!(!is_page(text, &|_| {}, &|_| {}), "{text}");
    }
    let live: [Case<'_, LiveTable>; 10] = [
        ("view", &|live| live.is_view = true),
        ("partitioned", &|live| live.is_partitioned = true),
        ("partial index", &|live| live.indexes[0].is_complete = false),
        ("two directions", &|live| live.indexes[0].descending[1] = true),
        ("a gap", &|live| live.indexes = [index(&[CODE, 6, SIZE], false)].into()),
        ("another index", &|live| {
            live.indexes = [index(&[CODE, SIZE], false), index(&[CODE], false)].into();
        }),
        ("a key", &|live| live.key = [CODE, ID].into()),
        ("null, equal", &|live| live.columns[2].nullable = true),
        ("null, sorted", &|live| live.columns[5].nullable = true),
        ("equal beyond bytes", &|live| {
            live.columns[2].collation = Some("ignore_case".into());
            live.columns[2].is_deterministic = false;
        }),
    ];
    for (what, live) in live {
        assert!(!is_page(text, live, &|_| {}), "{what}");
    }
    let change: [Case<'_, Read>; 8] = [
        ("limit", &|read| read.limit = Some(129)),
        ("no limit", &|read| read.limit = None),
        ("offset", &|read| read.offset = 1),
        ("lock", &|read| read.for_update = true),
        ("count", &|read| read.output = Output::Count),
        ("two directions", &|read| read.sort = sort(&[(SIZE, true), (ID, false)])),
        ("another sort", &|read| read.sort = sort(&[(ID, true)])),
        ("two starts", &|read| {
            after(read);
            read.sort = sort(&[(SIZE, false), (ID, false)]);
        }),
    ];
    for (what, change) in change {
        assert!(!is_page(text, &|_| {}, change), "{what}");
    }
    // Equality is the same in every deterministic order; a sort by bytes is not that of its index.
    let linguistic = |at: usize| {
        move |live: &mut LiveTable| live.columns[at].collation = Some("en-US-x-icu".into())
    };
    assert!(is_page(text, &linguistic(2), &|_| {}));
    let by_code = |live: &mut LiveTable| {
        live.indexes = [index(&[SIZE, CODE], false)].into();
        linguistic(2)(live);
    };
    let sorted = |read: &mut Read| read.sort = sort(&[(CODE, true), (ID, true)]);
    assert!(!is_page("size = 5 AND code >= 'a'", &by_code, &sorted));
}
