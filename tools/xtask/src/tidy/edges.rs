//! Who may depend on whom.

use anyhow::Result;

use super::{Finding, Role};
use crate::workspace::Workspace;

/// The dependencies that the tree's rules forbid.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for krate in &workspace.crates {
        let manifest = krate.folder.join("Cargo.toml");
        let text = workspace.read(&manifest)?;
        let mut find = |line, text| findings.push(Finding { file: manifest.clone(), line, text });
        let Some(from) = Role::of(&krate.folder) else {
            find(1, "this folder has no place in the tree; add its role to tools/xtask/src/tidy/mod.rs".into());
            continue;
        };
        for edge in &krate.edges {
            let to =
                workspace.crates.iter().find(|other| other.name == edge.to).and_then(|other| Role::of(&other.folder));
            if to.is_some_and(|to| !allowed(from, to, edge.dev)) {
                let name = edge.to.as_str();
                let line = text.lines().position(|line| line.starts_with(name)).map_or(1, |index| index + 1);
                let kind = if edge.dev { "dev-depend" } else { "depend" };
                find(line, format!("{from:?} must not {kind} on {name}; see \"Who may depend on whom\" in README.md"));
            }
        }
    }
    Ok(findings)
}

/// Whether a crate of one role may depend on a crate of another.
fn allowed(from: Role, to: Role, dev: bool) -> bool {
    use Role::*;
    let allowed = match from {
        Spec => matches!(to, Spec),
        Rtl => matches!(to, Rtl),
        Model => matches!(to, Spec),
        Properties => matches!(to, Spec | Rtl),
        Hw => matches!(to, Spec | Rtl | Hw),
        Hal => matches!(to, Spec),
        Fw => matches!(to, Spec | Hal),
        Core => matches!(to, Spec | Rtl),
        Top => matches!(to, Spec | Rtl | Hw | Core),
        Firmware => matches!(to, Spec | Hal | Fw),
        Sim => !matches!(to, Tests | Tools),
        Tests => !matches!(to, Tools),
        Tools => true,
    };
    let allowed_in_tests = match from {
        // Facts stand alone, also in their tests.
        Spec => false,
        Rtl => matches!(to, Sim),
        Hw | Core | Top => matches!(to, Model | Sim),
        Model | Hal | Fw | Firmware => matches!(to, Spec | Rtl | Model | Hw | Sim),
        Properties | Sim | Tests | Tools => false,
    };
    allowed || dev && allowed_in_tests
}

#[cfg(test)]
mod tests {
    use super::*;
    use Role::*;

    #[test]
    fn edges_of_the_guide_are_forbidden() {
        for (from, to) in [
            (Spec, Rtl),
            (Spec, Sim),
            (Hw, Fw),
            (Hw, Model),
            (Hw, Sim),
            (Fw, Hw),
            (Fw, Sim),
            (Model, Sim),
            (Core, Sim),
            (Hw, Core),
        ] {
            assert!(!allowed(from, to, false), "{from:?} -> {to:?}");
        }
        for (from, to) in [(Rtl, Hw), (Rtl, Spec), (Sim, Tests), (Hw, Tests), (Tests, Tools)] {
            assert!(!allowed(from, to, false), "{from:?} -> {to:?}");
            assert!(!allowed(from, to, true), "{from:?} -> {to:?} in tests");
        }
        // Not even the tests of the hardware may see the firmware.
        assert!(!allowed(Hw, Fw, true));
        assert!(!allowed(Spec, Rtl, true));
    }

    #[test]
    fn edges_of_the_guide_are_allowed() {
        for (from, to) in
            [(Hw, Spec), (Hw, Rtl), (Fw, Hal), (Top, Hw), (Top, Core), (Sim, Hw), (Sim, Fw), (Tests, Sim), (Tools, Sim)]
        {
            assert!(allowed(from, to, false), "{from:?} -> {to:?}");
        }
        assert!(allowed(Hw, Model, true));
        assert!(allowed(Hw, Sim, true));
    }
}
