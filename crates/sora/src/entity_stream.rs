//! A stream of entities.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use sora_core::{BufferedRow, Error, Result, RowBuffer};

use crate::table::RowStream;

/// The rows of a query as values, fetched by pages as they are taken; see [`RowStream`].
///
/// After an error the stream is at its end.
pub struct EntityStream<T> {
    pages: RowStream,
    decode: fn(&BufferedRow<'_>) -> Result<T>,
    rows: RowBuffer,
    place: usize,
    failed: Option<Error>,
    ended: bool,
}

impl<T> EntityStream<T> {
    pub(crate) fn new(pages: RowStream, decode: fn(&BufferedRow<'_>) -> Result<T>) -> Self {
        Self { pages, decode, rows: RowBuffer::default(), place: 0, failed: None, ended: false }
    }

    pub(crate) fn failed(
        pages: RowStream,
        decode: fn(&BufferedRow<'_>) -> Result<T>,
        error: Error,
    ) -> Self {
        Self { failed: Some(error), ..Self::new(pages, decode) }
    }

    /// Returns the next row; none at the end.
    pub async fn next(&mut self) -> Option<Result<T>> {
        poll_fn(|context| self.poll_row(context)).await
    }

    fn poll_row(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(self.end(Some(error)));
        }
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(row) = self.rows.row(self.place) {
                self.place += 1;
                return Poll::Ready(match (self.decode)(&row) {
                    Ok(value) => Some(Ok(value)),
                    Err(error) => self.end(Some(error)),
                });
            }
            match ready!(Pin::new(&mut self.pages).poll_next(context)) {
                Some(Ok(rows)) => (self.rows, self.place) = (rows, 0),
                Some(Err(error)) => return Poll::Ready(self.end(Some(error))),
                None => return Poll::Ready(self.end(None)),
            }
        }
    }

    fn end(&mut self, error: Option<Error>) -> Option<Result<T>> {
        self.ended = true;
        self.rows = RowBuffer::default();
        error.map(Err)
    }
}

impl<T> Stream for EntityStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_row(context)
    }
}

impl<T> fmt::Debug for EntityStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EntityStream").field(&self.pages).finish()
    }
}
