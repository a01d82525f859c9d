//! Faults of the API server, its store, and the way there: rows 1 to 13 of docs/FAULTS.md. What is served goes on.

mod answers;
mod away;
mod between;
mod history;
mod kinds;
mod silence;
mod store;
mod witness;
