//! The data that the demo ships, and the entities that it reads some of it as.

use std::path::{Path, PathBuf};

use sora::Entity;

use crate::failure::{Failure, Outcome};

/// A file of the demo, and how it is imported.
#[derive(Debug)]
pub(super) struct DataFile {
    /// Its name.
    pub(super) name: &'static str,
    /// The table it goes into.
    pub(super) table: &'static str,
    /// The column of its key.
    pub(super) key: &'static str,
    /// Where it was unpacked.
    pub(super) path: PathBuf,
}

const FILES: [(&str, &str, &str, &[u8]); 3] = [
    ("zipcodes.csv", "zips", "zip_code", include_bytes!("../../data/zipcodes.csv")),
    ("airports.csv", "airports", "iata", include_bytes!("../../data/airports.csv")),
    ("movies.ndjson", "movies", "id", include_bytes!("../../data/movies.ndjson")),
];

/// Writes the files into a directory.
pub(super) fn unpack(directory: &Path) -> Outcome<Vec<DataFile>> {
    let unpack = |(name, table, key, content): (_, _, _, &[u8])| {
        let path = directory.join(name);
        std::fs::write(&path, content).map_err(|error| Failure::file(&path, &error))?;
        Ok(DataFile { name, table, key, path })
    };
    FILES.into_iter().map(unpack).collect()
}

/// A postal code of the United States. The index is one that the import did not make.
#[derive(Debug, Entity)]
#[sora(table = "zips", index(state, latitude))]
pub(super) struct Zip {
    #[sora(key, column = "zip_code")]
    pub(super) code: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) city: String,
    pub(super) state: String,
    pub(super) county: String,
}

/// What the demo reads of a movie.
#[derive(Debug, Entity)]
#[sora(table = "movies")]
pub(super) struct Movie {
    #[sora(key)]
    pub(super) id: i64,
    /// Some titles are numbers in the file.
    pub(super) title: Option<String>,
    pub(super) major_genre: Option<String>,
    pub(super) imdb_rating: Option<f64>,
    pub(super) imdb_votes: Option<i64>,
}
