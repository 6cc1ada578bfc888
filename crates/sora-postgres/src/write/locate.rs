//! Finds the row for which an atomic write failed.

use std::ops::Range;

use sora_core::{Error, Result};

use super::{Writer, is_of_the_row};

impl Writer<'_> {
    /// Returns the first row, in the order of the input, without which the write would have come
    /// further, and its error. Nothing of the write is left by then, nor afterwards.
    ///
    /// A statement of many rows does not say which of them failed it. Halves are tried inside a part
    /// that is undone: about twice the logarithm of the number of rows in statements.
    pub(super) async fn locate(
        &mut self,
        waves: &[Vec<usize>],
        error: Error,
    ) -> Result<(usize, Error)> {
        let rows = self.write.change.len();
        self.enter().await?;
        let found = self.first_failing(waves, 0..rows).await;
        self.back_out().await?;
        // What failed before may pass now, since others write too: then it is not known which row
        // it was.
        Ok(found?.unwrap_or((rows - 1, error)))
    }

    async fn first_failing(
        &mut self,
        waves: &[Vec<usize>],
        range: Range<usize>,
    ) -> Result<Option<(usize, Error)>> {
        let middle = range.start + range.len().div_ceil(2);
        let head = range.start..middle;
        self.enter().await?;
        let mut tried = Ok(());
        for wave in waves {
            let part: Vec<usize> = wave.iter().copied().filter(|row| head.contains(row)).collect();
            if tried.is_ok() && !part.is_empty() {
                tried = self.wave(&part).await;
            }
        }
        match tried {
            Ok(()) => self.leave().await?,
            Err(error) => {
                self.back_out().await?;
                if !is_of_the_row(&error) {
                    return Err(error);
                }
                if head.len() == 1 {
                    return Ok(Some((head.start, error)));
                }
                return Box::pin(self.first_failing(waves, head)).await;
            }
        }
        match middle..range.end {
            rest if rest.is_empty() => Ok(None),
            rest => Box::pin(self.first_failing(waves, rest)).await,
        }
    }
}
