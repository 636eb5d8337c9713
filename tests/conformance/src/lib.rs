//! Conformance tests: one file per chapter, test name = requirement, every back end.
