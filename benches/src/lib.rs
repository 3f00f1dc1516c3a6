//! Nothing but benches: `cargo bench -p hawser-benches`.
