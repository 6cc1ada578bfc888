//! Tables as the catalogue tells them.
