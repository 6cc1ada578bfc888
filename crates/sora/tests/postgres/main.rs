//! Sora on real servers that fail.

mod apart;
mod crashes;
mod cuts;
mod drops;
mod groups;
mod kept;
mod kills;
mod streams;
mod support;
