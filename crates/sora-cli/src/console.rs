//! The terminal, or what stands in its place.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::failure::Outcome;
use crate::output::Look;

/// Results go to `out`, everything else to `err`.
pub(crate) struct Console {
    pub(crate) out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// What `out` can show.
    pub(crate) look: Look,
    /// Whether `err` is a terminal, which progress can be drawn on.
    pub(crate) is_interactive: bool,
}

/// What was written to a console that keeps it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captured {
    out: Kept,
    err: Kept,
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Console {
    /// Returns the standard streams.
    pub(crate) fn standard() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = || console::Term::stdout().size_checked().map(|(_, columns)| columns.into());
        let is_terminal = io::stdout().is_terminal();
        let look = Look {
            width: if is_terminal { width() } else { None },
            is_styled: is_terminal && !no_color && !is_dumb,
        };
        Self {
            out: Box::new(BufWriter::with_capacity(64 * 1024, io::stdout())),
            err: Box::new(io::stderr()),
            look,
            is_interactive: io::stderr().is_terminal() && !is_dumb,
        }
    }

    /// Returns streams that are kept as text, as if there were no terminal.
    pub(crate) fn captured(captured: &Captured) -> Self {
        let (out, err) = (Box::new(captured.out.clone()), Box::new(captured.err.clone()));
        Self { out, err, look: Look::default(), is_interactive: false }
    }

    /// Says something that is not a result, on a line of its own.
    pub(crate) fn say(&mut self, text: impl fmt::Display) {
        // There is nobody to tell that standard error is gone.
        let _ = writeln!(self.err, "{text}");
    }

    /// Writes a line of a result.
    pub(crate) fn print(&mut self, text: impl fmt::Display) -> Outcome {
        Ok(writeln!(self.out, "{text}")?)
    }
}

impl Captured {
    /// The results.
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    /// Everything else.
    #[cfg(test)]
    pub(crate) fn err(&self) -> String {
        self.err.text()
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Bytes are only added: a panic between two of them leaves no less than was written.
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("look", &self.look).finish_non_exhaustive()
    }
}
