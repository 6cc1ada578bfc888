//! The `sora` program: import, query and export data through Sora.

mod arguments;
mod clock;
mod column_list;
mod console;
mod conversion;
mod failure;
mod import;
mod inference;
mod input;
mod lexeme;
mod names;
mod output;
mod parameter;
mod progress;
mod store;

fn main() {}
