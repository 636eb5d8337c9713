//! The swarm notices what it claims to notice: devices that are broken on purpose, each in one way.

use std::collections::BTreeMap;

use nvme_spec::regs::{self, csts};
use sim_device::{Access, Around, Device, DeviceWrite, Tamper, BEAT_BYTES, MESSAGE_WINDOW};
use sim_host::{DriverError, Violation};
use sim_swarm::{back_end, BackEnd, Broken, Made, Plan};

/// A model with one function: what a device does wrong, it does to who is watched.
static ALONE: BackEnd = BackEnd { name: "model", made: Made::Model(nvme_model::Config::DEFAULT), share: 1 };

/// What a device does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// A completion entry is never written.
    LosesACompletion,
    /// A completion entry is written twice.
    CompletesTwice,
    /// A completion has the command identifier of another command.
    WrongCommandId,
    /// A completion has the identifier of another submission queue.
    WrongQueueId,
    /// A completion says that a head is where it is not.
    WrongHead,
    /// The phase tag is not inverted.
    WrongPhase,
    /// A status that no command has.
    UnknownStatus,
    /// A byte is written where nobody asked for it, beside the buffer.
    StrayByte,
    /// Data is written once more, after the completion.
    LateData,
    /// A bit of read data is wrong.
    WrongReadData,
    /// A bit of written data is wrong.
    WrongWriteData,
    /// A message comes without a completion.
    SurplusInterrupt,
    /// Something is read after CSTS.RDY fell.
    ReadsWhileDisabled,
    /// Something is written after CSTS.RDY fell.
    WritesWhileDisabled,
    /// CSTS.RDY never falls again.
    NeverDisabled,
    /// CSTS.CFS appears by itself.
    FatalForNoReason,
    /// Firmware stops with an assertion.
    Panics,
}

/// Which write, of those that a defect is about, is made wrong: late enough for work to be in flight.
const AT: u32 = 150;

/// The defects of accesses to memory.
struct Hand {
    defect: Defect,
    seen: u32,
    /// Data that comes again later, and after how many more writes.
    kept: Option<(DeviceWrite, u32)>,
}

impl Hand {
    /// Whether the moment has come; counts.
    fn is_now(&mut self) -> bool {
        self.seen += 1;
        self.seen == AT
    }
}

const ENTRY_BYTES: usize = 16;

/// Where the memory of the simulated host begins: nobody gives it to the device.
const SOMEBODYS_MEMORY: u64 = 0x5_0000_0000;

impl Tamper for Hand {
    fn write(&mut self, mut write: DeviceWrite) -> Vec<DeviceWrite> {
        let is_message = MESSAGE_WINDOW.contains(&write.address);
        // Nothing else of this size is aligned so in these runs but a few pieces of data, which may as well be made wrong.
        let is_entry = !is_message && write.data.len() == ENTRY_BYTES && write.address % ENTRY_BYTES as u64 == 0;
        let is_data = !is_message && write.data.len() >= BEAT_BYTES;
        if let Some((_, writes)) = &mut self.kept {
            *writes -= 1;
            if *writes == 0 {
                let late = self.kept.take().expect("just seen").0;
                return vec![write, late];
            }
        }
        let defect = self.defect;
        match defect {
            Defect::LosesACompletion if is_entry && self.is_now() => return vec![],
            Defect::CompletesTwice if is_entry && self.is_now() => {
                let again = DeviceWrite { address: write.address + ENTRY_BYTES as u64, data: write.data.clone() };
                return vec![write, again];
            }
            Defect::WrongCommandId if is_entry && self.is_now() => write.data[12] ^= 1,
            Defect::WrongQueueId if is_entry && self.is_now() => write.data[10] ^= 1,
            Defect::WrongHead if is_entry && self.is_now() => write.data[8] ^= 0x40,
            Defect::WrongPhase if is_entry && self.is_now() => write.data[14] ^= 1,
            Defect::UnknownStatus if is_entry && self.is_now() => write.data[14] |= 0xA8,
            Defect::StrayByte if is_data && self.is_now() => {
                return vec![write, DeviceWrite { address: SOMEBODYS_MEMORY, data: vec![0] }];
            }
            Defect::LateData if is_data && self.is_now() => self.kept = Some((write.clone(), 2000)),
            Defect::WrongReadData if is_data => {
                // Most data is not looked at: garbage, or of commands that fail.
                self.seen += 1;
                if self.seen % AT == 0 {
                    write.data[7] ^= 0x10;
                }
            }
            Defect::SurplusInterrupt if is_message => {
                self.seen += 1;
                if self.seen % 8 == 0 {
                    return vec![write.clone(), write.clone(), write];
                }
            }
            _ => {}
        }
        vec![write]
    }

    fn read(&mut self, _address: u64, data: &mut [u8]) {
        // Longer than an entry or a list entry: data of a Write.
        if self.defect == Defect::WrongWriteData && data.len() > BEAT_BYTES {
            self.seen += 1;
            if self.seen % 20 == 0 {
                data[70] ^= 2;
            }
        }
    }
}

/// A device with a defect around one without.
struct Wrong {
    device: Box<dyn Device>,
    defect: Defect,
    /// Reads of CSTS by the value that they gave.
    looks: BTreeMap<u64, u32>,
}

impl Wrong {
    fn new(defect: Defect, mut device: Box<dyn Device>) -> Self {
        device.host().set_tamper(Some(Box::new(Hand { defect, seen: 0, kept: None })));
        Self { device, defect, looks: BTreeMap::new() }
    }

    /// How often the host has seen CSTS.RDY fall is counted; the third time something goes wrong.
    fn look(&mut self, value: u64) -> u64 {
        let is_ready = csts::RDY.get(value) == 1;
        let looks = self.looks.entry(value).or_default();
        *looks += 1;
        let looks = *looks;
        match self.defect {
            Defect::NeverDisabled if !is_ready && looks > 6 => csts::RDY.set(value, 1),
            Defect::FatalForNoReason if is_ready && looks > 40 => csts::CFS.set(value, 1),
            Defect::Panics if is_ready && looks > 100 => panic!("slot 3 taken twice"),
            _ => value,
        }
    }
}

impl Around for Wrong {
    fn inner(&self) -> &dyn Device {
        &*self.device
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        &mut *self.device
    }

    fn read_around(&mut self, access: Access) -> u64 {
        let value = self.device.read(access);
        if access.offset == u64::from(regs::CSTS.offset) && access.bytes == 4 {
            return self.look(value);
        }
        value
    }

    fn step_around(&mut self, clocks: u32) {
        self.device.step(clocks);
        let looks = self.looks.get(&0).copied().unwrap_or(0);
        if clocks > 0 && looks > 6 {
            let access = Access::dword(u64::from(regs::CSTS.offset));
            let is_disabled = csts::RDY.get(self.device.read(access)) == 0;
            match self.defect {
                Defect::ReadsWhileDisabled if is_disabled => {
                    let _ = self.device.host().dma_read(0, SOMEBODYS_MEMORY, &mut [0; 64]);
                }
                Defect::WritesWhileDisabled if is_disabled => {
                    let _ = self.device.host().dma_write(0, SOMEBODYS_MEMORY, &[0; 64]);
                }
                _ => {}
            }
        }
    }
}

/// What the swarm says of a device with a defect, on some seeds.
fn found(on: &'static BackEnd, defect: Defect) -> Vec<Broken> {
    let plans = (1..=6).map(|seed| Plan::of(seed, Some(on), 2000));
    let run = |plan: Plan| {
        let device = plan.device().unwrap_or_else(|error| panic!("{error}"));
        let mut device = Wrong::new(defect, device);
        sim_swarm::run_on(&plan, &mut device).err().map(|failure| failure.broken.cause().clone())
    };
    plans.filter_map(run).collect()
}

fn violations(broken: &[Broken]) -> Vec<&Violation> {
    let violation = |broken| match broken {
        &Broken::Driver(DriverError::Violation { ref violation, .. }) => Some(violation),
        _ => None,
    };
    broken.iter().filter_map(violation).collect()
}

fn is_timeout(broken: &Broken) -> bool {
    matches!(broken, Broken::Driver(DriverError::Timeout { .. }))
}

/// Asserts that most seeds find a defect, and that what they say of it is about it.
#[track_caller]
fn assert_noticed(defect: Defect, fits: impl Fn(&Broken, Option<&Violation>) -> bool) {
    let broken = found(&ALONE, defect);
    assert!(broken.len() >= 4, "{defect:?} is noticed by {} of 6 seeds: {broken:?}", broken.len());
    let fitting = broken.iter().filter(|b| fits(b, violations(std::slice::from_ref(b)).first().copied())).count();
    assert!(fitting >= broken.len() / 2, "{defect:?}: {broken:?}");
}

#[test]
fn lost_completions_are_noticed() {
    assert_noticed(Defect::LosesACompletion, |broken, violation| {
        is_timeout(broken) || matches!(violation, Some(Violation::NotAtTail { .. }))
    });
}

#[test]
fn second_completions_are_noticed() {
    // The second one may lie over an entry that is not consumed, or, behind the last entry of a short queue, where nothing is.
    assert_noticed(Defect::CompletesTwice, |_, violation| match violation {
        Some(Violation::NotOutstanding { .. } | Violation::NotAtTail { .. } | Violation::Overrun { .. }) => true,
        Some(Violation::StrayWrite { bytes, .. }) => *bytes as usize == ENTRY_BYTES,
        _ => false,
    });
}

#[test]
fn wrong_identifiers_are_noticed() {
    for defect in [Defect::WrongCommandId, Defect::WrongQueueId] {
        assert_noticed(defect, |_, violation| {
            matches!(violation, Some(Violation::NotOutstanding { .. } | Violation::WrongQueue { .. }))
        });
    }
}

#[test]
fn wrong_heads_are_noticed() {
    assert_noticed(Defect::WrongHead, |_, violation| matches!(violation, Some(Violation::Head { .. })));
}

#[test]
fn wrong_phase_tags_are_noticed() {
    assert_noticed(Defect::WrongPhase, |_, violation| matches!(violation, Some(Violation::Phase { .. })));
}

#[test]
fn statuses_that_cannot_be_are_noticed() {
    assert_noticed(Defect::UnknownStatus, |broken, _| matches!(broken, Broken::Status { .. }));
}

#[test]
fn stray_writes_are_noticed() {
    assert_noticed(Defect::StrayByte, |_, violation| {
        matches!(violation, Some(Violation::StrayWrite { .. } | Violation::Canary(_)))
    });
    assert_noticed(Defect::LateData, |_, violation| matches!(violation, Some(Violation::StrayWrite { .. })));
}

#[test]
fn wrong_data_is_noticed() {
    for defect in [Defect::WrongReadData, Defect::WrongWriteData] {
        assert_noticed(defect, |broken, _| matches!(broken, Broken::Data { .. }));
    }
}

#[test]
fn surplus_interrupts_are_noticed() {
    assert_noticed(Defect::SurplusInterrupt, |_, violation| {
        matches!(violation, Some(Violation::InterruptWithoutCompletion { .. }))
    });
}

#[test]
fn accesses_of_a_disabled_controller_are_noticed() {
    for defect in [Defect::ReadsWhileDisabled, Defect::WritesWhileDisabled] {
        assert_noticed(defect, |_, violation| {
            matches!(violation, Some(Violation::AccessWhileDisabled { .. } | Violation::StrayWrite { .. }))
        });
    }
}

#[test]
fn controllers_that_do_not_stop_are_noticed() {
    assert_noticed(Defect::NeverDisabled, |broken, _| is_timeout(broken));
}

#[test]
fn fatal_states_for_no_reason_are_noticed() {
    assert_noticed(Defect::FatalForNoReason, |broken, _| matches!(broken, Broken::Other(_)));
}

#[test]
fn assertions_of_the_device_are_noticed() {
    assert_noticed(
        Defect::Panics,
        |broken, _| matches!(broken, Broken::Panic(text) if text.contains("slot 3 taken twice")),
    );
}

/// One that is as it should be is not blamed: what is noticed above is the defect.
#[test]
fn the_device_without_a_defect_passes_the_same_seeds() {
    for seed in 1..=6 {
        if let Err(failure) = sim_swarm::run_seed(&Plan::of(seed, back_end("model"), 2000)) {
            panic!("{failure}");
        }
    }
}

/// On the hardware, where data goes beat by beat, too.
#[test]
fn defects_of_the_hardware_are_noticed() {
    for defect in [Defect::LosesACompletion, Defect::StrayByte, Defect::WrongReadData] {
        let broken = found(back_end("verilated-small").unwrap(), defect);
        assert!(broken.len() >= 4, "{defect:?}: {broken:?}");
    }
}
