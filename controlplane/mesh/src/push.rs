//! What each proxy is sent, and when: one automaton for each stream, without I/O.
