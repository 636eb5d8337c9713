//! `flash-map`: what is in each block, die by die.

use crate::failure::{Failure, Result};
use crate::flash::{self, DriveReport, Source};
use crate::flash_picture::{self, Die, Units};
use crate::output::{self, Paint};
use serde::Serialize;
use sim_flash::{FlashDrive, Owned};
use std::path::PathBuf;

/// Show what is in each block of the flash, die by die: valid, invalid, free, bad
///
/// A line is a die, and a letter the blocks of a number in all planes of the die: they are written, collected and erased together. Colours are for
/// terminals, and NO_COLOR turns them off. The drive is powered up for it, and its image stays as it is.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Draw the picture into this file (SVG), with a column for each block, instead of letters
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON: the units of each die
    #[arg(long, conflicts_with = "svg")]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    drive: DriveReport,
    units: Units,
    dies: Vec<Die>,
}

/// Shows it.
pub fn run(args: &Args) -> Result {
    if let Some(path) = &args.svg {
        if path.extension().is_none_or(|extension| extension != "svg") {
            return Err(Failure::new(
                format!("{} is no name of a picture", path.display()),
                "give `--svg` a name that ends in .svg",
            ));
        }
        output::check_replaceable(path)?;
    }
    let start = args.source.load()?;
    let config = start.config();
    let geometry = config.geometry;
    let mut memory = Owned::new(&config);
    let mut drive = start.power_up(&mut memory, 1)?;
    let blocks = drive.blocks().map_err(flash::stopped)?;
    let dies = flash_picture::dies(&geometry, &blocks);
    if let Some(path) = &args.svg {
        output::write_file(path, flash_picture::svg(&geometry, &dies).as_bytes())?;
        return output::print(&format!(
            "{} written to {}\n",
            output::count_text(dies.len() as u64, "die"),
            path.display()
        ));
    }
    let drive = DriveReport::new(&config);
    if args.json {
        return output::print_json(&Report { drive, units: flash_picture::sum(&dies), dies });
    }
    let title = Paint::stdout().strong("Blocks");
    output::print(&format!("{}\n{title}\n{}", drive.text(), flash_picture::text(&geometry, &dies, Paint::stdout())))
}
