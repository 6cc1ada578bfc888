//! `sora demo`: the life of the system on embedded SQLite with real data.

mod cache;
mod data;
mod memory;
mod screen;
mod stages;
mod watcher;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sora::Sora;
use tempfile::TempDir;

use self::screen::Screen;
use self::watcher::Watcher;
use crate::arguments::Demo;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::store::{Access, StoreAddress};

/// Shows everything once, and leaves nothing behind unless it is told to.
pub(crate) async fn run(arguments: &Demo, console: &mut Console) -> Outcome {
    // What is wrong with its address, or that it does not answer, is told before anything is done.
    let shared = match &arguments.cache {
        Some(url) => Some(cache::SharedCache::connect(url).await?),
        None => None,
    };
    let place = Place::new(arguments.keep.as_deref())?;
    let files = data::unpack(place.path())?;
    let database = place.path().join("demo.db");
    let address = StoreAddress::SqliteFile(database.clone());
    let watcher = Arc::new(Watcher::default());
    let store = address.open(Access::Write, Sora::builder().observer(watcher.clone())).await?;

    let mut screen = Screen::new(console);
    screen.title("Sora: the life of a data layer, on embedded SQLite with real data")?;
    stages::import(&store, &files, &mut screen).await?;
    stages::text_queries(&store, &mut screen).await?;
    stages::typed_queries(&store, &mut screen).await?;
    stages::stream(&store, &mut screen).await?;
    stages::point_reads(&store, &mut screen).await?;
    cache::show(&store, watcher.clone(), shared, &mut screen).await?;
    screen.heading("Where the time went", "from the events that every operation emits")?;
    watcher.show(&mut screen)?;

    drop(store);
    match arguments.keep {
        Some(_) => screen.line(format_args!(
            "\nKept: sora query movies \"title LIKE 'The %'\" --store sqlite:{}",
            database.display()
        )),
        None => screen.line(
            "\nThe database was temporary and is gone; `sora demo --keep DIR` keeps it to be queried.",
        ),
    }
}

/// Where the database lives.
#[derive(Debug)]
enum Place {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Place {
    /// Creates the directory; one that is there must be empty of an earlier demo.
    fn new(keep: Option<&Path>) -> Outcome<Self> {
        let Some(path) = keep else {
            let directory = tempfile::Builder::new().prefix("sora-demo-").tempdir();
            return directory.map(Self::Temporary).map_err(|error| {
                Failure::failed(format!("no temporary directory can be made: {error}"))
            });
        };
        std::fs::create_dir_all(path).map_err(|error| Failure::file(path, &error))?;
        let database = path.join("demo.db");
        if database.exists() {
            return Err(Failure::failed(format!(
                "{} is there already, perhaps of an earlier demo; choose another directory",
                database.display()
            )));
        }
        Ok(Self::Kept(path.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}
