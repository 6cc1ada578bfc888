//! The one error type of Sora.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// The result of every fallible operation of Sora.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, whether trying again is safe, and what caused it.
///
/// Branch on [`kind`](Error::kind) and [`retry`](Error::retry), never on the text. An error is one
/// pointer wide and cheap to clone, because one failed batch answers many callers.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    message: String,
    constraint: Option<Box<str>>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The class of an [`Error`], to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store was busy for longer than the configured wait.
    Busy,
    /// The operation was cut off before its end, by a deadline, a shutdown or a cancellation.
    Cancelled,
    /// A key or a unique value is taken; [`Error::constraint`] names it.
    Conflict,
    /// A rule of the store other than uniqueness refused the row: not null, check, foreign key.
    Constraint,
    /// A stored cell is not what its column says.
    Data,
    /// A bug in Sora or in a provider.
    Internal,
    /// The caller's input was refused before it reached a store.
    InvalidInput,
    /// A configured limit was exceeded.
    Limit,
    /// The table or the row does not exist.
    NotFound,
    /// The store was opened read-only.
    ReadOnly,
    /// The table of the store does not fit the schema of the entity.
    Schema,
    /// The transaction lost against another one, or was picked to end a deadlock; nothing of it was
    /// committed, and running all of it again may succeed.
    Serialization,
    /// The store failed in a way that has no kind of its own.
    Store,
    /// A limit of time, Sora's or the store's, ended it.
    Timeout,
    /// The store is not reachable.
    Unavailable,
    /// The store cannot do this, and Sora was told not to, or must not, do it instead.
    Unsupported,
    /// The row has another version than the caller has seen.
    Version,
}

/// Whether doing the same again is safe and can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// Nothing was committed; the same call may succeed later.
    Safe,
    /// It is unknown whether the write was committed: repeat it only if it is idempotent.
    IfIdempotent,
}

impl Error {
    /// Returns an error of a kind with a message that names what was wrong and the remedy.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Busy | ErrorKind::Serialization | ErrorKind::Unavailable => Retry::Safe,
            _ => Retry::Never,
        };
        Self(Arc::new(Inner {
            kind,
            retry,
            message: message.into(),
            constraint: None,
            context: Vec::new(),
            source: None,
        }))
    }

    /// Adds a name and value that say where it went wrong, such as `("table", "cities")`.
    pub fn with(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.change(|inner| inner.context.push((name, value.to_string())))
    }

    /// Sets whether trying again is safe.
    pub fn with_retry(self, retry: Retry) -> Self {
        self.change(|inner| inner.retry = retry)
    }

    /// Names the constraint that refused the row.
    pub fn with_constraint(self, constraint: impl Into<Box<str>>) -> Self {
        self.change(|inner| inner.constraint = Some(constraint.into()))
    }

    /// Keeps the error that caused this one.
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Box::new(source)))
    }

    /// The class to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether doing the same again is safe.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether the write that failed may have been committed all the same.
    pub fn is_unknown(&self) -> bool {
        self.0.retry == Retry::IfIdempotent
    }

    /// The message alone, without context and source.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The constraint that refused the row, by the name the store gives it, where the store tells.
    pub fn constraint(&self) -> Option<&str> {
        self.0.constraint.as_deref()
    }

    /// The names and values that say where it went wrong.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// A shared error has answered others already: it is copied, its source as text.
    fn change(self, set: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| shared.copy());
        set(&mut inner);
        Self(Arc::new(inner))
    }
}

impl Inner {
    fn copy(&self) -> Self {
        Self {
            kind: self.kind,
            retry: self.retry,
            message: self.message.clone(),
            constraint: self.constraint.clone(),
            context: self.context.clone(),
            source: self.source.as_ref().map(|source| source.to_string().into()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut opening = " (";
        for (name, value) in &self.0.context {
            write!(f, "{opening}{name}: {value}")?;
            opening = ", ";
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("retry", &self.0.retry);
        out.field("message", &self.0.message);
        if let Some(constraint) = &self.0.constraint {
            out.field("constraint", constraint);
        }
        if !self.0.context.is_empty() {
            out.field("context", &self.0.context);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_and_why() {
        let error = Error::new(ErrorKind::Conflict, "the key is taken")
            .with("table", "cities")
            .with("key", 5)
            .with_constraint("cities_pkey")
            .with_source(std::io::Error::other("disk"));
        assert_eq!(error.to_string(), "the key is taken (table: cities, key: 5)");
        assert_eq!(error.constraint(), Some("cities_pkey"));
        assert_eq!(error.source().map(ToString::to_string), Some("disk".into()));
        assert_eq!(error.retry(), Retry::Never);
    }

    #[test]
    fn a_shared_error_can_still_take_context() {
        let first = Error::new(ErrorKind::Busy, "busy").with_source(std::io::Error::other("disk"));
        let second = first.clone().with("table", "cities");
        assert_eq!(first.context().count(), 0);
        assert_eq!(second.context().count(), 1);
        assert!(second.source().is_some());
        assert_eq!(second.retry(), Retry::Safe);
    }

    #[test]
    fn is_one_pointer_wide() {
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }
}
