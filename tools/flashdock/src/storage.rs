//! Where the blocks of a device lie: in its memory, or in flash.

use crate::backend;
use crate::failure::{Failure, Result};
use crate::flash::{self, Collection, Size, Start};
use crate::output;
use flash_fw::Config;
use flash_hw::flash_path;
use flash_spec::limits::UNIT_BYTES;
use flash_spec::{Geometry, Preset};
use nvme_spec::limits::CORE_HZ;
use serde::{Deserialize, Serialize};
use sim_cosim::{FlashContents, FlashOptions, SHARED_BYTES, SPARE_BYTES};
use sim_flash::Image;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// What holds the blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The memory of the device
    #[default]
    Direct,
    /// Emulated flash, with its cache, its map and its firmware
    Flash,
}

/// How long things take in the flash: see [`Preset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// As in MLC flash
    SimplessdMlc,
    /// Nothing: what is left is what the device itself takes
    Scm,
    /// As in MLC flash, divided by 32
    Sim,
}

impl Times {
    /// As the specification of the flash knows it.
    pub const fn preset(self) -> Preset {
        match self {
            Self::SimplessdMlc => Preset::SimplessdMlc,
            Self::Scm => Preset::Scm,
            Self::Sim => Preset::Sim,
        }
    }
}

/// Of new flash in a device, what is spare, in percent of what the host sees: as `age` has it, too.
const SPARE_PERCENT: u32 = 15;

/// Where the blocks lie.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(id = "storage_options")]
pub struct Args {
    /// Where the blocks lie
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = Kind::Direct)]
    pub storage: Kind,
    /// How long things take in the flash. Whoever waits for simulated flash wants `sim`, in which everything is as long as something else as it is in MLC
    /// flash; latencies are those of such flash with `simplessd-mlc` alone [default: sim]
    #[arg(long, value_name = "PRESET", value_enum)]
    pub preset: Option<Times>,
    /// How large the flash is: the first device with a size is built, which takes minutes for 12 channels [default: 1g]
    #[arg(long, value_name = "SIZE", value_enum)]
    pub flash_size: Option<Size>,
    /// What is in the flash: an image or a checkpoint, as `age`, `checkpoint` and `restore` write it; the file stays as it is. Each 8 bytes of a unit are the
    /// number that the drive of the image has there. New flash answers reads without looking into it [default: new flash]
    #[arg(long, value_name = "FILE", conflicts_with = "flash_size")]
    pub from: Option<PathBuf>,
}

/// Flash, and what is in it.
#[derive(Clone, Debug)]
pub struct Flash {
    /// How long things take.
    pub times: Times,
    /// How large it is.
    size: Size,
    /// What its firmware is told.
    config: Config,
    /// What is in it.
    image: Option<Arc<Image>>,
}

/// Flash that is new, as a recording has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFlash {
    times: Times,
    size: Size,
}

impl From<NewFlash> for Flash {
    fn from(NewFlash { times, size }: NewFlash) -> Self {
        let config = flash::config(size, SPARE_PERCENT, Collection::Greedy).expect("every size has that much");
        Self { times, size, config, image: None }
    }
}

impl Args {
    /// The flash of a device of this kind, if it has any.
    pub fn load(&self, back_end: backend::Kind) -> Result<Option<Flash>> {
        if self.storage == Kind::Direct {
            let options = [
                ("--preset", self.preset.is_some()),
                ("--flash-size", self.flash_size.is_some()),
                ("--from", self.from.is_some()),
            ];
            return match options.into_iter().find(|(_, is_given)| *is_given) {
                Some((name, _)) => Err(Failure::new(
                    format!("`{name}` is of flash, and the blocks lie in the memory of the device"),
                    format!("give `--storage flash`, or leave `{name}` out"),
                )),
                None => Ok(None),
            };
        }
        if back_end == backend::Kind::Model {
            return Err(Failure::new(
                "the reference model of the controller has no flash",
                format!(
                    "leave `--storage` or `--back-end` out; `{}` has a model of the flash",
                    output::command("replay --help")
                ),
            ));
        }
        let times = self.preset.unwrap_or(Times::Sim);
        let Some(path) = &self.from else {
            let size = self.flash_size.unwrap_or(Size::Memory1);
            check_size(size, "give `--flash-size 4g`, or less")?;
            return Ok(Some(NewFlash { times, size }.into()));
        };
        Flash::of(Start::Used(flash::load(path)?), times).map(Some)
    }

    /// These arguments again, for another process.
    pub fn to_command_line(&self) -> Vec<OsString> {
        let mut all: Vec<OsString> = vec!["--storage".into(), flash::name_of(self.storage).into()];
        let preset = self.preset.map(|preset| ("--preset", OsString::from(flash::name_of(preset))));
        let size = self.flash_size.map(|size| ("--flash-size", flash::name_of(size).into()));
        let from = self.from.as_ref().map(|path| ("--from", path.clone().into_os_string()));
        let given = [preset, size, from].into_iter().flatten();
        all.extend(given.flat_map(|(name, value)| [name.into(), value]));
        all
    }
}

/// Hardware is made for these sizes alone.
fn size_of(geometry: &Geometry) -> Result<Size> {
    let sizes = <Size as clap::ValueEnum>::value_variants();
    sizes.iter().copied().find(|size| size.geometry() == *geometry).ok_or_else(|| {
        Failure::new(
            "the flash of the image has none of the sizes that a device has",
            format!("`{}` makes an image of one that has", output::command("age --size SIZE --image FILE")),
        )
    })
}

/// What stands for the flash has to fit a memory.
fn check_size(size: Size, next: &str) -> Result {
    let bytes = size.geometry().bytes();
    if bytes <= soc_map::DRAM.bytes {
        return Ok(());
    }
    let room = output::bytes_text(soc_map::DRAM.bytes);
    Err(Failure::new(
        format!("flash of {} does not fit the memory that stands for it, which has {room}", output::bytes_text(bytes)),
        next,
    ))
}

/// The cache of the flash: small, so that little has to be written until it is full.
pub const CACHE_BYTES: u64 = 4 << 20;

/// The hardware of flash with so many units: that which `bench flash` measures, too.
pub const fn hardware(geometry: Geometry, units: u32) -> flash_path::Config {
    flash_path::Config {
        geometry,
        units,
        lines: CACHE_BYTES as u32 / UNIT_BYTES,
        commands: 64,
        map_lines: 1024,
        patience: 25_000,
    }
}

impl Flash {
    /// The flash of a drive that the model has been powered up with until now.
    pub fn of(start: Start, times: Times) -> Result<Self> {
        let config = start.config();
        let size = size_of(&config.geometry)?;
        check_size(size, "give `--size 4g`, or less, to `age` or here")?;
        let image = match start {
            Start::New(_) => None,
            Start::Used(image) => Some(Arc::new(image)),
        };
        Ok(Self { times, size, config, image })
    }

    /// What the host sees of it, in bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.config.units) * u64::from(UNIT_BYTES)
    }

    /// What it is made of, and how it behaves. The hardware is the same, however much of it is spare.
    pub fn options(&self) -> FlashOptions {
        let geometry = self.size.geometry();
        let units = Config::new(geometry, 100).units_max();
        FlashOptions {
            path: hardware(geometry, units),
            clocks: self.times.preset().clocks(CORE_HZ),
            reliability: self
                .image
                .as_ref()
                .map_or(flash_spec::Reliability::DEFAULT, |image| *image.array.reliability()),
        }
    }

    /// What is in it.
    pub fn contents(&self) -> FlashContents {
        match &self.image {
            Some(image) => image.contents(&self.options().path),
            None => FlashContents { config: self.config, medium: None },
        }
    }

    /// The largest private namespace, in bytes: whole MiB of what the sharable one and what is unallocated leave.
    pub fn namespace_bytes_max(&self) -> u64 {
        self.bytes().saturating_sub(SHARED_BYTES + SPARE_BYTES) >> 20 << 20
    }

    /// As a recording has it: only if it is new.
    pub fn as_new(&self) -> Option<NewFlash> {
        self.image.is_none().then_some(NewFlash { times: self.times, size: self.size })
    }

    /// One line for people.
    pub fn text(&self) -> String {
        let Geometry { channels, dies_per_channel, .. } = self.size.geometry();
        let state = if self.image.is_some() { "used" } else { "new" };
        let bytes = output::bytes_text(self.size.geometry().bytes());
        let preset = self.times.preset().name();
        format!("{state} flash: {bytes} in {channels} x {dies_per_channel} dies, preset {preset}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn presets_have_the_names_of_the_specification() {
        for times in Times::value_variants() {
            assert_eq!(flash::name_of(*times), times.preset().name());
        }
        assert_eq!(Times::value_variants().len(), Preset::ALL.len());
    }

    #[test]
    fn every_size_that_fits_has_a_namespace() {
        for size in Size::value_variants() {
            let flash = Flash::from(NewFlash { times: Times::Sim, size: *size });
            assert_eq!(check_size(*size, "").is_err(), *size == Size::Full);
            assert!(flash.config.units <= flash.options().path.units);
            assert!(flash.namespace_bytes_max() >= 32 << 20, "{size:?}");
        }
    }
}
