//! `checkpoint` and `restore`: a drive as it is now, and again later.

use crate::failure::{Failure, Result};
use crate::flash::{self, DriveReport, Health, Start};
use crate::output;
use crate::progress::Progress;
use sim_flash::{FlashDrive, Owned};
use std::path::{Path, PathBuf};

/// Keep a drive as it is now, to come back to it with `restore`
///
/// The drive is powered up and each of its units is read: a checkpoint is one that works. The image stays as it is. A checkpoint is an image, too, and
/// what reads one reads the other.
#[derive(clap::Args)]
pub struct CheckpointArgs {
    /// The image of the drive
    image: PathBuf,
    /// The checkpoint to write
    checkpoint: PathBuf,
    /// Replace a checkpoint that is there
    #[arg(long)]
    force: bool,
}

/// Bring a drive back to a checkpoint
///
/// The checkpoint is checked as `checkpoint` does. The image is replaced as a whole or not at all, and only if it is one.
#[derive(clap::Args)]
pub struct RestoreArgs {
    /// The checkpoint
    checkpoint: PathBuf,
    /// The image of the drive, which need not be there
    image: PathBuf,
}

/// Writes a checkpoint.
pub fn checkpoint(args: &CheckpointArgs) -> Result {
    let bytes = flash::read(&args.image)?;
    flash::check_new(&args.checkpoint, args.force)?;
    copy(&args.image, &bytes, &args.checkpoint)
}

/// Writes an image.
pub fn restore(args: &RestoreArgs) -> Result {
    let bytes = flash::read(&args.checkpoint)?;
    flash::check_target(&args.image)?;
    copy(&args.checkpoint, &bytes, &args.image)
}

/// Copies an image if the drive in it works.
fn copy(from: &Path, bytes: &[u8], to: &Path) -> Result {
    let start = Start::Used(flash::decode(from, bytes)?);
    let config = start.config();
    let mut memory = Owned::new(&config);
    let mut drive = start.power_up(&mut memory, 1)?;
    let mut progress = Progress::new("units", config.units.into());
    let mut used = 0_u64;
    for unit in 0..config.units {
        let data = FlashDrive::read(&mut drive, unit).map_err(|stopped| {
            Failure::new(
                format!("{}: unit {unit} cannot be read: {stopped:?}", from.display()),
                "go back to an earlier checkpoint; nothing was written",
            )
        })?;
        used += u64::from(data.is_some());
        progress.advance(1);
    }
    drop(progress);
    let health = Health::of(&mut drive)?;
    output::write_file(to, bytes)?;
    output::print(&format!(
        "{}\n{}\n{} of {} in use, and all can be read; written to {}: {}\n",
        DriveReport::new(&config).text(),
        health.text(),
        output::count_text(used, "unit"),
        output::thousands(config.units.into()),
        to.display(),
        output::bytes_text(bytes.len() as u64)
    ))
}
