//! What an inspection of a part says to the operator: how bad, what was found, what to do. Types only; `yuqing doctor`
//! gathers them from every part.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Works, but is unsafe or will not last.
    Warning,
    /// Something is lost, or will be at the next accident.
    Fault,
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Advice {
    /// How bad.
    pub severity: Severity,
    /// What was found, in one line.
    pub what: String,
    /// What to do about it; empty where all is well.
    pub what_to_do: String,
}

impl Advice {
    /// All is well.
    pub fn ok(what: impl Into<String>) -> Advice {
        Advice { severity: Severity::Ok, what: what.into(), what_to_do: String::new() }
    }

    /// Works, but is unsafe or will not last.
    pub fn warning(what: impl Into<String>, what_to_do: impl Into<String>) -> Advice {
        Advice { severity: Severity::Warning, what: what.into(), what_to_do: what_to_do.into() }
    }

    /// Something is lost, or will be at the next accident.
    pub fn fault(what: impl Into<String>, what_to_do: impl Into<String>) -> Advice {
        Advice { severity: Severity::Fault, what: what.into(), what_to_do: what_to_do.into() }
    }
}
