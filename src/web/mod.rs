//! The HTTP door for people and programs: console, API, health, metrics, accounts and sessions.
