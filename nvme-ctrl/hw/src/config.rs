//! The configuration of the controller: what may differ between one controller and another.

use nvme_spec::{firmware_port, limits};
use rtl_hdl::address_width;

/// Width of an index into a queue.
pub const INDEX_BITS: u32 = address_width(limits::QUEUE_ENTRIES_MAX);

/// The parameters of a controller. Every block is given the whole configuration and derives its widths from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Number of PCIe functions, each of them an NVMe controller.
    pub functions: u32,
    /// Number of I/O submission queues of all functions together, and of I/O completion queues; an admin queue pair for each function comes on
    /// top.
    pub io_queues: u32,
    /// Entries of the longest I/O queue; a power of two. CAP.MQES says so to the host. The admin queues may have 4096 entries in any case
    /// (NVMe Base, "Admin Queue Attributes"), so indexes have 12 bits in every configuration.
    pub queue_entries_max: u32,
    /// Bytes of a logical block: 512 or 4096.
    pub lba_bytes: u32,
    /// Units (pieces of a command of at most 4 KiB) in flight.
    pub units: u32,
    /// Commands of the fast path in flight.
    pub slots: u32,
    /// Reads of submission queue entries in flight.
    pub fetches: u32,
}

/// A constraint that a configuration breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `functions` is outside of 1 to [`firmware_port::FUNCTIONS_MAX`].
    #[error("a controller has 1 to {} functions", firmware_port::FUNCTIONS_MAX)]
    Functions,
    /// `io_queues` is 0, or there are more queue slots than numbers of eight bits.
    #[error("a controller has 1 to {} I/O queues, less one for each further function", limits::IO_QUEUES_MAX)]
    IoQueues,
    /// `queue_entries_max` is not a power of two from 2 to [`limits::QUEUE_ENTRIES_MAX`].
    #[error("queue_entries_max is a power of two from 2 to {}", limits::QUEUE_ENTRIES_MAX)]
    QueueEntries,
    /// `lba_bytes` is neither 512 nor 4096.
    #[error("lba_bytes is 512 or 4096")]
    LbaBytes,
    /// `units` is not a power of two from 2 to 64: it is the number of tags of a reader.
    #[error("units is a power of two from 2 to 64")]
    Units,
    /// `slots` is not a power of two from 2 to 256: slot numbers have eight bits.
    #[error("slots is a power of two from 2 to 256")]
    Slots,
    /// `fetches` is not a power of two from 2 to 64: it is the number of tags of a reader.
    #[error("fetches is a power of two from 2 to 64")]
    Fetches,
}

impl Config {
    /// Small memories and short queues, so that rings wrap and tables fill up often: for tests.
    pub const SMALL: Config =
        Config { functions: 1, io_queues: 2, queue_entries_max: 64, lba_bytes: 4096, units: 4, slots: 4, fetches: 2 };
    /// What the demonstration and the bench run.
    pub const DEFAULT: Config = Config {
        functions: limits::FUNCTIONS_DEFAULT as u32,
        io_queues: limits::IO_QUEUES_DEFAULT as u32,
        queue_entries_max: limits::QUEUE_ENTRIES_MAX,
        lba_bytes: limits::LBA_BYTES,
        units: 32,
        slots: 256,
        fetches: 32,
    };

    /// Twice as many I/O queues.
    pub const MANY_QUEUES: Config = Config { io_queues: 2 * Config::DEFAULT.io_queues, ..Config::DEFAULT };

    /// Which constraint is broken, if any.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.functions == 0 || self.functions > firmware_port::FUNCTIONS_MAX {
            return Err(ConfigError::Functions);
        }
        if self.io_queues == 0 || self.queues() > limits::IO_QUEUES_MAX as u32 + 1 {
            return Err(ConfigError::IoQueues);
        }
        if !is_power_of_two_between(self.queue_entries_max, 2, limits::QUEUE_ENTRIES_MAX) {
            return Err(ConfigError::QueueEntries);
        }
        if self.lba_bytes != 512 && self.lba_bytes != 4096 {
            return Err(ConfigError::LbaBytes);
        }
        if !is_power_of_two_between(self.units, 2, 64) {
            return Err(ConfigError::Units);
        }
        if !is_power_of_two_between(self.slots, 2, 256) {
            return Err(ConfigError::Slots);
        }
        if !is_power_of_two_between(self.fetches, 2, 64) {
            return Err(ConfigError::Fetches);
        }
        Ok(())
    }

    /// Number of queue slots: that of the admin queue pair of each function, by its number, then those of all I/O queue pairs.
    pub const fn queues(&self) -> u32 {
        self.functions + self.io_queues
    }

    /// Width of the number of a queue slot.
    pub const fn queue_bits(&self) -> u32 {
        address_width(self.queues())
    }

    /// Binary logarithm of `lba_bytes`.
    pub const fn lba_shift(&self) -> u32 {
        self.lba_bytes.trailing_zeros()
    }

    /// Number of interrupt vectors of each function, which may have all I/O queues.
    pub const fn vectors(&self) -> u32 {
        self.io_queues + 1
    }

    /// A suffix for the names of modules that depend on the configuration.
    pub fn suffix(&self) -> String {
        format!(
            "n{}_q{}_e{}_l{}_u{}_s{}_f{}",
            self.functions,
            self.io_queues,
            self.queue_entries_max,
            self.lba_bytes,
            self.units,
            self.slots,
            self.fetches
        )
    }
}

const fn is_power_of_two_between(value: u32, low: u32, high: u32) -> bool {
    value.is_power_of_two() && low <= value && value <= high
}

const _: () = assert!(Config::SMALL.check().is_ok() && Config::DEFAULT.check().is_ok());
const _: () = assert!(Config::MANY_QUEUES.check().is_ok());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Controller;

    /// What is named, and what is at the limits, becomes hardware.
    #[test]
    fn legal_configurations_are_controllers() {
        let most_queues = Config { functions: 1, io_queues: u32::from(limits::IO_QUEUES_MAX), ..Config::DEFAULT };
        let most_functions = Config { functions: firmware_port::FUNCTIONS_MAX, ..Config::DEFAULT };
        for config in [Config::SMALL, Config::DEFAULT, Config::MANY_QUEUES, most_queues, most_functions] {
            if let Err(problems) = rtl_hdl::elaborate(&Controller::new(config)) {
                panic!("{config:?}: {problems}");
            }
        }
    }

    #[test]
    fn each_constraint_has_its_error() {
        let ok = Config::DEFAULT;
        let broken = [
            (Config { functions: 0, ..ok }, ConfigError::Functions),
            (Config { functions: 9, ..ok }, ConfigError::Functions),
            (Config { io_queues: 0, ..ok }, ConfigError::IoQueues),
            (Config { io_queues: 255, ..ok }, ConfigError::IoQueues),
            (Config { io_queues: 256, functions: 1, ..ok }, ConfigError::IoQueues),
            (Config { queue_entries_max: 100, ..ok }, ConfigError::QueueEntries),
            (Config { queue_entries_max: 8192, ..ok }, ConfigError::QueueEntries),
            (Config { lba_bytes: 1024, ..ok }, ConfigError::LbaBytes),
            (Config { units: 128, ..ok }, ConfigError::Units),
            (Config { slots: 1, ..ok }, ConfigError::Slots),
            (Config { fetches: 3, ..ok }, ConfigError::Fetches),
        ];
        for (config, error) in broken {
            assert_eq!(config.check(), Err(error), "{config:?}");
        }
        assert_eq!(Config { io_queues: 255, functions: 1, ..ok }.check(), Ok(()));
    }
}
