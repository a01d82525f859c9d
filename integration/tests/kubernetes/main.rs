//! The objects of a real API server, followed by a real control plane: whatever happens to them, to it, or to the way there.

mod faults;
mod objects;
mod permissions;
mod proxies;
mod world;
