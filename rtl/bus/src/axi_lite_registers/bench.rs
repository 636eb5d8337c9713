//! The running front end.
