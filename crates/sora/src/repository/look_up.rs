//! One look-up: what memory answers costs its future nothing else.

use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use sora_core::{AsKey, Entity, Result, Source};

use super::Repository;
use crate::cache::{CacheMode, Call};
use crate::collect::DecodeOne;

pin_project! {
    /// The future of a look-up by a key.
    ///
    /// Written by hand for the sake of hits: that of an async block is polled and dropped by functions
    /// of its own, with the stack frame of all that a miss may do.
    struct Get<'a, E, K, B, F> {
        repository: &'a Repository<E>,
        location: &'static Location<'static>,
        // None once it is no plain hit.
        key: Option<K>,
        begin: B,
        #[pin]
        rest: Option<F>,
    }
}

type Found<E> = Result<Option<Arc<E>>>;

/// Returns the future of a look-up.
#[inline]
pub(super) fn look_up<'a, E: Entity, K: AsKey<E::Key> + Send>(
    repository: &'a Repository<E>,
    key: K,
    location: &'static Location<'static>,
) -> impl Future<Output = Found<E>> + Send + use<'a, E, K> {
    Get { repository, location, key: Some(key), begin: rest::<E, K>, rest: None }
}

impl<'a, E, K, B, F> Future for Get<'a, E, K, B, F>
where
    E: Entity,
    K: AsKey<E::Key>,
    B: Fn(&'a Repository<E>, K, &'static Location<'static>) -> F,
    F: Future<Output = Found<E>>,
{
    type Output = Found<E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Found<E>> {
        let Self { repository, location, key, .. } = &*self;
        if let Some(cache) = &repository.cache
            && let Some(key) = key
            && let Some(found) = cache.fresh(key, call(repository, location))
        {
            return Poll::Ready(Ok(Some(found)));
        }
        self.poll_rest(context)
    }
}

impl<'a, E, K, B, F> Get<'a, E, K, B, F>
where
    B: Fn(&'a Repository<E>, K, &'static Location<'static>) -> F,
    F: Future<Output = Found<E>>,
{
    /// Out of line, so that a hit has no part in its stack frame.
    #[inline(never)]
    fn poll_rest(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Found<E>> {
        let mut this = self.project();
        if let Some(key) = this.key.take() {
            this.rest.set(Some((this.begin)(this.repository, key, this.location)));
        }
        let rest = this.rest.as_pin_mut().expect("it is begun where the key is taken");
        rest.poll(context)
    }
}

/// A look-up that is no plain hit.
async fn rest<E: Entity, K: AsKey<E::Key> + Send>(
    repository: &Repository<E>,
    key: K,
    location: &'static Location<'static>,
) -> Found<E> {
    if repository.cache.is_some() {
        // Apart, so that the future of a look-up without a cache is small.
        let found = Box::pin(rest_from(repository, key, location)).await;
        return found.map(|(found, _)| found);
    }
    from_store(repository, key, location).await
}

/// Looks a key up, and says where the answer comes from.
pub(super) async fn look_up_from<E: Entity, K: AsKey<E::Key> + Send>(
    repository: &Repository<E>,
    key: K,
    location: &'static Location<'static>,
) -> Result<(Option<Arc<E>>, Source)> {
    if let Some(cache) = &repository.cache
        && let Some(found) = cache.fresh(&key, call(repository, location))
    {
        return Ok((Some(found), Source::Memory));
    }
    rest_from(repository, key, location).await
}

async fn rest_from<E: Entity, K: AsKey<E::Key> + Send>(
    repository: &Repository<E>,
    key: K,
    location: &'static Location<'static>,
) -> Result<(Option<Arc<E>>, Source)> {
    match &repository.cache {
        Some(cache) if repository.cache_mode != CacheMode::Bypass => {
            let key = repository.table.key(|out| key.encode_key(out))?;
            cache.get(key, call(repository, location)).await
        }
        _ => Ok((from_store(repository, key, location).await?, Source::Store)),
    }
}

async fn from_store<E: Entity, K: AsKey<E::Key> + Send>(
    repository: &Repository<E>,
    key: K,
    location: &'static Location<'static>,
) -> Found<E> {
    let key = repository.table.key(|out| key.encode_key(out))?;
    let mut sink = DecodeOne { row: None, decode: |row| E::decode(row) };
    repository.table.get_at(key, false, &mut sink, location).await?;
    Ok(sink.row)
}

fn call<'a, E>(repository: &'a Repository<E>, location: &'static Location<'static>) -> Call<'a> {
    Call { table: &repository.table, mode: repository.cache_mode, location }
}
