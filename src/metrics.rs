//! Every metric of the program in one list: name, type, labels, unit, help. Labels come from a closed list; no text,
//! id or key ever.
