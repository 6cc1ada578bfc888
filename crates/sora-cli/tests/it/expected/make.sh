#!/bin/sh
# Makes the expected results with SQLite's own program and Python's own reader of JSON, which know
# nothing of Sora. Run it in this directory; it needs sqlite3 and python3.
set -eu
data=../../../data
db=$(mktemp)
trap 'rm -f "$db"' EXIT

sqlite3 "$db" "CREATE TABLE zips (zip_code TEXT, latitude REAL, longitude REAL, city TEXT, state TEXT, county TEXT)" \
    ".mode csv" ".import --skip 1 $data/zipcodes.csv zips"
# A title that is a number is text in a column that holds other titles.
python3 - "$db" "$data/movies.ndjson" <<'PYTHON'
import json, sqlite3, sys
rows = [json.loads(line) for line in open(sys.argv[2])]
names = list(rows[0])
kinds = {name: {type(row[name]) for row in rows} - {type(None)} for name in names}
store = lambda name: "TEXT" if str in kinds[name] else "REAL" if float in kinds[name] else "INTEGER"
text = lambda name, value: str(value) if value is not None and str in kinds[name] else value
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE movies (%s)" % ", ".join(f'"{name}" {store(name)}' for name in names))
db.executemany("INSERT INTO movies VALUES (%s)" % ", ".join("?" * len(names)),
               [[text(name, row[name]) for name in names] for row in rows])
db.commit()
PYTHON

make() {
    sqlite3 -json "$db" "PRAGMA case_sensitive_like = on" "$2" | python3 -c '
import json, sys
rows = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in json.load(sys.stdin)]
print("[\n" + ",\n".join(rows) + "\n]")' > "$1.json"
}
make zips_ny "SELECT * FROM zips WHERE state = 'NY' AND latitude > 44.5 ORDER BY latitude DESC, zip_code LIMIT 5"
make zips_mixed "SELECT zip_code, city FROM zips WHERE zip_code < '00700' AND NOT (city LIKE 'A%' OR city IN ('Utuado', 'Maricao')) ORDER BY city, zip_code"
make movies_nulls "SELECT id, title, major_genre, imdb_rating FROM movies WHERE title LIKE 'The %' AND NOT (major_genre = 'Drama' OR imdb_rating < 7.5) ORDER BY imdb_rating DESC, id DESC LIMIT 20"
make movies_numbers "SELECT id, title, us_gross FROM movies WHERE title IN ('300', '1776', '1941', '21') OR title IS NULL ORDER BY id"
make movies_unknown "SELECT id, us_dvd_sales, running_time_min FROM movies WHERE NOT (us_dvd_sales > 1000000 OR running_time_min <= 120) ORDER BY id LIMIT 50"
