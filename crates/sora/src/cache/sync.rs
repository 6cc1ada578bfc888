//! The locks of what is model-checked: those of the standard library, or of loom.

#[cfg(not(sora_model))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(sora_model)]
pub(super) use loom::sync::{Mutex, MutexGuard};
