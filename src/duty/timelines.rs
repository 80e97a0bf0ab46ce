//! Timelines on virtual time.
