//! Any access to BAR0 of any width, at any time, with the configuration bits changing meanwhile.
//!
//! The host itself must not point the device at memory that is not for it: a controller that is told that its admin completion queue lies in somebody's
//! data writes there, rightly. So the [`Guard`] keeps the addresses of the admin queues and of messages where nothing is, or where they belong.

use std::collections::BTreeMap;

use nvme_spec::opcode::admin;
use nvme_spec::regs::{self, aqa};
use nvme_spec::SqEntry;
use sim_device::{Access, Event, HostMemory, Random, Sideband, MESSAGE_WINDOW};
use zerocopy::IntoBytes;

use crate::error::Broken;
use crate::run::{Run, LATER_CLOCKS_MAX};

/// Registers whose value decides where the device writes.
struct Guard {
    /// The dwords of AQA, ASQ and ACQ as they are.
    dwords: BTreeMap<u32, u32>,
    /// Where the admin queues are.
    submission: u64,
    completion: u64,
    /// AQA, the sizes that they have.
    attributes: u32,
}

impl Guard {
    fn new(run: &mut Run<'_>) -> Self {
        let mut dwords = BTreeMap::new();
        for reg in [regs::AQA, regs::ASQ, regs::ACQ] {
            for offset in (reg.offset..reg.end()).step_by(4) {
                dwords.insert(offset, run.host.read32(offset));
            }
        }
        let mut guard = Self { dwords, submission: 0, completion: 0, attributes: 0 };
        guard.submission = guard.wide(regs::ASQ.offset);
        guard.completion = guard.wide(regs::ACQ.offset);
        guard.attributes = guard.dwords[&regs::AQA.offset];
        guard
    }

    fn wide(&self, offset: u32) -> u64 {
        u64::from(self.dwords[&(offset + 4)]) << 32 | u64::from(self.dwords[&offset])
    }

    /// A reset of the function, or of all of them, has cleared the registers.
    fn reset(&mut self) {
        self.dwords.values_mut().for_each(|dword| *dword = 0);
    }

    fn touches(&self, access: Access) -> bool {
        let bytes = access.offset as u32..access.offset as u32 + u32::from(access.bytes);
        self.dwords.keys().any(|dword| *dword < bytes.end && dword + 4 > bytes.start)
    }

    /// Whether the device may be given this write; it is as if it were done.
    fn allows(&mut self, access: Access, value: u64, host: &HostMemory) -> bool {
        let before = self.dwords.clone();
        // A dword at a time, as it reaches the registers.
        for dword in (access.offset as u32 & !3..access.offset as u32 + u32::from(access.bytes)).step_by(4) {
            for byte in 0..u32::from(access.bytes) {
                let at = access.offset as u32 + byte;
                if at & !3 == dword {
                    if let Some(known) = self.dwords.get_mut(&dword) {
                        let shift = 8 * (at & 3);
                        *known = *known & !(0xFF << shift) | ((value >> (8 * byte)) as u32 & 0xFF) << shift;
                    }
                }
            }
            if !self.is_harmless(host) {
                self.dwords = before;
                return false;
            }
        }
        true
    }

    fn is_harmless(&self, host: &HostMemory) -> bool {
        let attributes = self.dwords[&regs::AQA.offset];
        let fits = |field: nvme_spec::reg::Field| field.get32(attributes) <= field.get32(self.attributes);
        let is_nowhere = |address: u64| !host.is_mapped(address, 1) && !host.is_mapped(address + (128 << 10), 1);
        let lies_well = |offset: u32, place: u64| {
            let address = self.wide(offset) & !0xFFF;
            address == place || is_nowhere(address)
        };
        fits(aqa::ASQS)
            && fits(aqa::ACQS)
            && lies_well(regs::ASQ.offset, self.submission)
            && lies_well(regs::ACQ.offset, self.completion)
    }
}

/// Lets a storm go over the device; answers how many accesses there were.
pub(crate) fn rage(run: &mut Run<'_>) -> Result<u64, Broken> {
    fill_submission_queues(run);
    let mut guard = Guard::new(run);
    let function = run.plan.function;
    let accesses = run.random.between(4, 120);
    for _ in 0..accesses {
        match run.random.below(24) {
            0..=3 => {
                let access = anywhere(function, &mut run.random);
                run.host.device().read(access);
            }
            4 => {
                let bits = run.random.next_u64();
                let sideband = Sideband {
                    bus_master_enable: bits & 3 != 0,
                    msix_enable: bits & 4 != 0,
                    msix_function_mask: bits & 8 != 0,
                };
                let clocks = run.random.below(LATER_CLOCKS_MAX) as u32;
                run.host.device().after(clocks, Event::Sideband { function, sideband });
            }
            5 if run.random.below(4) == 0 => {
                run.host.device().function_level_reset(function);
                guard.reset();
            }
            6 if run.random.below(4) == 0 => {
                let access = Access { function, ..Access::dword(regs::NSSR.offset.into()) };
                run.host.device().write(access, regs::SUBSYSTEM_RESET.into());
                run.forget_neighbour();
                guard.reset();
            }
            _ => write(run, &mut guard),
        }
        let bits = run.random.below(9);
        let clocks = run.random.below(1 << bits);
        run.host.run_for(clocks)?;
        run.take_storm_completions();
    }
    // What was asked for later comes before the reset that ends the storm.
    run.host.run_for(LATER_CLOCKS_MAX)?;
    run.take_storm_completions();
    Ok(accesses)
}

fn write(run: &mut Run<'_>, guard: &mut Guard) {
    let function = run.plan.function;
    let random = &mut run.random;
    let any = random.next_u64();
    let (access, value) = match random.below(10) {
        0..=3 => doorbell(function, random),
        4 => {
            let value = match random.below(3) {
                0 => any as u32,
                1 => regs::cc::EN.set32(any as u32, 1),
                _ => regs::cc::EN.set32(crate::run::cc_value(1), any as u32 & 1),
            };
            (Access { function, ..Access::dword(u64::from(regs::CC.offset)) }, u64::from(value))
        }
        5..=6 => message_vector(function, random),
        7 => {
            let reg = *random.pick(&[regs::AQA, regs::ASQ, regs::ACQ]);
            let bytes = *random.pick(&[1, 2, 4, 8]);
            (Access { function, offset: u64::from(reg.offset) + random.below(8), bytes }, any)
        }
        _ => (anywhere(function, random), any),
    };
    let is_message = access.offset + u64::from(access.bytes) > u64::from(regs::MSIX_TABLE.start)
        && access.offset < u64::from(regs::MSIX_TABLE.end);
    if is_message && (access.offset % 4 != 0 || access.bytes > 4 || moves_a_message(access, value)) {
        return;
    }
    if guard.touches(access) {
        if guard.allows(access, value, run.host.host()) {
            run.host.device().write(access, value);
        }
        return;
    }
    let clocks = run.random.below(LATER_CLOCKS_MAX) as u32;
    run.host.device().after(clocks, Event::Write { access, value });
}

/// Whether a write into the table lets a vector point out of the window of messages.
fn moves_a_message(access: Access, value: u64) -> bool {
    let is_address = access.offset % u64::from(regs::MSIX_ENTRY_BYTES) == 0;
    is_address && (access.bytes != 4 || !MESSAGE_WINDOW.contains(&value))
}

fn anywhere(function: u8, random: &mut Random) -> Access {
    let bytes = *random.pick(&[1, 2, 4, 8]);
    let end = *random.pick(&[0x40, 0x40, regs::DOORBELLS.end, regs::BAR0_BYTES + 16]);
    Access { function, offset: random.below(u64::from(end)), bytes }
}

fn doorbell(function: u8, random: &mut Random) -> (Access, u64) {
    let number = if random.below(8) == 0 { random.below(512) } else { random.below(26) };
    let offset = u64::from(regs::DOORBELLS.start) + number * u64::from(regs::DOORBELL_BYTES);
    let bits = random.below(17);
    let value = random.below(1 << bits);
    let bytes = *random.pick(&[4, 4, 4, 4, 2, 1, 8]);
    (Access { function, offset, bytes }, value)
}

/// A write to an entry of the MSI-X table.
fn message_vector(function: u8, random: &mut Random) -> (Access, u64) {
    let entry = u64::from(regs::MSIX_TABLE.start) + random.below(16) * u64::from(regs::MSIX_ENTRY_BYTES);
    let dword = |offset| Access { function, ..Access::dword(entry + offset) };
    match random.below(4) {
        0 => (dword(0), MESSAGE_WINDOW.start + random.below(1 << 16) * 4),
        1 => (dword(4), 0),
        2 => (dword(8), random.next_u64()),
        _ => (dword(12), random.next_u64()),
    }
}

/// Doorbells announce old entries again. What they point to may belong to somebody else by now, so all of them become other ones.
fn fill_submission_queues(run: &mut Run<'_>) {
    for queue in run.all_submission_queues() {
        let Some(memory) = run.host.submission_memory(queue) else { continue };
        for address in memory.step_by(size_of::<SqEntry>()) {
            let entry = run.garbage(queue == 0);
            run.host.host().store(address, entry.as_bytes());
        }
    }
}

/// Whether a command makes the device write memory that the host names for a queue.
pub(crate) fn creates_a_queue(entry: &SqEntry) -> bool {
    matches!(entry.opcode, admin::CREATE_IO_SQ | admin::CREATE_IO_CQ)
}
