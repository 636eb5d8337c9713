//! The drives of the flash commands: new ones and those of images, and what all of these commands say about one.

use crate::failure::{Failure, Result};
use crate::output::{self, Align, Paint, Table};
use flash_fw::{Config, Policy};
use flash_model::reference_ftl::Pattern;
use flash_spec::limits::{PAGE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::Geometry;
use serde::{Deserialize, Serialize};
use sim_flash::image::{ImageError, MAGIC};
use sim_flash::{Drive, FlashDrive, Image, Owned, Stopped, Use};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How large the flash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// 128 MiB in 2 x 2 dies, for a look
    Small,
    /// 768 MiB in 12 x 4 dies, for a memory of 1 GiB
    #[value(name = "1g")]
    Memory1,
    /// 3 GiB in 12 x 4 dies, for a memory of 4 GiB
    #[value(name = "4g")]
    Memory4,
    /// 48 GiB in 12 x 4 dies: takes minutes, and gigabytes of memory
    Full,
}

impl Size {
    /// Its parts.
    pub const fn geometry(self) -> Geometry {
        match self {
            // Few blocks would be all overhead: as many as the others have.
            Self::Small => Geometry { blocks_per_plane: Geometry::DEFAULT.blocks_per_plane, ..Geometry::SMALL },
            Self::Memory1 => Geometry::DEFAULT_1_GIB,
            Self::Memory4 => Geometry::DEFAULT_4_GIB,
            Self::Full => Geometry::DEFAULT,
        }
    }
}

/// Which super-block is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Collection {
    /// The one with the fewest valid units
    Greedy,
    /// The one for which age x invalid / valid is the greatest
    CostBenefit,
}

impl Collection {
    /// As firmware knows it.
    pub const fn policy(self) -> Policy {
        match self {
            Self::Greedy => Policy::Greedy,
            Self::CostBenefit => Policy::CostBenefit,
        }
    }
}

/// Which units are overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Overwrites {
    /// Each as often as the others
    Uniform,
    /// Nine of ten writes go to a tenth of the units
    HotCold,
}

impl Overwrites {
    /// As studies know it.
    pub const fn pattern(self) -> Pattern {
        match self {
            Self::Uniform => Pattern::Uniform,
            Self::HotCold => Pattern::HotCold,
        }
    }
}

/// The name of a value of the command line.
pub fn name_of(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Spare in percent that a drive may have.
pub const SPARE_MAX: u32 = 400;

/// A drive that is new.
#[derive(clap::Args, Clone, Copy)]
pub struct NewDrive {
    /// How large the flash of a new drive is
    #[arg(long, value_name = "SIZE", value_enum, default_value_t = Size::Memory1)]
    size: Size,
    /// How much of a new drive is spare, in percent of what the host sees, beside what the device needs for itself
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 15,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(SPARE_MAX)),
    )]
    spare: u32,
    /// Which super-block a new drive collects
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = Collection::Greedy)]
    policy: Collection,
}

impl NewDrive {
    /// What its firmware is told.
    pub fn config(&self) -> Result<Config> {
        config(self.size, self.spare, self.policy).ok_or_else(|| {
            Failure::new(
                format!("{} % of spare are too few for this size: one super-block has to be spare", self.spare),
                "give `--spare` a larger number, or another `--size`",
            )
        })
    }
}

/// A configuration, if it is one.
pub fn config(size: Size, spare_percent: u32, policy: Collection) -> Option<Config> {
    let all = Config { policy: policy.policy(), ..Config::new(size.geometry(), 100) };
    let config = sim_flash::study::with_spare(all, spare_percent);
    config.check().is_ok().then_some(config)
}

/// Where the drive comes from.
#[derive(clap::Args)]
pub struct Source {
    /// The image of the drive, as `age` or `restore` has written it [default: a new drive]
    #[arg(long, visible_alias = "from", value_name = "FILE", conflicts_with_all = ["size", "spare", "policy"])]
    pub image: Option<PathBuf>,
    #[command(flatten)]
    new: NewDrive,
}

/// A drive that can be powered up.
pub enum Start {
    /// Its flash was never used.
    New(Config),
    /// It was in use before.
    Used(Image),
}

impl Source {
    /// The drive.
    pub fn load(&self) -> Result<Start> {
        match &self.image {
            Some(path) => Ok(Start::Used(load(path)?)),
            None => Ok(Start::New(self.new.config()?)),
        }
    }
}

impl Start {
    /// What its firmware is told.
    pub fn config(&self) -> Config {
        match self {
            Self::New(config) => *config,
            Self::Used(image) => image.config,
        }
    }

    /// Powers it up; the seed chooses in which order things happen inside.
    pub fn power_up(self, memory: &mut Owned, seed: u64) -> Result<Drive<'_>> {
        let drive = match self {
            Self::New(config) => Drive::formatted(config, memory, seed),
            Self::Used(image) => Drive::restored(image, memory, seed),
        };
        drive.map_err(stopped)
    }
}

/// The image in a file.
pub fn load(path: &Path) -> Result<Image> {
    decode(path, &read(path)?)
}

/// The bytes of a file that may be an image.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let next = format!("name an image; `{}` makes one", output::command("age --image FILE"));
    let metadata = fs::metadata(path)
        .map_err(|error| Failure::new(format!("cannot read {name}: {}", output::reason(&error)), &next))?;
    if !metadata.is_file() {
        return Err(Failure::new(format!("{name} is not a file"), next));
    }
    fs::read(path).map_err(|error| Failure::new(format!("cannot read {name}: {}", output::reason(&error)), next))
}

/// The image in the bytes of a file.
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Image> {
    Image::from_bytes(bytes).map_err(|error| {
        let next = match error {
            ImageError::Foreign => format!("name an image; `{}` makes one", output::command("age --image FILE")),
            ImageError::Length { .. } | ImageError::Damaged => {
                format!(
                    "copy it again from where it came from, or go back to a checkpoint with `{}`",
                    output::command("restore")
                )
            }
            ImageError::Version(_) | ImageError::Impossible(_) => {
                format!("make it again with this program: `{}`", output::command("age --image FILE"))
            }
        };
        Failure::new(format!("{} is no image that can be used: {error}", path.display()), next)
    })
}

/// Refuses to put an image in the place of a file that is none.
pub fn check_target(path: &Path) -> Result {
    output::check_replaceable(path)?;
    let Ok(mut file) = fs::File::open(path) else { return Ok(()) };
    let mut start = [0; MAGIC.len()];
    if file.read_exact(&mut start).is_ok() && start == MAGIC {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} is there already and is no image", path.display()),
        "name another file, or remove it first",
    ))
}

/// Refuses to put an image in the place of anything, unless that is wanted.
pub fn check_new(path: &Path, force: bool) -> Result {
    if !force && path.exists() {
        return Err(Failure::new(
            format!("{} is there already", path.display()),
            "name another file, or give `--force`",
        ));
    }
    check_target(path)
}

/// Takes the power away and writes the image. Returns its size.
pub fn save(drive: impl FlashDrive, path: &Path) -> Result<u64> {
    let bytes = drive.save().map_err(stopped)?.to_bytes();
    output::write_file(path, &bytes)?;
    Ok(bytes.len() as u64)
}

/// The error for a drive that has stopped.
pub fn stopped(stopped: Stopped) -> Failure {
    match stopped {
        Stopped::ReadOnly => Failure::new(
            "the drive takes no more writes: its spare is used up",
            format!("`{}` shows its figures; go on with another drive", output::command("smart --image FILE")),
        ),
        Stopped::Unreadable => Failure::new(
            "a unit of the drive cannot be read",
            format!("`{}` shows how many; go back to a checkpoint", output::command("smart --image FILE")),
        ),
        Stopped::Mount(error) => Failure::new(
            format!("the drive does not come up: {}", error.message()),
            "go back to a checkpoint, or age a new drive",
        ),
        Stopped::Hangs | Stopped::NoPower => Failure::new(
            "the drive does not answer",
            "this is a defect of its firmware, and comes again with the same seed: report it",
        ),
    }
}

/// Pages of units as units, per unit that was written.
pub fn amplification(pages: u64, units: u64) -> Option<f64> {
    (units > 0).then(|| pages as f64 * f64::from(UNITS_PER_PAGE) / units as f64)
}

/// A figure with two decimals, or a dash.
pub fn two(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"))
}

/// What a drive is.
#[derive(Serialize)]
pub struct DriveReport {
    channels: u32,
    dies_per_channel: u32,
    planes_per_die: u32,
    blocks_per_plane: u32,
    pages_per_block: u32,
    page_bytes: u32,
    capacity_bytes: u64,
    units: u32,
    unit_bytes: u32,
    policy: &'static str,
}

impl DriveReport {
    /// From what its firmware is told.
    pub fn new(config: &Config) -> Self {
        let geometry = config.geometry;
        Self {
            channels: geometry.channels,
            dies_per_channel: geometry.dies_per_channel,
            planes_per_die: geometry.planes_per_die,
            blocks_per_plane: geometry.blocks_per_plane,
            pages_per_block: geometry.pages_per_block,
            page_bytes: PAGE_BYTES,
            capacity_bytes: u64::from(config.units) * u64::from(UNIT_BYTES),
            units: config.units,
            unit_bytes: UNIT_BYTES,
            policy: match config.policy {
                Policy::Greedy => "greedy",
                Policy::CostBenefit => "cost-benefit",
            },
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let Self { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block, .. } = self;
        let planes = u64::from(channels * dies_per_channel * planes_per_die);
        let bytes = planes * u64::from(blocks_per_plane * pages_per_block) * u64::from(self.page_bytes);
        let mut table = Table::new(&[Align::Left, Align::Left]);
        let parts = format!(
            "{}: {channels} x {dies_per_channel} dies of {planes_per_die} planes, {blocks_per_plane} blocks of {pages_per_block} pages",
            output::bytes_text(bytes)
        );
        let capacity = format!(
            "{}: {} of {}",
            output::bytes_text(self.capacity_bytes),
            output::count_text(self.units.into(), "unit"),
            output::bytes_text(self.unit_bytes.into())
        );
        table.row(["made of", "the firmware over the reference of its hardware, without time"]);
        table.row(["flash", &parts]);
        table.row(["capacity", &capacity]);
        table.row(["collects", self.policy]);
        format!("{}\n{}", Paint::stdout().strong("Drive"), table.text(2))
    }
}

/// The health of a drive.
#[derive(Serialize)]
pub struct Health {
    written_bytes: u64,
    programmed_bytes: u64,
    /// Of all that was programmed, ever: units, map, log, filler.
    write_amplification: Option<f64>,
    erases_least: u32,
    erases_mean: f64,
    erases_most: u32,
    blocks: u32,
    /// All of them have become so.
    bad_blocks: u32,
    program_failures: u32,
    erase_failures: u32,
    spare_bytes_left: u64,
    is_read_only: bool,
    unreadable_pages: u32,
    stuck_super_blocks: u32,
    rebuilt_map_pages: u32,
}

impl Health {
    /// As the drive tells it now.
    pub fn of(drive: &mut dyn FlashDrive) -> Result<Self> {
        let blocks = drive.blocks().map_err(stopped)?;
        let smart = drive.smart();
        let in_use = drive.config().geometry.blocks_per_plane - 1;
        Ok(Self {
            written_bytes: smart.written_units * u64::from(UNIT_BYTES),
            programmed_bytes: smart.programmed_pages * u64::from(PAGE_BYTES),
            write_amplification: amplification(smart.programmed_pages, smart.written_units),
            erases_least: smart.erases_least,
            erases_mean: smart.erases as f64 / f64::from(in_use),
            erases_most: smart.erases_most,
            blocks: blocks.len() as u32,
            bad_blocks: blocks.iter().filter(|block| block.purpose == Use::Bad).count() as u32,
            program_failures: smart.program_failures,
            erase_failures: smart.erase_failures,
            spare_bytes_left: u64::from(smart.spare_units) * u64::from(UNIT_BYTES),
            is_read_only: drive.is_read_only(),
            unreadable_pages: smart.unreadable_pages,
            stuck_super_blocks: smart.stuck_super_blocks,
            rebuilt_map_pages: smart.rebuilt_map_pages,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let paint = Paint::stdout();
        let mut table = Table::new(&[Align::Left, Align::Left]);
        let row = |table: &mut Table, name: &str, value: String| table.row([name.to_owned(), value]);
        row(&mut table, "written by the host", output::bytes_text(self.written_bytes));
        row(
            &mut table,
            "programmed",
            format!("{}, with map, log and filler", output::bytes_text(self.programmed_bytes)),
        );
        row(&mut table, "write amplification", two(self.write_amplification));
        let erases = format!("{} to {}, {:.1} on average", self.erases_least, self.erases_most, self.erases_mean);
        row(&mut table, "erases of a block", erases);
        row(
            &mut table,
            "grown bad blocks",
            format!("{} of {}", self.bad_blocks, output::thousands(self.blocks.into())),
        );
        row(&mut table, "failures", format!("{} programs, {} erases", self.program_failures, self.erase_failures));
        row(&mut table, "spare left", output::bytes_text(self.spare_bytes_left));
        let state = if self.is_read_only { paint.bad("no: read-only") } else { paint.good("yes") };
        row(&mut table, "takes writes", state);
        for (name, count) in [
            ("unreadable pages", self.unreadable_pages),
            ("stuck super-blocks", self.stuck_super_blocks),
            ("map pages rebuilt", self.rebuilt_map_pages),
        ] {
            if count > 0 {
                row(&mut table, name, format!("{} since power-up", paint.bad(count)));
            }
        }
        format!("{}\n{}", paint.strong("SMART"), table.text(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_size_is_a_drive_with_the_usual_spares() {
        for size in Size::value_variants() {
            assert_eq!(size.geometry().check(), Ok(()));
            for spare in [7, 15, 28, SPARE_MAX] {
                for policy in Collection::value_variants() {
                    assert!(config(*size, spare, *policy).is_some(), "{size:?} {spare}");
                }
            }
        }
    }
}
