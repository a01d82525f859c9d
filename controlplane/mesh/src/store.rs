//! The mesh as it stands: one owner takes changes in, everyone else reads.
