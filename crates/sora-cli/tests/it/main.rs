//! The program as it is run: its results, its errors, its exit codes, and what it leaves in files.

mod commands;
mod found;
mod import;
mod kill;
mod postgres;
mod program;
