//! Every block keeps its budget: see `budgets.toml` and the test.
