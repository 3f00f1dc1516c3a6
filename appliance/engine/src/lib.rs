//! Hawser: engine.
