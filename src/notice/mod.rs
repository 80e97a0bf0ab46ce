//! Whom, which channel, which reason, which key; rendering within byte budgets. Text is cut on character borders, with
//! deadline, link and key always kept.

pub mod render;
