//! `yuqing` (舆情) watches what people say in public about one city, finds the events that need an answer, and makes
//! sure the answer is given in time.
//!
//! The modules stand in the order in which data flows; a module uses only modules above it (`tests/tidy.rs` holds it).
//! The core is pure, synchronous and deterministic: it takes `(now, input)` and gives values back. The shell turns the
//! world into inputs and effects into the world.

// -- the core: no clock, file, socket, thread, log, random number or environment
pub mod time;
pub mod limits;
pub mod lexicon;
pub mod mention;
pub mod text;
pub mod assess;
pub mod topic;
pub mod rule;
pub mod duty;
pub mod notice;

// -- the shell
pub mod clock;
pub mod metrics;
pub mod ledger;
pub mod index;
pub mod intake;
pub mod outlet;
pub mod web;
pub mod settings;
pub mod run;
