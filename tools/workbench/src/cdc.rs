//! `cargo xtask cdc`: every place where a value goes from one clock domain to another, with what makes it safe.

use anyhow::{anyhow, bail, ensure, Result};
use nvme_hw::Config;
use rtl_hdl::cdc::{crossings, Place};
use rtl_hdl::elaborate;
use soc_top::CATALOGUE;

/// Prints the crossings of these blocks of the catalogue, or of all, and fails if one is fed through logic.
pub fn run(names: &[String]) -> Result<()> {
    let known: Vec<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no block `{unknown}`; there are: {}", known.join(", "));
    }
    let (mut glitches, mut places, mut single) = (0, 0, Vec::new());
    for entry in CATALOGUE.iter().filter(|entry| names.is_empty() || names.iter().any(|name| name == entry.name)) {
        let block = (entry.make)(Config::DEFAULT);
        let design = elaborate(&*block).map_err(|problems| anyhow!("{}: {problems}", entry.name))?;
        let found = crossings(&design);
        if found.is_empty() {
            single.push(entry.name);
            continue;
        }
        println!("{}", entry.name);
        for place in &found {
            print!("{}", text(place));
        }
        places += found.len();
        glitches += found.iter().filter(|place| place.glitch.is_some()).count();
    }
    if !single.is_empty() {
        println!("no crossings: {}", single.join(", "));
    }
    println!("{places} crossings, {glitches} of them fed through logic");
    ensure!(glitches == 0, "a synchroniser that is fed through logic may catch a glitch: put a register before it");
    Ok(())
}

fn text(place: &Place) -> String {
    let from: Vec<String> = place.from.iter().map(ToString::to_string).collect();
    let (file, line) = (place.source.file(), place.source.line());
    let mut text =
        format!("  {} -> {}\n    {}: {} ({file}:{line})\n", from.join(", "), place.to, place.through, place.why);
    if let Some(glitch) = &place.glitch {
        text.push_str(&format!("    GLITCH: {glitch} is computed on the way\n"));
    }
    text
}
