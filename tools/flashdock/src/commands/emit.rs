//! `emit`: the SystemVerilog of a block, or of the whole controller with everything that somebody needs who builds it in.

use crate::bundle;
use crate::failure::{Failure, Result};
use crate::output::{self, Align, Table};
use flash_hw::flash_path;
use nvme_hw::Config;
use rtl_hdl::{elaborate, Block, Design, SourceFile};
use serde::Serialize;
use soc_map::HARTS_MAX;
use soc_tile::{RocketTile, Texts, Tile};
use soc_top::{Entry, Soc, CATALOGUE};
use std::fs;
use std::path::{Path, PathBuf};

/// Write the SystemVerilog of a block and everything inside it
///
/// Without `--out` all modules go to standard output, each after those that it contains.
#[derive(clap::Args)]
pub struct Args {
    /// Which block
    #[arg(required_unless_present_any = ["list", "bundle"])]
    block: Option<String>,
    /// In which configuration
    #[arg(long, value_enum, default_value_t = Named::Default)]
    config: Named,
    /// List the blocks
    #[arg(long, conflicts_with_all = ["block", "out"])]
    list: bool,
    /// Write one file for each module into this folder, which is made if it is not there
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Write the controller to take away into this folder: SystemVerilog, file list, port guide, example, smoke test, licence
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["block", "list", "out", "json"])]
    bundle: Option<PathBuf>,
    /// Replace the files of a bundle that is there
    #[arg(long, requires = "bundle", conflicts_with = "block")]
    force: bool,
    /// Print JSON: the list, or the names and texts of the files
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

/// A configuration by name.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Named {
    /// Short queues and small tables, for tests
    Small,
    /// What the demonstration and the bench run
    Default,
}

impl Named {
    fn config(self) -> Config {
        match self {
            Named::Small => Config::SMALL,
            Named::Default => Config::DEFAULT,
        }
    }
}

/// Does what `args` ask for.
pub fn run(args: &Args) -> Result {
    let config = args.config.config();
    if let Some(folder) = &args.bundle {
        return write_bundle(folder, config, args.force);
    }
    match &args.block {
        None => list(config, args.json),
        Some(name) => {
            let block = if name == SOC { soc(config)? } else { (find(name)?.make)(config) };
            let design = design_of(&*block)?;
            let files = rtl_hdl::emit(&design);
            match &args.out {
                Some(folder) => write_files(folder, &files, &rtl_hdl::licences(&design)),
                None => print_files(&files, args.json),
            }
        }
    }
}

/// The whole device with its processors, which are fetched when somebody asks for it.
const SOC: &str = "soc";

fn soc(config: Config) -> Result<Box<dyn Block>> {
    let failed = |error: String| Failure::new(error, "correct that and run the same command again");
    let rocket = sim_verilator::Toolchain::from_env().rocket().map_err(|error| failed(error.to_string()))?;
    let texts = Texts { modules: &rocket.modules, memories: &rocket.memories, licence: &rocket.licence };
    let tile = RocketTile::read(texts).map_err(|error| failed(error.to_string()))?;
    Ok(Box::new(Soc::new(config, flash_path::Config::DEFAULT, HARTS_MAX, Tile::new(tile))))
}

fn find(name: &str) -> Result<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = CATALOGUE.iter().map(|entry| entry.name).chain([SOC]).collect();
        Failure::new(
            format!("there is no block `{name}`; there are {}", names.join(", ")),
            format!("`{}` says what each is", output::command("emit --list")),
        )
    })
}

fn design_of(block: &dyn Block) -> Result<Design> {
    elaborate(block).map_err(|problems| {
        let what = format!("the hardware description of `{}` has mistakes", block.name());
        Failure::new(what, "correct them in its source").with_detail(problems)
    })
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    about: String,
}

fn list(config: Config, json: bool) -> Result {
    let listed = |entry: &Entry| Listed { name: entry.name, about: (entry.make)(config).description() };
    let mut blocks: Vec<Listed> = CATALOGUE.iter().map(listed).collect();
    let about = format!("The device with {HARTS_MAX} RISC-V harts, which are fetched for it, and what joins them.");
    blocks.push(Listed { name: SOC, about });
    if json {
        return output::print_json(&blocks);
    }
    let mut table = Table::new(&[Align::Left, Align::Left]);
    for block in blocks {
        table.row([block.name.to_owned(), block.about]);
    }
    output::print(&table.text(0))
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

fn print_files(files: &[SourceFile], json: bool) -> Result {
    if json {
        let files: Vec<File> = files.iter().map(|file| File { name: &file.name, text: &file.text }).collect();
        return output::print_json(&files);
    }
    let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
    output::print(&texts.join("\n"))
}

fn write_bundle(folder: &Path, config: Config, force: bool) -> Result {
    let files = bundle::files(config)?;
    bundle::write(folder, &files, force)?;
    let count = files.len();
    output::print(&format!("{count} files written to {}; README.md says how to go on\n", folder.display()))
}

fn write_files(folder: &Path, files: &[SourceFile], licences: &[SourceFile]) -> Result {
    fs::create_dir_all(folder).map_err(|error| output::cannot_write(folder, &error))?;
    for file in files.iter().chain(licences) {
        output::write_file(&folder.join(&file.name), file.text.as_bytes())?;
    }
    let lines: usize = files.iter().map(|file| file.text.lines().count()).sum();
    let lines = output::thousands(lines as u64);
    output::print(&format!("{} modules, {lines} lines, written to {}\n", files.len(), folder.display()))
}
