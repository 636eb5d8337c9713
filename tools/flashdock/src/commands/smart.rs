//! `smart`: the health of a drive.

use crate::failure::Result;
use crate::flash::{DriveReport, Health, Source};
use crate::output;
use serde::Serialize;
use sim_flash::Owned;

/// Print what a drive tells about its health: writes, write amplification, wear, bad blocks, spare
///
/// The drive is powered up for it, and its image stays as it is. Counts are those of its whole life, but for those that say since power-up.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    drive: DriveReport,
    smart: Health,
}

/// Prints it.
pub fn run(args: &Args) -> Result {
    let start = args.source.load()?;
    let config = start.config();
    let mut memory = Owned::new(&config);
    let mut drive = start.power_up(&mut memory, 1)?;
    let report = Report { drive: DriveReport::new(&config), smart: Health::of(&mut drive)? };
    if args.json {
        return output::print_json(&report);
    }
    output::print(&format!("{}\n{}", report.drive.text(), report.smart.text()))
}
