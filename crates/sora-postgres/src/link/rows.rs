//! The rows of a statement.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream as _;
use sora_core::Result;
use tokio_postgres::{Row, RowStream};

use super::Running;
use crate::failure::Stage;

/// Rows as they come.
///
/// Dropped before their end, they leave the connection busy: it is not handed on before the statement
/// was stopped.
pub(crate) struct Rows<'a> {
    stream: Pin<Box<RowStream>>,
    running: Option<Running<'a>>,
    stage: Stage,
}

impl<'a> Rows<'a> {
    pub(super) fn new(stream: RowStream, running: Running<'a>, stage: Stage) -> Self {
        Self { stream: Box::pin(stream), running: Some(running), stage }
    }

    /// Returns the next row, or nothing at the end: only then the statement is known to have ended
    /// well, and to be committed if it commits by itself.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same for those who poll.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Row>>> {
        if self.running.is_none() {
            return Poll::Ready(Ok(None));
        }
        let Poll::Ready(next) = self.stream.as_mut().poll_next(cx) else { return Poll::Pending };
        Poll::Ready(match next {
            Some(Ok(row)) => Ok(Some(row)),
            None => {
                if let Some(running) = self.running.take() {
                    running.end();
                }
                Ok(None)
            }
            Some(Err(error)) => match self.running.take() {
                Some(running) => Err(running.failed(error, self.stage)),
                None => Ok(None),
            },
        })
    }

    /// How many rows the statement touched, known at its end.
    pub(crate) fn affected(&self) -> Option<u64> {
        self.stream.rows_affected()
    }
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("running", &self.running.is_some()).finish_non_exhaustive()
    }
}
