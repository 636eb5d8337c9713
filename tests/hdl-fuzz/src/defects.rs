//! Defects of tools that random designs have found: what a tool cannot take is counted, and its other simulators are compared all the same.

/// A tool gives up with a message about itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Defect {
    /// Which tool, and when.
    pub about: &'static str,
    /// What it says then.
    says: &'static str,
}

/// What is known. A line goes when a version that is pinned later no longer needs it.
pub const DEFECTS: &[Defect] = &[
    Defect {
        about: "Verilator 5.48 ends with an internal error of its gate optimization: an element of an array is set from a constant that comes out of \
                an instance, in a branch of a `case` that is never taken",
        says: "Consumer doesn't match lhs of assign",
    },
    Defect {
        about: "Verilator 5.48 ends with an internal error when it writes C++: the parity of the inverse of more than 64 bits, all but one of them \
                constant",
        says: "Reduction over single bit value should have been folded",
    },
];

impl Defect {
    /// The defect that this output of a tool shows.
    pub fn in_output(output: &str) -> Option<&'static Defect> {
        DEFECTS.iter().find(|defect| output.contains("Internal Error") && output.contains(defect.says))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_internal_errors_are_defects() {
        for defect in DEFECTS {
            let says = defect.says;
            assert_eq!(Defect::in_output(&format!("%Error: Internal Error: a.sv:1:2: {says}")), Some(defect));
            assert_eq!(Defect::in_output(&format!("%Warning: {says}")), None);
        }
        assert_eq!(Defect::in_output("%Error: Internal Error: something else"), None);
    }
}
