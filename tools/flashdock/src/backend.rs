//! Which device a command runs on.

use crate::failure::{Failure, Result};
use crate::output;
use crate::storage::Flash;
use nvme_model::Config as ModelConfig;
use sim_cosim::{CoresKind, CoresOptions, Evaluated, Options as HardwareOptions, Start, Verilated};
use sim_device::{Around, BusTiming, Device, HostMemory, ModelDevice, Ram};
use std::sync::Arc;
use std::time::Duration;

/// What the device is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The hardware, simulated clock by clock, with its firmware
    Verilated,
    /// The same hardware in the evaluator of the HDL: needs no tools, but is many times slower
    Evaluator,
    /// The reference model: plain Rust, needs no tools; its clocks mean nothing for the hardware
    Model,
}

impl Kind {
    /// One line for people.
    pub fn description(self) -> &'static str {
        match self {
            Kind::Verilated => "the Verilated RTL with hosted firmware",
            Kind::Evaluator => "the RTL in the evaluator with hosted firmware",
            Kind::Model => "the reference model (its clocks mean nothing for the hardware)",
        }
    }
}

/// What the controller's firmware runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Processor {
    /// This machine: the fast way
    #[default]
    Hosted,
    /// An instruction-set simulator of the device's processors, with the firmware compiled for them
    Iss,
    /// The device's processors themselves, Verilated, with the same firmware
    Rtl,
}

impl Processor {
    /// What a device is made of, for people.
    pub fn description(self, kind: Kind) -> &'static str {
        match self {
            Processor::Hosted => kind.description(),
            Processor::Iss => "the Verilated RTL with firmware on simulated processors",
            Processor::Rtl => "the Verilated RTL with firmware on its Verilated processors",
        }
    }

    /// So many processors with the firmware's image, which is compiled if it has changed; none if firmware runs on this machine.
    pub fn cores(self, harts: u32) -> Result<Option<CoresOptions>> {
        let kind = match self {
            Processor::Hosted => return Ok(None),
            Processor::Iss => CoresKind::Simulated,
            Processor::Rtl => CoresKind::Verilated(Start::Ready),
        };
        let image = sim_firmware::build(&sim_firmware::Toolchain::from_env());
        let image = image.map_err(|error| Failure::new(error.to_string(), "`--firmware hosted` needs no compiler"))?;
        Ok(Some(CoresOptions { image: Arc::new(image), harts, kind }))
    }
}

/// The clocks that figures are measured with: from a read request of the device to the first beat of its answer.
pub mod latency {
    /// The host's memory.
    pub const HOST: u32 = 200;
    /// The device's memory.
    pub const MEMORY: u32 = 64;
}

/// The smallest namespace; memory that nobody wrote takes no room.
pub const NAMESPACE_BYTES_MIN: u64 = 256 << 20;

/// The largest namespace: the device's memory.
pub const NAMESPACE_BYTES_MAX: u64 = soc_map::DRAM.bytes;

/// A device and its surroundings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is made of.
    pub kind: Kind,
    /// How the hardware is configured. The model has its own.
    pub config: nvme_hw::Config,
    /// Size of the namespace.
    pub namespace_bytes: u64,
    /// The flash in which the namespaces lie; without, they lie in the device's memory. The model has none.
    pub flash: Option<Flash>,
    /// All is the private namespace of function 0: there is no sharable one, and nothing is unallocated. The model has its own.
    pub is_private: bool,
    /// The processors that firmware runs on; without, it runs on this machine. The model has none.
    pub cores: Option<CoresOptions>,
    /// The path to the host's memory. The model has none.
    pub host: BusTiming,
    /// The path to the device's memory. The model has none.
    pub memory: BusTiming,
    /// Seed of everything random.
    pub seed: u64,
}

impl Settings {
    /// The device that figures are measured on.
    pub fn new(kind: Kind, seed: u64) -> Self {
        Self {
            kind,
            config: nvme_hw::Config::DEFAULT,
            namespace_bytes: NAMESPACE_BYTES_MIN,
            flash: None,
            is_private: false,
            cores: None,
            host: BusTiming::with_latency(latency::HOST),
            memory: BusTiming::with_latency(latency::MEMORY),
            seed,
        }
    }
}

/// A device.
pub enum BackEnd {
    /// The reference model.
    Model(Box<ModelDevice>),
    /// The hardware under Verilator.
    Verilated(Box<Verilated>),
    /// The hardware in the evaluator.
    Evaluated(Box<Evaluated>),
}

impl BackEnd {
    /// A device after power-on. The first Verilated one is built, which takes minutes and shows its progress.
    pub fn new(settings: &Settings) -> Result<Self> {
        match settings.kind {
            Kind::Model => {
                let config = ModelConfig::DEFAULT;
                let blocks = settings.namespace_bytes / u64::from(config.lba_bytes);
                let config = ModelConfig { blocks, seed: settings.seed, ..config };
                Ok(Self::Model(Box::new(ModelDevice::new(config, HostMemory::new()))))
            }
            Kind::Verilated => Ok(Self::Verilated(Box::new(verilated(settings, false)?))),
            Kind::Evaluator => {
                let options = options(settings, false);
                let device = match &settings.flash {
                    Some(flash) => Evaluated::with_contents(&options, flash.contents()),
                    None => Evaluated::new(&options),
                };
                let device = device.map_err(no_device)?;
                Ok(Self::Evaluated(Box::new(device)))
            }
        }
    }

    /// The device's memory, by the back door: the blocks, if they do not lie in flash. The model has none.
    pub fn memory(&mut self) -> Option<&mut Ram> {
        match self {
            Self::Model(_) => None,
            Self::Verilated(device) => Some(device.ram()),
            Self::Evaluated(device) => Some(device.ram()),
        }
    }

    /// What firmware on simulated or Verilated processors has written to the console since the last call.
    pub fn take_console(&mut self) -> Vec<u8> {
        match self {
            Self::Verilated(device) => device.take_console(),
            Self::Model(_) | Self::Evaluated(_) => vec![],
        }
    }

    /// Starts measuring the time inside of the Verilated model.
    pub fn start_profiling(&mut self) {
        if let Self::Verilated(device) = self {
            device.measure_model_time();
        }
    }

    /// Time inside of the Verilated model since profiling was started.
    pub fn time_in_model(&self) -> Option<Duration> {
        match self {
            Self::Model(_) | Self::Evaluated(_) => None,
            Self::Verilated(device) => Some(device.model_time()),
        }
    }
}

/// The hardware that figures are measured on, built so that it can write waveforms.
pub fn verilated_with_waveform(seed: u64) -> Result<Verilated> {
    verilated(&Settings::new(Kind::Verilated, seed), true)
}

/// The hardware under Verilator, built so that it can write waveforms, or not.
pub fn verilated(settings: &Settings, trace: bool) -> Result<Verilated> {
    let options = options(settings, trace);
    let device = match &settings.flash {
        Some(flash) => Verilated::with_contents(&options, flash.contents()),
        None => Verilated::new(&options),
    };
    device.map_err(no_device)
}

fn options(settings: &Settings, trace: bool) -> HardwareOptions {
    let mut options = HardwareOptions {
        namespace_bytes: settings.namespace_bytes,
        host: settings.host,
        memory: settings.memory,
        flash: settings.flash.as_ref().map(Flash::options),
        cores: settings.cores.clone(),
        seed: settings.seed,
        trace,
        ..HardwareOptions::new(settings.config)
    };
    if settings.is_private {
        (options.shared_bytes, options.spare_bytes) = (0, 0);
    }
    options
}

/// A device whose flash is no drive, or the messages of the tool chain, which end with a sentence that says what to do, or go on with those of a compiler.
pub fn no_device(error: sim_cosim::Error) -> Failure {
    let message = error.to_string();
    if matches!(error, sim_cosim::Error::Flash(_) | sim_cosim::Error::Contents(_)) {
        return Failure::new(message, "go back to a checkpoint, or leave `--from` out");
    }
    if let Some((first, rest)) = message.split_once('\n') {
        let next = "correct that and run the same command again; `--back-end model` needs no tools";
        return Failure::new(first.trim_end_matches(':'), next).with_detail(rest);
    }
    match message.rsplit_once(". ") {
        Some((what, next)) => Failure::new(what, output::uncapitalized(next)),
        None => Failure::new(message, "run the same command again; `--back-end model` needs no tools"),
    }
}

impl Around for BackEnd {
    fn inner(&self) -> &dyn Device {
        match self {
            Self::Model(device) => &**device,
            Self::Verilated(device) => &**device,
            Self::Evaluated(device) => &**device,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        match self {
            Self::Model(device) => &mut **device,
            Self::Verilated(device) => &mut **device,
            Self::Evaluated(device) => &mut **device,
        }
    }
}
