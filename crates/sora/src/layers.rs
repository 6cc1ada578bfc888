//! Layers: what changes how a store is called, for all tables at once.
//!
//! Layers are added when a store is opened; the last one added is called first. The usual order is a
//! timeout for each attempt, and the retries around it:
//!
//! ```
//! use sora::Sora;
//! use sora::layers::{RetryLayer, TimeoutLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> sora::Result<()> {
//! let store = Sora::builder()
//!     .layer(TimeoutLayer::new().read_ms(2_000).write_ms(5_000))
//!     .layer(RetryLayer::new().attempts_max(4))
//!     .open("memory:")
//!     .await?;
//! # store.ping().await
//! # }
//! ```

mod retry;
mod timeout;

pub use retry::RetryLayer;
pub use timeout::TimeoutLayer;
