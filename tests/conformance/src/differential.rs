//! The same commands on two devices: what one answers, the reference model answers too.
//!
//! One command is in flight at a time, so that nothing is left open: status, data read, and data stored are all determined by the
//! specification and by how this controller was specified.

use nvme_model::Config;
use nvme_spec::opcode::io;
use nvme_spec::SqEntry;
use sim_device::{Device, HostMemory, ModelDevice, Random, PAGE_BYTES};
use sim_host::{cdw, wire_prps, DriverError, Identity};

use crate::expect::{bring_up, rounds, Running};
use crate::{every_back_end, seed};

/// Pages of data, behind which the pages of PRP lists lie.
const DATA_PAGES: u64 = 12;
const LIST_PAGES: u64 = 2;

/// Logical blocks that the commands use, from either end of the namespace.
const SPAN: u64 = 64;

/// A device with its memory for commands, at the same address on every device.
struct Side<'d> {
    running: Running<'d>,
    pages: u64,
}

impl<'d> Side<'d> {
    fn new(device: &'d mut (dyn Device + 'd)) -> Result<Self, DriverError> {
        let mut running = bring_up(device)?;
        let bytes = (DATA_PAGES + LIST_PAGES) * PAGE_BYTES;
        let pages = running.host.host().alloc_guarded(bytes, PAGE_BYTES);
        running.host.allow_writes(pages..pages + DATA_PAGES * PAGE_BYTES);
        Ok(Self { running, pages })
    }

    fn store(&mut self, offset: u64, data: &[u8]) {
        let address = self.pages + offset;
        self.running.host.host().store(address, data);
    }

    fn data(&mut self) -> Vec<u8> {
        let pages = self.pages;
        self.running.host.host().load_vec(pages, (DATA_PAGES * PAGE_BYTES) as usize)
    }
}

/// A Read, Write or Flush that is right or nearly right. Addresses are offsets from the start of the pages.
#[derive(Debug)]
struct Case {
    entry: SqEntry,
    prp: [u64; 2],
    /// What the pages of lists hold: offsets, too.
    lists: Vec<u64>,
}

impl Case {
    fn random(random: &mut Random, identity: &Identity) -> Self {
        let one_in = |random: &mut Random, n| random.below(n) == 0;
        let page_blocks = PAGE_BYTES / u64::from(identity.lba_bytes);
        let blocks = random.between(1, 6 * page_blocks);
        let end = identity.blocks - if one_in(random, 10) { 0 } else { blocks.min(SPAN) };
        let lba = if one_in(random, 2) { random.below(SPAN) } else { end - random.below(SPAN) };
        // Every page once, so that it does not matter in which order the pieces of a Read are written.
        let mut order: Vec<u64> = (0..DATA_PAGES).map(|page| page * PAGE_BYTES).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i as u64 + 1) as usize);
        }
        let offset = if one_in(random, 2) { 0 } else { random.below(PAGE_BYTES / 4) * 4 };
        let misplaced = |random: &mut Random| if one_in(random, 30) { random.below(PAGE_BYTES) } else { 0 };
        let first = order[0] + offset + if one_in(random, 30) { 2 } else { 0 };
        // The last slots of the first list page, all of the second: chains appear where the list has to go on.
        let slots = random.between(1, 7);
        let list = DATA_PAGES * PAGE_BYTES + PAGE_BYTES - slots * 8;
        let needed = (offset + blocks * u64::from(identity.lba_bytes)).div_ceil(PAGE_BYTES) - 1;
        let mut lists: Vec<u64> = order[1..].iter().map(|page| page + misplaced(random)).collect();
        if needed > slots {
            lists.insert(slots as usize - 1, (DATA_PAGES + 1) * PAGE_BYTES + misplaced(random));
        }
        let second = if needed > 1 { list + if one_in(random, 30) { 4 } else { 0 } } else { lists[0] };
        let entry = SqEntry {
            opcode: *random.pick(&[io::READ, io::READ, io::WRITE, io::WRITE, io::FLUSH, 0x7B]),
            flags: if one_in(random, 20) { random.next_u64() as u8 } else { 0 },
            nsid: if one_in(random, 20) { random.next_u64() as u32 } else { identity.nsid }.into(),
            mptr: random.next_u64().into(),
            cdw10: cdw([
                lba as u32,
                (lba >> 32) as u32 | if one_in(random, 40) { 1 << 31 } else { 0 },
                (blocks - 1) as u32 | (random.next_u64() as u32) << 16,
                random.next_u64() as u32,
                random.next_u64() as u32,
                random.next_u64() as u32,
            ]),
            ..SqEntry::default()
        };
        Self { entry, prp: [first, second], lists }
    }

    /// Writes zeroes where a failed Write may have left a part of its data.
    fn overwrite(&self, side: &mut Side<'_>) -> Result<(), DriverError> {
        let identity = side.running.identity;
        let blocks = u64::from(self.entry.cdw(12) & 0xFFFF) + 1;
        let lba = u64::from(self.entry.cdw(11)) << 32 | u64::from(self.entry.cdw(10));
        if lba + blocks > identity.blocks {
            return Ok(());
        }
        let zeroes = vec![0; (blocks * u64::from(identity.lba_bytes)) as usize];
        side.running.host.write(&identity, lba, &zeroes)
    }

    /// Executes the command: its status, and all data pages if it succeeded. What a failed command has moved is open.
    fn run(&self, side: &mut Side<'_>, content: &[u8]) -> Result<(nvme_spec::Status, Vec<u8>), DriverError> {
        side.store(0, content);
        let list = self.prp[1] & !7;
        for (i, offset) in self.lists.iter().enumerate() {
            if list >= DATA_PAGES * PAGE_BYTES {
                let address = (side.pages + offset).to_le_bytes();
                side.store(list + i as u64 * 8, &address);
            }
        }
        let prp = self.prp.map(|offset| side.pages + offset);
        let entry = SqEntry { prp: wire_prps(prp), ..self.entry };
        let completion = side.running.host.execute(1, entry, &[])?;
        let data = if completion.status.is_success() { side.data() } else { Vec::new() };
        Ok((completion.status.code(), data))
    }
}

/// Status and data of Read, Write and Flush are those of the reference model.
///
/// Cases: K1, K2, K3, K4, X1.
#[test]
fn io_commands_end_as_on_the_reference_model() {
    every_back_end(|device| {
        let mut subject = Side::new(device)?;
        let identity = subject.running.identity;
        let config = Config { lba_bytes: identity.lba_bytes, blocks: identity.blocks, ..Config::DEFAULT };
        let mut reference = ModelDevice::new(config, HostMemory::new());
        let mut reference = Side::new(&mut reference)?;
        let mut random = Random::new(seed());
        let mut successes = 0;
        let count = rounds(&mut subject.running.host, 1000, 300);
        for number in 0..count {
            let case = Case::random(&mut random, &identity);
            let content = crate::expect::data(random.next_u64(), (DATA_PAGES * PAGE_BYTES) as usize);
            let expected = case.run(&mut reference, &content)?;
            let got = case.run(&mut subject, &content)?;
            assert_eq!(got.0, expected.0, "command {number}: {case:x?}");
            assert!(got.1 == expected.1, "command {number} left other data: {case:x?}");
            if !got.0.is_success() {
                case.overwrite(&mut reference)?;
                case.overwrite(&mut subject)?;
            }
            successes += u32::from(got.0.is_success());
        }
        assert!(successes > count / 3, "only {successes} of {count} commands succeeded");
        Ok(())
    });
}
