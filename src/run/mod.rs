//! The loops and commands: one straight line of wiring in app.rs, the desk, the demo, backtest, replay, bench.

pub mod day;
