//! What listeners do.
