//! Classes, terms, patterns, cues, places, units, platforms, rules and calendar: as written (raw, with file and line for
//! every fault) and as meant (compiled tables). Takes text, never a path: reading files is the shell's work.
