//! Another function that works meanwhile.

use nvme_spec::opcode::io;
use nvme_spec::regs;
use sim_device::{Access, Device, Random};
use sim_host::{Buffer, Driver, DriverError, IoTransfer, ListPlacement, Options};

/// Entries of its submission queue.
const ENTRIES: u16 = 32;

/// Entries of its completion queue, which is never given back: it ends with the last of them.
const COMPLETIONS: u16 = 4096;

/// Logical blocks of a Read, at most, and where they begin.
const BLOCKS_MAX: u64 = 8;
const LBAS: u64 = 1024;

/// A function whose host has filled a submission queue once, and rings its doorbell again and again. Nobody looks at what it gets: it is there
/// to disturb. It reads, and sends what nobody understands, so that hardware and firmware are busy with it.
pub(crate) struct Neighbour {
    function: u8,
    tail: u16,
    /// Commands until its completion queue is full.
    left: u16,
}

impl Neighbour {
    /// Brings the function up, before anybody else uses the device.
    pub(crate) fn new<'d>(
        device: &'d mut (dyn Device + 'd),
        function: u8,
        random: &mut Random,
    ) -> Result<Self, DriverError> {
        let options = Options { function, io_queues: 1, ..Options::default() };
        let mut host = Driver::new(device, options);
        host.start()?;
        let identity = host.identity()?;
        host.set_number_of_queues(1)?;
        host.create_completion_queue(1, COMPLETIONS, Some(1))?;
        host.create_submission_queue(1, ENTRIES, 1)?;
        let bytes = BLOCKS_MAX as usize * identity.lba_bytes as usize;
        let mut buffer = Buffer::contiguous(host.host(), 0, bytes);
        let prp = buffer.prps(host.host(), ListPlacement::PAGE_START);
        for _ in 0..ENTRIES {
            let blocks = random.between(1, BLOCKS_MAX) as u32;
            let transfer = IoTransfer { write: false, nsid: identity.nsid, lba: random.below(LBAS), blocks };
            let mut entry = transfer.entry(prp);
            if random.below(8) == 0 {
                let mut bytes = [0; 64];
                random.fill(&mut bytes);
                entry = zerocopy::transmute!(bytes);
                // Nothing that has data, or would be held for ever.
                entry.opcode = *random.pick(&[io::FLUSH, 0x7F, 0xFF]);
            }
            host.execute(1, entry, buffer.segments())?;
        }
        Ok(Self { function, tail: 0, left: COMPLETIONS - 1 - ENTRIES })
    }

    /// Its number.
    pub(crate) fn function(&self) -> u8 {
        self.function
    }

    /// Announces some commands.
    pub(crate) fn go_on(&mut self, device: &mut dyn Device, random: &mut Random) {
        let count = (random.between(1, u64::from(ENTRIES) - 1) as u16).min(self.left);
        self.left -= count;
        self.tail = (self.tail + count) % ENTRIES;
        let offset = u64::from(regs::sq_tail_doorbell(1));
        device.write(Access { function: self.function, offset, bytes: 4 }, u64::from(self.tail));
    }
}
