//! How long operations take.

use crate::limits::UNIT_BYTES;
use crate::pairing::PageKind;

/// Times of the array and rate of the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// tR of an LSB and an MSB page, in ns.
    pub read_ns: [u32; 2],
    /// tPROG of an LSB and an MSB page, in ns.
    pub program_ns: [u32; 2],
    /// tBERS, in ns.
    pub erase_ns: u32,
    /// From a suspend command to an array that takes a read, in ns.
    pub suspend_ns: u32,
    /// What a program or an erase takes longer for each time that it was suspended, in ns.
    pub resume_ns: u32,
    /// Command and address cycles of an operation on the bus, in ns: two command and five address cycles.
    pub command_ns: u32,
    /// Transfers per second of the bus of eight bits, in millions, from 200 to 2400; 0: data takes no time.
    pub bus_mt_s: u32,
}

/// Times by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// MLC flash as SimpleSSD simulates it. Array: Jung et al., "SimpleSSD: Modeling Solid State Drives for Holistic System Simulation", IEEE CAL 17(1),
    /// 2018, and its source, table of MLC latencies (tR 40 and 65 us, tPROG 500 and 1300 us, tBERS 3.5 ms). Bus: 400 MT/s. Command cycles: seven of
    /// tCAD = 25 ns (ONFI, "Timing Parameters"). Suspend and resume: 5 us each, which is an assumption (Wu and He, "Reducing SSD Read Latency via NAND
    /// Flash Program and Erase Suspension", FAST 2012, describe what happens then).
    SimplessdMlc,
    /// Storage class memory: neither array nor bus takes time. What is left is what the device itself takes.
    Scm,
    /// `SimplessdMlc` with all times divided by 32: for simulations, in which its ratios are what matters.
    Sim,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 3] = [Self::SimplessdMlc, Self::Scm, Self::Sim];

    /// The name that tools and files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SimplessdMlc => "simplessd-mlc",
            Self::Scm => "scm",
            Self::Sim => "sim",
        }
    }

    /// The preset of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its times.
    pub const fn timing(self) -> Timing {
        match self {
            Self::SimplessdMlc | Self::Sim => Timing {
                read_ns: [40_000, 65_000],
                program_ns: [500_000, 1_300_000],
                erase_ns: 3_500_000,
                suspend_ns: 5_000,
                resume_ns: 5_000,
                command_ns: 175,
                bus_mt_s: 400,
            },
            Self::Scm => Timing {
                read_ns: [0; 2],
                program_ns: [0; 2],
                erase_ns: 0,
                suspend_ns: 0,
                resume_ns: 0,
                command_ns: 0,
                bus_mt_s: 0,
            },
        }
    }

    /// What [`clocks`](Self::clocks) divides its times by.
    pub const fn divisor(self) -> u32 {
        match self {
            Self::Sim => 32,
            Self::SimplessdMlc | Self::Scm => 1,
        }
    }

    /// Its times in clocks of `core_hz`, divided by its [`divisor`](Self::divisor).
    pub const fn clocks(self, core_hz: u64) -> Clocks {
        self.timing().clocks(core_hz).divided(self.divisor())
    }
}

/// Least and greatest rate of a bus, in MT/s.
pub const BUS_MT_S: core::ops::RangeInclusive<u32> = 200..=2400;

/// A timing in clocks: what hardware and model count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// tR of an LSB and an MSB page.
    pub read: [u32; 2],
    /// tPROG of an LSB and an MSB page.
    pub program: [u32; 2],
    /// tBERS.
    pub erase: u32,
    /// From a suspend command to an array that takes a read.
    pub suspend: u32,
    /// What a program or an erase takes longer for each time that it was suspended.
    pub resume: u32,
    /// Command and address cycles of an operation on the bus, and of its spare.
    pub command: u32,
    /// A unit on the bus.
    pub unit: u32,
}

impl Timing {
    /// In clocks of `core_hz`, each rounded up.
    pub const fn clocks(&self, core_hz: u64) -> Clocks {
        const fn of(ns: u32, core_hz: u64) -> u32 {
            (ns as u64 * core_hz).div_ceil(1_000_000_000) as u32
        }
        let unit = match self.bus_mt_s {
            0 => 0,
            rate => (UNIT_BYTES as u64 * core_hz).div_ceil(rate as u64 * 1_000_000) as u32,
        };
        Clocks {
            read: [of(self.read_ns[0], core_hz), of(self.read_ns[1], core_hz)],
            program: [of(self.program_ns[0], core_hz), of(self.program_ns[1], core_hz)],
            erase: of(self.erase_ns, core_hz),
            suspend: of(self.suspend_ns, core_hz),
            resume: of(self.resume_ns, core_hz),
            command: of(self.command_ns, core_hz),
            unit,
        }
    }
}

impl Clocks {
    /// All times divided.
    pub const fn divided(self, by: u32) -> Self {
        Self {
            read: [self.read[0] / by, self.read[1] / by],
            program: [self.program[0] / by, self.program[1] / by],
            erase: self.erase / by,
            suspend: self.suspend / by,
            resume: self.resume / by,
            command: self.command / by,
            unit: self.unit / by,
        }
    }

    /// tR of a page.
    pub const fn read_of(&self, kind: PageKind) -> u32 {
        self.read[kind as usize]
    }

    /// tPROG of a page.
    pub const fn program_of(&self, kind: PageKind) -> u32 {
        self.program[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE_HZ: u64 = 250_000_000;

    #[test]
    fn the_default_in_clocks_is_what_its_times_say() {
        let clocks = Preset::SimplessdMlc.clocks(CORE_HZ);
        let expected = Clocks {
            read: [10_000, 16_250],
            program: [125_000, 325_000],
            erase: 875_000,
            suspend: 1_250,
            resume: 1_250,
            command: 44,
            unit: 2_560,
        };
        assert_eq!(clocks, expected);
        assert_eq!(Preset::Sim.clocks(CORE_HZ).unit, 80);
        assert_eq!(Preset::Scm.clocks(CORE_HZ), clocks.divided(u32::MAX));
    }

    #[test]
    fn a_faster_bus_takes_less_time_and_never_too_little() {
        for rate in BUS_MT_S {
            let clocks = Timing { bus_mt_s: rate, ..Preset::SimplessdMlc.timing() }.clocks(CORE_HZ);
            let exact = f64::from(UNIT_BYTES) * 250.0 / f64::from(rate);
            assert!((exact..exact + 1.0).contains(&f64::from(clocks.unit)), "{rate} MT/s: {}", clocks.unit);
        }
    }

    #[test]
    fn names_lead_back() {
        for preset in Preset::ALL {
            assert_eq!(Preset::from_name(preset.name()), Some(preset));
        }
        assert_eq!(Preset::from_name("tlc"), None);
    }
}
