//! Settings in two levels: raw as written, checked as meant. All faults are told at once, with file and line.
