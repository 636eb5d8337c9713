//! The device that is offered to real software: how it is asked for, made, recorded and made again.

use crate::backend::{self, BackEnd, Kind, Settings};
use crate::failure::{Failure, Result};
use crate::output;
use crate::storage::{self, Flash, NewFlash};
use nvme_model::Config as ModelConfig;
use serde::{Deserialize, Serialize};
use sim_bridge::{AddressBits, Bridge, Host, Identity, Recorder, StartError};
use sim_device::{HostMemory, Image, ImageError, ModelDevice};
use std::path::PathBuf;

/// The functions that the device has.
const FUNCTIONS: u8 = nvme_hw::Config::DEFAULT.functions as u8;

/// What device software gets.
#[derive(clap::Args, Clone)]
#[group(id = "device")]
pub struct Args {
    /// Which device
    #[arg(long, value_name = "DEVICE", value_enum, default_value_t = Kind::Verilated)]
    back_end: Kind,
    /// PCI functions that are offered: the second sees the sharable namespace alone
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(FUNCTIONS)))]
    functions: u8,
    /// Size of the private namespace in MiB; what nobody wrote takes no room [default: 256, or all that the flash has room for]
    #[arg(
        long,
        value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=(backend::NAMESPACE_BYTES_MAX - sim_cosim::SHARED_BYTES - sim_cosim::SPARE_BYTES) >> 20),
    )]
    size: Option<u64>,
    #[command(flatten)]
    storage: storage::Args,
    /// Keep the blocks in this file, and find them again in the next run; made if it is not there
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Record everything that reaches the device, for `replay-inputs`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Chooses what the specification leaves to the device
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// How a device is made: what a recording begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The version of this program.
    version: String,
    back_end: Kind,
    namespace_bytes: u64,
    #[serde(default)]
    flash: Option<NewFlash>,
    seed: u64,
}

impl Description {
    /// From the text in a recording.
    pub fn parse(text: &str) -> Result<Self> {
        let description: Self = serde_json::from_str(text).map_err(|error| {
            Failure::new(format!("the recording does not say how its device was made: {error}"), "record the run again")
        })?;
        if description.version != env!("CARGO_PKG_VERSION") {
            return Err(Failure::new(
                format!(
                    "the recording was made by version {}, and this is {}",
                    description.version,
                    env!("CARGO_PKG_VERSION")
                ),
                "replay it with the version that made it",
            ));
        }
        Ok(description)
    }

    /// The device after power-on. One that can write waveforms is slower.
    pub fn make(&self, trace: bool) -> Result<BackEnd> {
        self.make_with(self.flash.map(Flash::from), trace)
    }

    fn make_with(&self, flash: Option<Flash>, trace: bool) -> Result<BackEnd> {
        let Self { back_end, namespace_bytes, seed, .. } = *self;
        let settings = Settings { namespace_bytes, flash, ..Settings::new(back_end, seed) };
        match back_end {
            Kind::Model => {
                let two = ModelConfig::TWO_FUNCTIONS;
                let blocks = namespace_bytes / u64::from(two.lba_bytes);
                let device = ModelDevice::new(ModelConfig { blocks, seed, ..two }, HostMemory::new());
                Ok(BackEnd::Model(Box::new(device)))
            }
            Kind::Verilated if trace => {
                backend::verilated(&settings, true).map(|device| BackEnd::Verilated(Box::new(device)))
            }
            Kind::Verilated | Kind::Evaluator => BackEnd::new(&settings),
        }
    }
}

impl Args {
    /// A device as it is without arguments, but for its back end.
    pub fn of(back_end: Kind) -> Self {
        let storage = storage::Args::default();
        Self { back_end, functions: 1, size: None, storage, image: None, record: None, seed: 1 }
    }

    /// Functions that are offered.
    pub const fn functions(&self) -> u8 {
        self.functions
    }

    /// These arguments again, for another process.
    pub fn to_command_line(&self) -> Vec<std::ffi::OsString> {
        let name = clap::ValueEnum::to_possible_value(&self.back_end).expect("no kind is hidden").get_name().to_owned();
        let mut all = vec!["--back-end".into(), name.into()];
        let numbers =
            [("--functions", Some(u64::from(self.functions))), ("--size", self.size), ("--seed", Some(self.seed))];
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?)));
        all.extend(numbers.flat_map(|(name, value)| [name.into(), value.to_string().into()]));
        all.extend(self.storage.to_command_line());
        let files = [("--image", &self.image), ("--record", &self.record)];
        let files = files.into_iter().filter_map(|(name, file)| file.as_ref().map(|file| (name, file)));
        all.extend(files.flat_map(|(name, file)| [name.into(), file.clone().into_os_string()]));
        all
    }

    /// Size of the private namespace.
    fn namespace_bytes(&self, flash: Option<&Flash>) -> Result<u64> {
        let Some(flash) = flash else { return Ok(self.size.map_or(backend::NAMESPACE_BYTES_MIN, |size| size << 20)) };
        let most = flash.namespace_bytes_max();
        let bytes = self.size.map_or(most, |size| size << 20);
        if bytes > most || most == 0 {
            let others = output::bytes_text(sim_cosim::SHARED_BYTES + sim_cosim::SPARE_BYTES);
            let room = output::bytes_text(most);
            return Err(Failure::new(
                format!(
                    "a private namespace of {} does not fit the flash, which has {room} for it beside {others} for others",
                    output::bytes_text(bytes)
                ),
                "give `--size` a smaller number, or `--flash-size` a larger flash",
            ));
        }
        Ok(bytes)
    }

    /// Starts the device in front of `host`.
    pub fn start(&self, address: AddressBits, host: Box<dyn Host>) -> Result<Bridge> {
        let flash = self.storage.load(self.back_end)?;
        let description = Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            back_end: self.back_end,
            namespace_bytes: self.namespace_bytes(flash.as_ref())?,
            flash: flash.as_ref().and_then(Flash::as_new),
            seed: self.seed,
        };
        if let (Some(_), Some(_)) = (&self.image, &flash) {
            return Err(Failure::new(
                "`--image` keeps the blocks of a device whose memory holds them, and these lie in flash",
                "leave `--image` out; `--from` names what is in the flash at the beginning",
            ));
        }
        if self.image.is_some() && self.back_end == Kind::Model {
            return Err(Failure::new("the model keeps no image", "leave `--image` out, or `--back-end model`"));
        }
        if self.image.as_ref().is_some_and(|image| image.exists()) && self.record.is_some() {
            return Err(Failure::new(
                "a recording begins with an empty device, and the image is there already",
                "leave `--record` out, or name an image that does not exist",
            ));
        }
        if self.record.is_some() && self.storage.from.is_some() {
            return Err(Failure::new(
                "a recording begins with an empty device, and this flash has been in use",
                "leave `--record` or `--from` out",
            ));
        }
        let recorder = self.record.as_ref().map(|path| {
            let text = serde_json::to_string(&description).expect("a description is plain data");
            Recorder::create(path, &text).map_err(|error| output::cannot_write(path, &error))
        });
        let recorder = recorder.transpose()?;
        let vectors = match self.back_end {
            Kind::Model => ModelConfig::TWO_FUNCTIONS.io_queues + 1,
            Kind::Verilated | Kind::Evaluator => nvme_hw::Config::DEFAULT.vectors() as u16,
        };
        let identity = Identity { functions: self.functions, vectors, address };
        let image = self.image.clone();
        let make = move || -> Result<BackEnd> {
            let mut device = description.make_with(flash, false)?;
            device.start_profiling();
            if let Some(path) = &image {
                let memory = device.memory().expect("the model was refused");
                let opened = Image::open(path, memory.bytes()).map_err(|error| no_image(&error, memory.bytes()))?;
                memory.set_image(opened);
            }
            Ok(device)
        };
        Bridge::start(identity, make, host, recorder)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(error, "report this with the command line: it is a defect of this program")
    }
}

fn no_image(error: &ImageError, bytes: u64) -> Failure {
    let next = match error {
        ImageError::Size { .. } => {
            format!("give `--size` as in the run that made the image; {bytes} bytes hold both namespaces and what is unallocated")
        }
        ImageError::InUse { .. } => "end the other device, or name another image".to_owned(),
        ImageError::Io { .. } => "name a file that can be read and written".to_owned(),
    };
    Failure::new(error, next)
}
