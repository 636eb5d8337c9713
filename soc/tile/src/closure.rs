//! The modules that a module consists of.

use crate::verilog::{Item, Module, ReadError, Source};
use std::collections::{BTreeMap, BTreeSet};

/// A module of one of several texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModuleId {
    /// The number of the text.
    pub(crate) source: usize,
    /// The number of the module in it.
    pub(crate) module: usize,
}

/// A module with all that are below it.
pub(crate) struct Closure<'s> {
    sources: &'s [Source],
    by_name: BTreeMap<&'s str, ModuleId>,
    /// In the order in which they are met from the top, which is the first.
    modules: Vec<ModuleId>,
}

impl<'s> Closure<'s> {
    /// The modules below `top`.
    pub(crate) fn of(top: &str, sources: &'s [Source]) -> Result<Self, ReadError> {
        let mut by_name = BTreeMap::new();
        for (index, source) in sources.iter().enumerate() {
            for (number, module) in source.modules().iter().enumerate() {
                let name = source.token(module.name);
                if by_name.insert(name, ModuleId { source: index, module: number }).is_some() {
                    return Err(source.error(module.name, format!("the module `{name}` is there twice")));
                }
            }
        }
        let Some(first) = by_name.get(top) else {
            let file = sources.first().map_or("", Source::file).to_owned();
            return Err(ReadError { file, line: 1, message: format!("there is no module `{top}`") });
        };
        let mut closure = Closure { sources, modules: vec![*first], by_name };
        let mut known: BTreeSet<ModuleId> = closure.modules.iter().copied().collect();
        let mut next = 0;
        while let Some(id) = closure.modules.get(next).copied() {
            next += 1;
            let source = closure.source(id);
            for instance in closure.module(id).instances() {
                let name = source.token(instance.module);
                let Some(child) = closure.by_name.get(name).copied() else {
                    return Err(source.error(instance.module, format!("there is no module `{name}` in the texts")));
                };
                if known.insert(child) {
                    closure.modules.push(child);
                }
            }
        }
        Ok(closure)
    }

    pub(crate) fn modules(&self) -> &[ModuleId] {
        &self.modules
    }

    pub(crate) fn source(&self, id: ModuleId) -> &'s Source {
        &self.sources[id.source]
    }

    pub(crate) fn module(&self, id: ModuleId) -> &'s Module {
        &self.sources[id.source].modules()[id.module]
    }

    /// The module of this name.
    pub(crate) fn find(&self, name: &str) -> Option<ModuleId> {
        self.by_name.get(name).copied()
    }
}

impl Module {
    /// The modules inside.
    pub fn instances(&self) -> impl Iterator<Item = &crate::verilog::Instance> {
        self.items.iter().filter_map(|item| match item {
            Item::Instance(instance) => Some(instance),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(top: &str, texts: &[&str]) -> Result<Vec<String>, ReadError> {
        let sources: Vec<Source> =
            texts.iter().enumerate().map(|(i, text)| Source::read(&format!("{i}.v"), text).unwrap()).collect();
        let closure = Closure::of(top, &sources)?;
        let name = |id: &ModuleId| closure.source(*id).token(closure.module(*id).name).to_owned();
        Ok(closure.modules().iter().map(name).collect())
    }

    #[test]
    fn what_is_below_the_top_is_found_once_and_nothing_else() {
        let texts = [
            "module a(); b x (); b y (); c z (); endmodule module other(); a x (); endmodule module b(); d x (); endmodule",
            "module c(); d x (); endmodule module d(); endmodule",
        ];
        assert_eq!(names("a", &texts).unwrap(), ["a", "b", "c", "d"]);
        assert_eq!(names("c", &texts).unwrap(), ["c", "d"]);
    }

    #[test]
    fn a_module_that_is_missing_or_there_twice_is_named() {
        let error = |top, texts: &[&str]| names(top, texts).unwrap_err().to_string();
        assert_eq!(error("a", &["module a();\n b x (); endmodule"]), "0.v:2: there is no module `b` in the texts");
        assert_eq!(error("b", &["module a(); endmodule"]), "0.v:1: there is no module `b`");
        let twice = ["module a(); endmodule", "\nmodule a(); endmodule"];
        assert_eq!(error("a", &twice), "1.v:2: the module `a` is there twice");
    }
}
