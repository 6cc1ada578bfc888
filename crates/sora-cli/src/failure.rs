//! How the program ends other than well, and its exit codes.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::process::ExitCode;

use sora::{Error, ErrorKind};

/// The result of everything that can end the program.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why the program ends before its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not do what was asked: exit code 1.
    Failed(String),
    /// Whoever read the results went away: that is their right, and a success.
    PipeClosed,
    /// The report has said it already: exit code 1.
    Reported,
    /// The command line is wrong: exit code 2.
    Usage(String),
}

impl Failure {
    /// Returns a failure with a message.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// Returns wrong usage with a message.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// Returns what became of an error of an argument: what was refused is wrong usage.
    pub(crate) fn argument(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput => Self::Usage(chain(error)),
            _ => Self::Failed(chain(error)),
        }
    }

    /// Returns the failure to read or write a file.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::PipeClosed => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Reported => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }

    /// The message, if there is more to say.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Self::Failed(message) | Self::Usage(message) => Some(message),
            Self::PipeClosed | Self::Reported => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(chain(&error))
    }
}

impl From<io::Error> for Failure {
    /// Takes errors of the standard streams; those of files are named by [`Failure::file`].
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::Failed(chain(&error)),
        }
    }
}

/// Returns an error with its causes, those that say nothing new left out.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let cause = io::Error::other("disk full");
        let error = Error::new(ErrorKind::Store, "the write failed").with_source(cause);
        let failure = Failure::from(error);
        assert_eq!(failure.message(), Some("the write failed: disk full"));
        let error = Error::new(ErrorKind::Store, "disk full").with_source(io::Error::other("full"));
        assert_eq!(Failure::from(error).message(), Some("disk full"));
    }

    #[test]
    fn a_closed_pipe_is_quiet() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(failure, Failure::PipeClosed) && failure.message().is_none());
    }
}
