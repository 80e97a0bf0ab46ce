//! The integration tests: the built binary as its users see it, the rules of the house, and the quality floors.

mod bad_records;
mod browser;
mod demo;
mod house;
mod kafka;
mod kill;
mod notices;
mod operations;
mod postgres;
mod public_trust;
mod quality;
mod schemas;
mod searching;
mod simulation;
mod skip;
mod tidy;
mod validator;
