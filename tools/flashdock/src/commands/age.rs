//! `age`: a drive as it is after long use.

use crate::failure::Result;
use crate::flash::{self, DriveReport, Health, NewDrive, Overwrites, Start};
use crate::output::{self, Align, Paint, Table};
use crate::progress::Progress;
use serde::Serialize;
use sim_flash::age::{Aged, Ageing, ROUNDS_MAX};
use sim_flash::Owned;
use std::path::PathBuf;

/// Fill and overwrite a new drive until it is in the steady state of a used one, and keep it in an image
///
/// A new drive is fast and has nothing to collect; what a drive does after months is seen only when it was overwritten several times. `replay`,
/// `smart`, `flash-map` and `checkpoint` go on with the image. The firmware is the real one; the hardware under it is the reference, without time: so
/// there are counts, and no latencies.
#[derive(clap::Args)]
pub struct Args {
    /// Write the drive to this image [default: nothing is kept]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Replace an image that is there
    #[arg(long, requires = "image")]
    force: bool,
    /// How much of what the host sees is filled, from its beginning, in percent; the rest is never written
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    fill: u32,
    /// How often what is filled is overwritten [default: until write amplification is steady, at most 20 times]
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(0..=1000))]
    overwrites: Option<u32>,
    /// Nine of ten overwrites go to a tenth of the units, instead of anywhere
    #[arg(long)]
    hot_cold: bool,
    /// Chooses which units are overwritten
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    new: NewDrive,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const _: () = assert!(ROUNDS_MAX == 20, "the help says so");

#[derive(Serialize)]
struct Report {
    drive: DriveReport,
    filled_units: u32,
    workload: String,
    seed: u64,
    /// Of each time that all was overwritten: units and moves.
    write_amplification: Vec<f64>,
    /// Of the last time, with map, log and filler.
    write_amplification_with_records: Option<f64>,
    is_steady: bool,
    smart: Health,
    image: Option<PathBuf>,
    image_bytes: Option<u64>,
}

/// Ages a drive.
pub fn run(args: &Args) -> Result {
    let config = args.new.config()?;
    if let Some(path) = &args.image {
        flash::check_new(path, args.force)?;
    }
    let workload = if args.hot_cold { Overwrites::HotCold } else { Overwrites::Uniform };
    let ageing =
        Ageing { fill_percent: args.fill, rounds: args.overwrites, pattern: workload.pattern(), seed: args.seed };
    let mut memory = Owned::new(&config);
    let mut drive = Start::New(config).power_up(&mut memory, args.seed)?;
    let rounds = 1 + u64::from(args.overwrites.unwrap_or(ROUNDS_MAX));
    let mut progress = Progress::new("units", rounds * u64::from(ageing.units(config.units)));
    let aged = sim_flash::age::age(&mut drive, &ageing, || progress.advance(1)).map_err(flash::stopped)?;
    drop(progress);
    let smart = Health::of(&mut drive)?;
    let image_bytes = args.image.as_deref().map(|path| flash::save(drive, path)).transpose()?;
    let report = Report::new(args, &aged, DriveReport::new(&config), smart, image_bytes);
    if args.json {
        return output::print_json(&report);
    }
    output::print(&report.text())
}

impl Report {
    fn new(args: &Args, aged: &Aged, drive: DriveReport, smart: Health, image_bytes: Option<u64>) -> Self {
        let has_rounds = !aged.write_amplifications.is_empty();
        Self {
            drive,
            filled_units: aged.units,
            workload: flash::name_of(if args.hot_cold { Overwrites::HotCold } else { Overwrites::Uniform }),
            seed: args.seed,
            write_amplification: aged.write_amplifications.clone(),
            write_amplification_with_records: has_rounds.then_some(aged.with_records),
            is_steady: aged.is_steady(),
            smart,
            image: args.image.clone(),
            image_bytes,
        }
    }

    fn text(&self) -> String {
        let mut table = Table::new(&[Align::Left, Align::Left]);
        let times = output::count_text(self.write_amplification.len() as u64, "time");
        let steady = if self.is_steady { "steady" } else { "not yet steady" };
        table.row(["filled".to_owned(), output::count_text(self.filled_units.into(), "unit")]);
        table.row(["overwritten".to_owned(), format!("{times}, {}, seed {}", self.workload, self.seed)]);
        if let Some(last) = self.write_amplification.last() {
            let each: Vec<String> = self.write_amplification.iter().map(|figure| format!("{figure:.2}")).collect();
            table.row(["write amplification".to_owned(), format!("{last:.2} of the last time: {steady}")]);
            table.row(["  of each time".to_owned(), each.join(" ")]);
            let with_records = flash::two(self.write_amplification_with_records);
            table.row(["  with map, log and filler".to_owned(), with_records]);
        }
        let kept = match (&self.image, self.image_bytes) {
            (Some(path), Some(bytes)) => format!("written to {}: {}\n", path.display(), output::bytes_text(bytes),),
            _ => "nothing is kept: `--image FILE` writes the drive to a file\n".to_owned(),
        };
        let title = Paint::stdout().strong("Ageing");
        format!("{}\n{title}\n{}\n{}\n{kept}", self.drive.text(), table.text(2), self.smart.text())
    }
}
