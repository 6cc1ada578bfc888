//! PostgreSQL for the Sora data layer, over its own protocol.
