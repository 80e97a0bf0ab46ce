//! The integration tests: the built binary as its users see it, the rules of the house, and the quality floors.

mod house;
mod bad_records;
mod browser;
mod demo;
mod kill;
mod notices;
mod postgres;
mod public_trust;
mod quality;
mod tidy;
