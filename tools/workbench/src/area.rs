//! `cargo xtask area`: what blocks cost, and their longest paths.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail, Result};
use nvme_hw::Config;
use rtl_hdl::{elaborate, emit, Block};
use sim_toolchain::Toolchain;
use sim_yosys::area::{Area, Measured};
use soc_top::{CATALOGUE, TOPS};

/// How a measurement is printed.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// As JSON.
    pub json: bool,
    /// With the signals on the longest path.
    pub paths: bool,
}

/// Measures these blocks of the catalogue, or all of them, and prints a table or JSON.
pub fn run(names: &[String], output: Output) -> Result<()> {
    let measured = measure_all(&chosen(names)?)?;
    if output.json {
        let object: BTreeMap<_, _> = measured.into_iter().map(|(name, measured)| (name, measured.area)).collect();
        println!("{}", serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    print!("{}", table(&measured));
    if output.paths {
        for (name, measured) in &measured {
            println!("\n{name}, longest path:\n  {}", measured.path.join("\n  "));
        }
    }
    Ok(())
}

/// The blocks of these names in the default configuration.
fn chosen(names: &[String]) -> Result<Vec<(&'static str, Box<dyn Block>)>> {
    let known: Vec<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no block `{unknown}`; there are: {}", known.join(", "));
    }
    let wanted = |name: &str| match names {
        [] => !TOPS.contains(&name),
        names => names.iter().any(|other| other == name),
    };
    let chosen = CATALOGUE.iter().filter(|entry| wanted(entry.name));
    Ok(chosen.map(|entry| (entry.name, (entry.make)(Config::DEFAULT))).collect())
}

fn measure_all(blocks: &[(&'static str, Box<dyn Block>)]) -> Result<Vec<(String, Measured)>> {
    let sources = blocks.iter().map(|(_, block)| verilog(&**block)).collect::<Result<Vec<_>>>()?;
    eprintln!(
        "measuring {} block(s) with yosys; the whole controller takes a minute, the whole flash many",
        blocks.len()
    );
    let measured = sim_yosys::area::measure_all(&Toolchain::from_env(), &sources)?;
    Ok(blocks.iter().map(|(name, _)| (*name).to_owned()).zip(measured).collect())
}

/// The SystemVerilog of a block, and its top module.
pub fn verilog(block: &dyn Block) -> Result<(String, String)> {
    let design = elaborate(block).map_err(|problems| anyhow!("{}: {problems}", block.name()))?;
    Ok((emit(&design).into_iter().map(|file| file.text).collect(), design.top().name.clone()))
}

/// Measured blocks as a Markdown table, aligned to be read as it is, too.
pub fn table(rows: &[(String, Measured)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "| {:width$} | {:>6} | {:>6} | {:>6} | {:>5} | {:>4} | {:>4} | {:17} | from, to |\n",
        "block", "LUT", "LUTRAM", "FF", "BRAM", "URAM", "DSP", "longest path"
    );
    let dashes = "-".repeat(width);
    text.push_str(&format!(
        "|-{dashes}-|-------:|-------:|-------:|------:|-----:|-----:|-------------------|----------|\n"
    ));
    for (name, Measured { area, path }) in rows {
        let Area { lut, lut_ram, ff, bram, uram, dsp, lut_levels, carry_levels } = area;
        let levels = format!("{lut_levels} LUT, {carry_levels} CARRY4");
        let ends = match &path[..] {
            [] => String::new(),
            [only] => format!("`{only}`"),
            [from, .., to] => format!("`{from}`, `{to}`"),
        };
        text.push_str(&format!(
            "| {name:width$} | {lut:>6} | {lut_ram:>6} | {ff:>6} | {bram:>5} | {uram:>4} | {dsp:>4} | {levels:17} | {ends} |\n"
        ));
    }
    text
}
