//! Errors as people see them.

use crate::output;
use std::fmt::Display;

/// What went wrong and what to do about it.
#[derive(Debug)]
pub struct Failure {
    what: String,
    detail: String,
    next: String,
}

/// What every command returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// An error of two lines. Both say it without a full stop; neither begins with a capital letter.
    pub fn new(what: impl Display, next: impl Display) -> Self {
        Self { what: what.to_string(), detail: String::new(), next: next.to_string() }
    }

    /// The same error with lines of somebody else between its two, such as the messages of a compiler.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Display) -> Self {
        self.detail = detail.to_string();
        self
    }

    /// Shows it on standard error.
    pub fn print(&self) {
        let paint = output::Paint::stderr();
        eprintln!("{} {}", paint.bad("error:"), self.what);
        for line in self.detail.lines() {
            eprintln!("  | {line}");
        }
        eprintln!("{} {}", paint.strong(" next:"), self.next);
    }
}
