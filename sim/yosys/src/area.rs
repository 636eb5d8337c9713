//! What a module costs in an UltraScale+ device, and its longest path.
//!
//! yosys maps the module and writes its netlist. The cells are counted here, and the longest path between flip-flops, memories and
//! ports is searched in the netlist, so that it is known how many of its levels are LUTs and how many are cells of a carry chain.
//! Four carry bits make one cell here (yosys maps `xcup` to CARRY4), eight in the device.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use sim_toolchain::{sha256, Toolchain};

use crate::netlist::{Bit, Cell, Module};
use crate::{synthesize, Error};

/// What a block costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Lookup tables for logic.
    pub lut: u32,
    /// Lookup tables used as memory or shift register.
    pub lut_ram: u32,
    /// Flip-flops.
    pub ff: u32,
    /// Block RAMs of 36 Kib; one of 18 Kib counts half.
    pub bram: f32,
    /// UltraRAMs.
    pub uram: u32,
    /// Multipliers.
    pub dsp: u32,
    /// Lookup tables on the longest path.
    pub lut_levels: u32,
    /// Carry cells on that path.
    pub carry_levels: u32,
}

/// What yosys made of a module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What it costs.
    pub area: Area,
    /// The signals with a name on its longest path, from its beginning to its end.
    pub path: Vec<String>,
}

/// The script, after the Verilog was read. What is judged is the number of lookup tables on a path, so the mapper is told that the wire to one costs
/// much more (in ps) than the table itself; by default a path of many small tables is as good to it as one of few large ones.
const SYNTHESIS: &str = "scratchpad -set synth_xilinx.abc9.W 2000; \
    synth_xilinx -family xcup -uram -flatten -abc9 -noiopad -noclkbuf";

/// Measures the module `top` of this Verilog; what was measured before is read from the cache.
pub fn measure(toolchain: &Toolchain, verilog: &str, top: &str) -> Result<Measured, Error> {
    let yosys = toolchain.yosys()?;
    // The second part changes when what is counted here does.
    let key = sha256(format!("{}\n{SYNTHESIS} 3\n{top}\n{verilog}", yosys.identity).as_bytes());
    let entry = toolchain.cache().entry(&format!("area/{top}-{}", &key[..32]), |folder| {
        let netlist = synthesize(toolchain, verilog, top, SYNTHESIS)?;
        let module = netlist.module(top)?;
        let measured = Measured { area: area_of(module)?, path: longest_path(module)?.1 };
        let path = folder.join(RESULT);
        let text = serde_json::to_string_pretty(&measured).map_err(|error| Error::Netlist(error.to_string()))?;
        fs::write(&path, text).map_err(|error| Error::io("write", &path, error))
    })?;
    let path = entry.join(RESULT);
    let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
    serde_json::from_str(&text).map_err(|error| Error::Netlist(error.to_string()))
}

/// Measures the top of each Verilog text, on all processors.
pub fn measure_all(toolchain: &Toolchain, sources: &[(String, String)]) -> Result<Vec<Measured>, Error> {
    // Fetched before the work is shared out.
    toolchain.yosys()?;
    let next = AtomicUsize::new(0);
    let results: Vec<_> = sources.iter().map(|_| OnceLock::new()).collect();
    let work = || {
        while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < sources.len()) {
            let (verilog, top) = &sources[index];
            // Each is measured once, so nothing was set before.
            let _ = results[index].set(measure(toolchain, verilog, top));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |count| count.get()) {
            scope.spawn(work);
        }
    });
    results.into_iter().filter_map(OnceLock::into_inner).collect()
}

/// The file of a cache entry.
const RESULT: &str = "measured.json";

fn area_of(module: &Module) -> Result<Area, Error> {
    let mut area = Area::default();
    for cell in module.cells.values() {
        match cell.kind.as_str() {
            "FDRE" | "FDSE" | "FDCE" | "FDPE" => area.ff += 1,
            "RAMB36E1" | "RAMB36E2" => area.bram += 1.0,
            "RAMB18E1" | "RAMB18E2" => area.bram += 0.5,
            "URAM288" => area.uram += 1,
            "DSP48E1" | "DSP48E2" => area.dsp += 1,
            "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" => area.lut += 1,
            "SRL16E" | "SRLC32E" | "RAM32X1S" | "RAM64X1S" => area.lut_ram += 1,
            "RAM32X1D" | "RAM64X1D" | "RAM128X1S" => area.lut_ram += 2,
            "RAM32M" | "RAM64M" | "RAM128X1D" | "RAM256X1S" => area.lut_ram += 4,
            "RAM32M16" | "RAM64M8" | "RAM256X1D" | "RAM512X1S" => area.lut_ram += 8,
            // Part of a slice beside its lookup tables; an inverter goes into what it feeds.
            "CARRY4" | "CARRY8" | "MUXF7" | "MUXF8" | "MUXF9" | "INV" => {}
            // Where a module was before it was flattened.
            "$scopeinfo" => {}
            other => {
                return Err(Error::Netlist(format!(
                    "it has a cell that is not counted yet: {other}; add it to sim/yosys/src/area.rs"
                )))
            }
        }
    }
    let (longest, _) = longest_path(module)?;
    area.lut_levels = longest.luts;
    area.carry_levels = longest.carries;
    Ok(area)
}

/// The cells on a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Path {
    luts: u32,
    carries: u32,
}

impl Path {
    /// A lookup table with its routing costs about as much as eight carry cells, which are next to each other. Of two paths that cost the same, that with more
    /// tables is the longer one.
    fn cost(self) -> (u32, u32) {
        (self.luts * 8 + self.carries, self.luts)
    }
}

/// The most expensive path that passes through neither flip-flop nor block memory.
fn longest_path(module: &Module) -> Result<(Path, Vec<String>), Error> {
    // Each net that a combinational cell drives: what the cell adds to a path, and the nets that it depends on.
    // In order, so that of equal paths the same one is found again.
    let mut drivers: BTreeMap<u64, (Path, Vec<u64>)> = BTreeMap::new();
    for cell in module.cells.values() {
        let Some(step) = step_of(&cell.kind) else { continue };
        for (port, bits) in outputs(cell) {
            for (index, bit) in bits.iter().enumerate() {
                if let Bit::Net(net) = bit {
                    drivers.insert(*net, (step, sources(cell, port, index)));
                }
            }
        }
    }

    // The longest path to each net; `None` while it is being searched.
    let mut paths: HashMap<u64, Option<Path>> = HashMap::new();
    // The net before it on that path.
    let mut before: HashMap<u64, u64> = HashMap::new();
    let mut longest = (Path::default(), None);
    // Depth first, without recursion: paths may be long.
    for start in drivers.keys() {
        let mut pending = vec![(*start, false)];
        while let Some((net, sources_are_done)) = pending.pop() {
            let Some((step, sources)) = drivers.get(&net) else {
                paths.insert(net, Some(Path::default()));
                continue;
            };
            if sources_are_done {
                let found = sources.iter().filter_map(|source| Some((paths[source]?, *source)));
                let mut path = *step;
                if let Some((to_source, source)) = found.max_by_key(|(path, _)| path.cost()) {
                    path = Path { luts: to_source.luts + step.luts, carries: to_source.carries + step.carries };
                    before.insert(net, source);
                }
                if path.cost() > longest.0.cost() {
                    longest = (path, Some(net));
                }
                paths.insert(net, Some(path));
                continue;
            }
            match paths.get(&net) {
                Some(Some(_)) => continue,
                Some(None) => return Err(Error::Netlist("it has a combinational loop".into())),
                None => {}
            }
            paths.insert(net, None);
            pending.push((net, true));
            pending.extend(sources.iter().map(|source| (*source, false)));
        }
    }

    let names = names_of(module);
    let mut nets: Vec<_> = std::iter::successors(longest.1, |net| before.get(net).copied()).collect();
    nets.reverse();
    let mut signals: Vec<_> = nets.iter().filter_map(|net| names.get(net).cloned()).collect();
    signals.extend(nets.last().and_then(|net| end_of(module, *net, &names)));
    Ok((longest.0, signals))
}

/// What the flip-flop or memory at the end of a path is called: by the signal that it drives, or by the cell.
fn end_of(module: &Module, net: u64, names: &HashMap<u64, String>) -> Option<String> {
    let reads = |cell: &Cell| cell.connections.values().flatten().any(|bit| *bit == Bit::Net(net));
    let (cell_name, cell) = module.cells.iter().find(|(_, cell)| step_of(&cell.kind).is_none() && reads(cell))?;
    let driven = outputs(cell).flat_map(|(_, bits)| bits).filter_map(|bit| match bit {
        Bit::Net(net) => names.get(net),
        Bit::Constant(_) => None,
    });
    Some(driven.min_by_key(|name| name.len()).unwrap_or(cell_name).clone())
}

/// The shortest name that a person gave to each net, with its bit.
fn names_of(module: &Module) -> HashMap<u64, String> {
    let mut names: HashMap<u64, String> = HashMap::new();
    for (name, signal) in module.netnames.iter().filter(|(_, signal)| signal.hide_name == 0) {
        for (index, bit) in signal.bits.iter().enumerate() {
            let Bit::Net(net) = bit else { continue };
            let name = if signal.bits.len() == 1 { name.clone() } else { format!("{name}[{index}]") };
            let shortest = names.entry(*net).or_insert_with(|| name.clone());
            if name.len() < shortest.len() {
                *shortest = name;
            }
        }
    }
    names
}

/// What a cell adds to a path through it; `None` if no path leads through it within a clock.
fn step_of(kind: &str) -> Option<Path> {
    let lut = Path { luts: 1, carries: 0 };
    match kind {
        "CARRY4" | "CARRY8" => Some(Path { luts: 0, carries: 1 }),
        "INV" | "MUXF7" | "MUXF8" | "MUXF9" => Some(Path::default()),
        _ if kind.starts_with("LUT") || is_lut_ram(kind) => Some(lut),
        _ => None,
    }
}

/// Memories in lookup tables are read within the clock.
fn is_lut_ram(kind: &str) -> bool {
    kind.starts_with("SRL") || kind.starts_with("RAM") && !kind.starts_with("RAMB")
}

/// Whether the input `port` of a memory in lookup tables chooses the word at `output`.
fn is_read_address(port: &str, output: &str) -> bool {
    match output.strip_prefix("DO") {
        // Ports with a letter: RAM32M, RAM64M8.
        Some(letter) => port.strip_prefix("ADDR") == Some(letter),
        None if output == "DPO" => port.starts_with("DPRA"),
        None => port.starts_with('A'),
    }
}

fn outputs(cell: &Cell) -> impl Iterator<Item = (&str, &[Bit])> {
    let output = |(port, _): &(&String, &Vec<Bit>)| {
        cell.port_directions.get(*port).is_some_and(|direction| direction == "output")
    };
    cell.connections.iter().filter(output).map(|(port, bits)| (port.as_str(), bits.as_slice()))
}

/// The nets on which bit `index` of an output depends within a clock.
fn sources(cell: &Cell, output: &str, index: usize) -> Vec<u64> {
    let mut nets = Vec::new();
    for (port, bits) in &cell.connections {
        if cell.port_directions.get(port).is_none_or(|direction| direction != "input") {
            continue;
        }
        let bits = match cell.kind.as_str() {
            // A carry goes upwards only; a sum does not depend on the data input of its own bit.
            "CARRY4" | "CARRY8" if port == "DI" && output == "O" => &bits[..index],
            "CARRY4" | "CARRY8" if port == "DI" || port == "S" => &bits[..=index],
            // Data, write enable and the address of a write wait for the clock.
            kind if is_lut_ram(kind) && !is_read_address(port, output) => &[],
            _ => &bits[..],
        };
        nets.extend(bits.iter().filter_map(|bit| bit.net()));
    }
    nets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(cells: &str) -> Module {
        serde_json::from_str(&format!("{{\"cells\": {{{cells}}}}}")).unwrap()
    }

    fn lut(name: &str, inputs: [u64; 2], output: u64) -> String {
        let [a, b] = inputs;
        format!(
            "\"{name}\": {{\"type\": \"LUT2\", \"port_directions\": {{\"I0\": \"input\", \"I1\": \"input\", \"O\": \"output\"}},
               \"connections\": {{\"I0\": [{a}], \"I1\": [{b}], \"O\": [{output}]}}}}"
        )
    }

    fn flip_flop(name: &str, input: u64, output: u64) -> String {
        format!(
            "\"{name}\": {{\"type\": \"FDRE\", \"port_directions\": {{\"D\": \"input\", \"Q\": \"output\", \"R\": \"input\"}},
               \"connections\": {{\"D\": [{input}], \"Q\": [{output}], \"R\": [\"0\"]}}}}"
        )
    }

    /// A carry cell with select bits 10..14 and sums 20..24; its data inputs are 30..34.
    fn carry(name: &str) -> String {
        format!(
            "\"{name}\": {{\"type\": \"CARRY4\", \"port_directions\": {{\"S\": \"input\", \"DI\": \"input\", \"O\": \"output\"}},
               \"connections\": {{\"S\": [10, 11, 12, 13], \"DI\": [30, 31, 32, 33], \"O\": [20, 21, 22, 23]}}}}"
        )
    }

    /// A memory of two ports is written at the one and read at the other.
    #[test]
    fn the_address_of_a_write_is_no_path_to_another_port() {
        let memory = |cell: &str, ports: [(&str, &str, u64); 3]| {
            let all = |what: fn(&(&str, &str, u64)) -> String| ports.iter().map(what).collect::<Vec<_>>().join(", ");
            let directions = all(|(port, direction, _)| format!("\"{port}\": \"{direction}\""));
            let connections = all(|(port, _, net)| format!("\"{port}\": [{net}]"));
            format!("\"m\": {{\"type\": \"{cell}\", \"port_directions\": {{{directions}}}, \"connections\": {{{connections}}}}}")
        };
        let (write, read) = (lut("w", [1, 2], 3), lut("r", [4, 5], 6));
        for (cell, [at, from, to]) in [("RAM32X1D", ["A0", "DPRA0", "DPO"]), ("RAM64M8", ["ADDRH", "ADDRB", "DOB"])] {
            for (written, read_at, luts) in [(3, 7, 1), (7, 6, 2)] {
                let memory = memory(cell, [(at, "input", written), (from, "input", read_at), (to, "output", 8)]);
                let (path, _) = longest_path(&module(&[write.clone(), read.clone(), memory].join(", "))).unwrap();
                assert_eq!(path, Path { luts, carries: 0 }, "{cell}");
            }
        }
    }

    #[test]
    fn path_ends_at_flip_flops() {
        let cells = [lut("a", [1, 2], 3), flip_flop("f", 3, 4), lut("b", [4, 1], 5), lut("c", [5, 3], 6)].join(",");
        let area = area_of(&module(&cells)).unwrap();
        assert_eq!((area.lut, area.ff), (3, 1));
        // a -> c and b -> c; not a -> f -> b -> c.
        assert_eq!((area.lut_levels, area.carry_levels), (2, 0));
    }

    #[test]
    fn of_equal_paths_that_with_more_tables_is_the_longest() {
        let link = |net: u64| {
            format!(
                "\"c{net}\": {{\"type\": \"CARRY4\", \"port_directions\": {{\"S\": \"input\", \"O\": \"output\"}},
                   \"connections\": {{\"S\": [{net}], \"O\": [{}]}}}}",
                net + 1
            )
        };
        // Eight carry cells cost as much as a table.
        for first in [10, 30] {
            let mut cells: Vec<String> = (first..first + 8).map(link).collect();
            cells.push(lut("t", [20, 21], 22));
            let (path, _) = longest_path(&module(&cells.join(","))).unwrap();
            assert_eq!(path, Path { luts: 1, carries: 0 });
        }
    }

    #[test]
    fn carry_goes_upwards_only() {
        // The lookup table closes a loop from the top sum to the bottom select, were the cell taken as a whole.
        let up = [carry("c"), lut("l", [20, 20], 13)].join(",");
        assert_eq!(longest_path(&module(&up)).unwrap().0, Path { luts: 1, carries: 2 });
    }

    #[test]
    fn path_names_its_signals() {
        let cells = [flip_flop("f", 9, 1), lut("a", [1, 1], 3), lut("b", [3, 3], 4), flip_flop("g", 4, 5)].join(",");
        let names =
            "\"from\": {\"bits\": [\"0\", 1]}, \"middle\": {\"hide_name\": 1, \"bits\": [3]}, \"to\": {\"bits\": [5]}";
        let module = serde_json::from_str(&format!("{{\"cells\": {{{cells}}}, \"netnames\": {{{names}}}}}")).unwrap();
        assert_eq!(longest_path(&module).unwrap().1, ["from[1]", "to"]);
    }

    #[test]
    fn combinational_loop_is_an_error() {
        let cells = [lut("a", [1, 2], 3), lut("b", [3, 3], 1)].join(",");
        assert!(longest_path(&module(&cells)).is_err());
    }

    #[test]
    fn unknown_cell_is_an_error() {
        let cells = lut("a", [1, 2], 3).replace("LUT2", "PLL");
        assert!(area_of(&module(&cells)).unwrap_err().to_string().contains("PLL"));
    }
}
