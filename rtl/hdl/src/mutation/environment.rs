//! What the environment asks of an elaboration.

use super::{mutant, mutations};
use crate::ir::{Design, ModuleIr};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, Once};

/// The variable that names the mutant.
pub const MUTANT_VARIABLE: &str = "RTL_MUTANT";
/// Its value for a run like that of a mutant, without one.
pub const NO_MUTANT: &str = "none";
/// The variable with the file to which the modules that are elaborated are added.
pub const MODULES_VARIABLE: &str = "RTL_MUTANT_MODULES";
/// The variable with the module whose mutations are listed, and the file.
pub const MUTANT_LIST_VARIABLE: &str = "RTL_MUTANT_LIST";

/// Whether this process runs a mutant, or runs as one would.
pub fn is_asked_for() -> bool {
    std::env::var_os(MUTANT_VARIABLE).is_some()
}

/// The design with the mutant that the environment asks for, if it asks.
///
/// # Panics
/// If the variable is not written as it must be, or the module has no mutant of this number.
pub(crate) fn mutated(design: Design) -> Design {
    static SAID: Once = Once::new();
    let Ok(text) = std::env::var(MUTANT_VARIABLE) else { return design };
    if text == NO_MUTANT {
        return design;
    }
    let parsed = text.split_once(':').and_then(|(name, number)| Some((name, number.parse::<usize>().ok()?)));
    let (name, number) = parsed
        .unwrap_or_else(|| panic!("{MUTANT_VARIABLE} is `{text}`; it must be `{NO_MUTANT}` or `<module>:<number>`"));
    let Some(module) = design.modules.iter().find(|module| module.name == name) else { return design };
    // Whoever set the variable and forgot it must not take the hardware for sound.
    SAID.call_once(|| eprintln!("{MUTANT_VARIABLE} is set: `{name}` is mutant {number} of itself"));
    let mutant = mutant(module, number)
        .unwrap_or_else(|| panic!("{MUTANT_VARIABLE}: the module `{name}` has no mutant of the number {number}"));
    design.with_module(mutant)
}

/// Writes what the environment wants to know of the modules of a design.
///
/// # Panics
/// If it cannot be written.
pub(crate) fn note(design: &Design) {
    static NOTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let modules = std::env::var(MODULES_VARIABLE).ok();
    let list = std::env::var(MUTANT_LIST_VARIABLE).ok();
    if modules.is_none() && list.is_none() {
        return;
    }
    let mut noted = NOTED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for module in design.modules.iter().filter(|module| module.foreign.is_none()) {
        if !noted.insert(module.name.clone()) {
            continue;
        }
        if let Some(path) = &modules {
            write(path, true, &format!("{}\t{}\t{}\n", module.name, module.nodes.len(), home(module)));
        }
        if let Some((_, path)) = list.as_ref().and_then(|l| l.split_once(':')).filter(|(name, _)| *name == module.name)
        {
            let mut lines = String::new();
            for mutation in mutations(module) {
                let (file, line) = (mutation.source.file(), mutation.source.line());
                let _ = writeln!(lines, "{}\t{}\t{file}:{line}\t{}", mutation.number, mutation.kind, mutation.text);
            }
            write(path, false, &lines);
        }
    }
}

/// The Rust file that describes the module: where its first node is from that is not made inside of the language.
fn home(module: &ModuleIr) -> &'static str {
    let language = Path::new(file!()).ancestors().nth(2).unwrap_or(Path::new(""));
    let files = module.nodes.iter().map(|node| node.source.file());
    let mut own = files.filter(|file| !Path::new(file).starts_with(language));
    own.next().unwrap_or_default()
}

fn write(path: &str, append: bool, text: &str) {
    let mut options = OpenOptions::new();
    options.create(true).append(append).write(true).truncate(!append);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.unwrap_or_else(|error| panic!("cannot write {path}: {error}"));
}
