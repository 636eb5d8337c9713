//! What is left of a failure for a person to look at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::judge::Verdict;

/// Writes a failed case into a folder of its own below `root`: the case, its Verilog, and what is wrong. Returns the file with the case.
///
/// # Errors
/// If the files cannot be written.
pub fn write(root: &Path, verdict: &Verdict) -> io::Result<PathBuf> {
    let folder = root.join(&verdict.case.top);
    fs::create_dir_all(&folder)?;
    let case = folder.join("case.txt");
    fs::write(&case, verdict.case.to_string())?;
    fs::write(folder.join("design.sv"), &verdict.verilog)?;
    fs::write(folder.join("failure.txt"), format!("{}\n{}\n", said(verdict), replay(&case)))?;
    Ok(case)
}

/// The command that runs a case again.
pub fn replay(case: &Path) -> String {
    format!("replay: cargo xtask fuzz-hdl --replay {}", case.display())
}

/// What is wrong, in words.
pub fn said(verdict: &Verdict) -> String {
    match &verdict.failure {
        Some(failure) => format!("{}: {}\n{}", verdict.case.top, failure.kind, failure.message),
        None => format!("{}: nothing is wrong", verdict.case.top),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;
    use crate::census::Census;
    use crate::judge::{Failure, Kind, NETLIST};
    use crate::tape::Tapes;
    use rtl_hdl::bench::Seed;

    #[test]
    fn a_failure_is_read_back() {
        let case = Case::random(Seed(3), 4).with_tapes(Tapes::from([("random4".into(), vec![1, 2])]));
        let failure = Failure { kind: Kind::Disagree(vec![NETLIST]), message: "`q0` differs".into(), clocks: Some(7) };
        let (verilog, census) = ("module random4;".to_string(), Census::default());
        let verdict = Verdict {
            case: case.clone(),
            failure: Some(failure),
            defect: None,
            verilog,
            modules: 1,
            clocks: 7,
            census,
        };
        let root = tempfile::tempdir().unwrap();
        let file = write(root.path(), &verdict).unwrap();
        assert_eq!(Case::parse(&fs::read_to_string(&file).unwrap()), Ok(case));
        let said = fs::read_to_string(file.with_file_name("failure.txt")).unwrap();
        assert!(
            said.contains("a mismatch of the netlist\n`q0` differs\nreplay: cargo xtask fuzz-hdl --replay "),
            "{said}"
        );
    }
}
