//! What `budgets.toml` allows, against what yosys makes of each block.

use std::collections::BTreeMap;

use nvme_hw::Config;
use rtl_hdl::{elaborate, emit};
use serde::Deserialize;
use sim_toolchain::Toolchain;
use sim_yosys::area::{measure_all, Area};
use soc_top::{CATALOGUE, TOPS};

const BUDGETS: &str = include_str!("../budgets.toml");

/// Large blocks that only join what has a budget of its own: yosys takes as long for them as for all their parts. `cargo xtask area` measures them.
const JOINED: [&str; 2] = ["controller", "cache"];

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    lut: u32,
    lut_ram: u32,
    ff: u32,
    bram: f32,
    uram: u32,
    dsp: u32,
    lut_levels: u32,
}

impl Budget {
    /// Where a block costs more than it may.
    fn exceeded(&self, name: &str, area: &Area) -> Vec<String> {
        let counts = [
            ("LUT", area.lut, self.lut),
            ("LUT RAM", area.lut_ram, self.lut_ram),
            ("FF", area.ff, self.ff),
            ("UltraRAM", area.uram, self.uram),
            ("DSP", area.dsp, self.dsp),
            ("LUT levels", area.lut_levels, self.lut_levels),
        ];
        let over = counts.iter().filter(|(_, found, most)| found > most);
        let mut over: Vec<String> =
            over.map(|(what, found, most)| format!("{name} has {found} {what} and may have {most}")).collect();
        if area.bram > self.bram {
            over.push(format!("{name} has {} block RAMs and may have {}", area.bram, self.bram));
        }
        over
    }
}

#[test]
fn every_block_keeps_its_budget() {
    let budgets: BTreeMap<String, Budget> = toml::from_str(BUDGETS).unwrap_or_else(|error| panic!("{error}"));
    let is_measured = |name: &str| !TOPS.contains(&name) && !JOINED.contains(&name);
    let blocks: Vec<_> = CATALOGUE.iter().filter(|entry| is_measured(entry.name)).collect();
    for name in budgets.keys() {
        assert!(blocks.iter().any(|entry| entry.name == name), "`{name}` has a budget and is not in the catalogue");
    }
    let source = |entry: &&soc_top::Entry| {
        let block = (entry.make)(Config::DEFAULT);
        let design = elaborate(&*block).unwrap_or_else(|problems| panic!("{}: {problems}", entry.name));
        (emit(&design).into_iter().map(|file| file.text).collect(), design.top().name.clone())
    };
    let sources: Vec<(String, String)> = blocks.iter().map(source).collect();
    let measured = measure_all(&Toolchain::from_env(), &sources).unwrap_or_else(|error| panic!("{error}"));
    let mut over = Vec::new();
    for (entry, measured) in blocks.iter().zip(measured) {
        match budgets.get(entry.name) {
            Some(budget) => over.extend(budget.exceeded(entry.name, &measured.area)),
            None => over.push(format!("{} has no budget; it costs {:?}", entry.name, measured.area)),
        }
    }
    assert!(over.is_empty(), "tests/area/budgets.toml allows less than there is:\n{}", over.join("\n"));
}
