//! What was measured in a group: kept as a file, and read again for the report.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sora_benchmarks::{Form, Measurement, Result, Workload};

use crate::environment::Environment;
use crate::program::Program;
use crate::quartiles::Quartiles;

/// All runs of a group.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) workload: Workload,
    pub(crate) rows: u64,
    pub(crate) time_ms: u64,
    pub(crate) command: String,
    pub(crate) environment: Environment,
    pub(crate) series: Vec<Runs>,
}

/// The runs of one who takes part, one in each round until it failed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Runs {
    pub(crate) program: Program,
    pub(crate) peer: String,
    pub(crate) form: Form,
    pub(crate) failed: Option<String>,
    pub(crate) runs: Vec<Measurement>,
}

impl Results {
    /// Keeps them in a directory, in the place of earlier ones of this group.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        let file = directory.join(format!("{}.json", self.file_stem()));
        Ok(fs::write(file, serde_json::to_string_pretty(self)?)?)
    }

    /// Reads all that are kept in a directory.
    pub(crate) fn load(directory: &Path) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.push(serde_json::from_slice(&fs::read(path)?)?);
            }
        }
        Ok(all)
    }

    /// The name of its files, without ending.
    pub(crate) fn file_stem(&self) -> String {
        self.name.replace('/', "-")
    }

    /// Sora's runs in the program of a peer, by which the two are compared.
    pub(crate) fn sora(&self, program: Program, form: Form) -> Option<&Runs> {
        self.series.iter().find(|one| one.is_sora() && one.program == program && one.form == form)
    }

    /// The ratio of a figure of Sora to that of a peer, round by round.
    pub(crate) fn ratio(
        &self,
        peer: &Runs,
        form: Form,
        figure: impl Fn(&Measurement) -> f64,
    ) -> Option<Ratio> {
        let sora = self.sora(peer.program, form)?;
        let pairs = sora.runs.iter().zip(&peer.runs);
        let ratios: Vec<f64> = pairs
            .map(|(sora, peer)| figure(sora) / figure(peer))
            .filter(|ratio| ratio.is_finite())
            .collect();
        let pairs = ratios.len();
        Some(Ratio { quartiles: Quartiles::of(ratios)?, pairs })
    }
}

/// A ratio of Sora to a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) quartiles: Quartiles,
    pub(crate) pairs: usize,
}

impl Runs {
    pub(crate) fn is_sora(&self) -> bool {
        self.peer == "sora"
    }

    /// The median of a figure, and its quartiles.
    pub(crate) fn figure(&self, figure: impl Fn(&Measurement) -> f64) -> Option<Quartiles> {
        Quartiles::of(self.runs.iter().map(figure))
    }

    /// Its name in a table.
    pub(crate) fn label(&self) -> String {
        match (&*self.peer, self.form) {
            ("sora", Form::AsItComes) => "Sora".into(),
            ("sora", form) => format!("Sora, {form}"),
            ("rusqlite", _) => "rusqlite, one thread".into(),
            ("tokio-postgres", _) => "tokio-postgres, pool".into(),
            (peer, form) => format!("{peer}, {form}"),
        }
    }
}
