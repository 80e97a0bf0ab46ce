//! Kafka in and out against a real broker: nothing lost, nothing twice, and what is gone or replaced is told. One broker
//! serves all tests and ends with them; where it cannot be had each test says so.

mod broker;
mod faults;
mod groups;
mod mock;
mod out;
mod source;
