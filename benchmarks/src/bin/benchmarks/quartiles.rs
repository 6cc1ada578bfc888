//! What many figures say together.

/// The median and the quartiles around it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Quartiles {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Quartiles {
    /// Between two figures the nearer one is weighted more; none of no figures.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = last as f64 * share;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Self { low: at(0.25), median: at(0.5), high: at(0.75) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_stand_between_figures() {
        for (figures, expected) in [
            (vec![], None),
            (vec![3.0], Some((3.0, 3.0, 3.0))),
            (vec![4.0, 1.0, 2.0, 3.0], Some((1.75, 2.5, 3.25))),
            ((1..=9).map(f64::from).collect(), Some((3.0, 5.0, 7.0))),
        ] {
            let found = Quartiles::of(figures.iter().copied());
            let found = found.map(|found| (found.low, found.median, found.high));
            assert_eq!(found, expected, "{figures:?}");
        }
    }
}
