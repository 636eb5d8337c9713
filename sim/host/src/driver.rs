use std::ops::Range;

use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::feature::fid;
use nvme_spec::identify::{cns, IdentifyController, IdentifyNamespace, IDENTIFY_BYTES};
use nvme_spec::opcode::{admin, io};
use nvme_spec::sgl::PSDT_SGL;
use nvme_spec::{regs, SglDescriptor, SqEntry, ZeroBased};
use sim_device::{Access, AccessKind, AccessRecord, Device, HostMemory, Sideband, MESSAGE_WINDOW, PAGE_BYTES};
use zerocopy::little_endian::{U32, U64};
use zerocopy::FromBytes;

use crate::error::{DriverError, Violation};
use crate::monitor::{Completion, Monitor, Vector};
use crate::rings::{CompletionRing, SubmissionRing, CQ_ENTRY_BYTES, SQ_ENTRY_BYTES};
use crate::{Buffer, ListPlacement};

/// Create I/O Queue, command dword 11: PC, Physically Contiguous.
const PHYSICALLY_CONTIGUOUS: u32 = 1;

/// Create I/O Completion Queue, command dword 11: IEN, Interrupts Enabled.
const INTERRUPTS_ENABLED: u32 = 1 << 1;

/// Data of the message of vector 0. Each vector has data and an address of its own.
const MESSAGE_DATA: u32 = 17_000;

/// How the driver learns of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It looks at every completion queue. Interrupts are judged if they come, and nothing is lost if they do not.
    Polling,
    /// It looks at a completion queue only after a message of its vector, so that a lost interrupt is a timeout.
    Interrupts,
}

/// What a driver does and expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The PCIe function that it drives. What others do to host memory is none of its business.
    pub function: u8,
    /// Entries in the admin submission queue.
    pub admin_submission_entries: u16,
    /// Entries in the admin completion queue.
    pub admin_completion_entries: u16,
    /// I/O queue pairs that [`Driver::bring_up`] asks for.
    pub io_queues: u16,
    /// Entries in each I/O queue.
    pub io_entries: u16,
    /// How completions are noticed.
    pub waiting: Waiting,
    /// Longest wait for anything, in clocks.
    pub clocks_max: u64,
    /// Clocks between two looks at the queues.
    pub poll_clocks: u32,
    /// Deterministic errors must come with Do Not Retry. Off where errors of host memory are injected at random.
    pub check_retry: bool,
    /// Completion queue head doorbells are rung by [`Driver::poll`]. Off where a test rings them itself.
    pub release_completions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            function: 0,
            admin_submission_entries: 32,
            admin_completion_entries: 32,
            io_queues: 8,
            io_entries: 64,
            waiting: Waiting::Polling,
            clocks_max: 2_000_000,
            poll_clocks: 16,
            check_retry: true,
            release_completions: true,
        }
    }
}

/// A small NVMe host driver.
///
/// It holds every access of the device to host memory against the rules that an NVMe controller always keeps (see
/// [`Violation`]), whatever it is used for. All waits are bounded and counted in clocks.
pub struct Driver<'d, D: Device + ?Sized> {
    device: &'d mut D,
    options: Options,
    monitor: Monitor,
    records: Vec<AccessRecord>,
    queue_memory: Vec<u64>,
    /// The functions that it has turned away from.
    others: Vec<Function>,
}

/// What a driver knows of a function.
struct Function {
    options: Options,
    monitor: Monitor,
    queue_memory: Vec<u64>,
}

impl<'d, D: Device + ?Sized> Driver<'d, D> {
    /// A driver that has not touched its device yet.
    pub fn new(device: &'d mut D, options: Options) -> Self {
        device.host().set_logging(true);
        device.host().take_messages();
        let mut records = Vec::new();
        device.host().take_log(&mut records);
        let monitor = Monitor::default();
        Self { device, options, monitor, records, queue_memory: Vec::new(), others: Vec::new() }
    }

    /// Turns to another function of the device, which has not been touched if the driver did not know it: all that follows is about this one, until the
    /// driver turns again. What the device does for the functions that it knows is judged all the time.
    pub fn turn_to(&mut self, function: u8) {
        if function == self.options.function {
            return;
        }
        let known = self.others.iter().position(|other| other.options.function == function);
        let next = known.map(|known| self.others.swap_remove(known)).unwrap_or_else(|| Function {
            options: Options { function, ..self.options.clone() },
            monitor: Monitor::default(),
            queue_memory: Vec::new(),
        });
        self.others.push(Function {
            options: std::mem::replace(&mut self.options, next.options),
            monitor: std::mem::replace(&mut self.monitor, next.monitor),
            queue_memory: std::mem::replace(&mut self.queue_memory, next.queue_memory),
        });
    }

    /// Its device.
    pub fn device(&mut self) -> &mut D {
        self.device
    }

    /// The memory of the host.
    pub fn host(&mut self) -> &mut HostMemory {
        self.device.host()
    }

    /// What it does and expects; may be changed at any time.
    pub fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Clocks since power-on.
    pub fn clock(&self) -> u64 {
        self.device.clock()
    }

    // --- Registers -------------------------------------------------------------------------------------------------------------------

    /// Reads a 32-bit register.
    pub fn read32(&mut self, offset: u32) -> u32 {
        self.device.read(self.access(offset, 4)) as u32
    }

    /// Reads a 64-bit register.
    pub fn read64(&mut self, offset: u32) -> u64 {
        self.device.read(self.access(offset, 8))
    }

    /// Writes a 32-bit register.
    pub fn write32(&mut self, offset: u32, value: u32) {
        self.device.write(self.access(offset, 4), u64::from(value));
    }

    /// Writes a 64-bit register.
    pub fn write64(&mut self, offset: u32, value: u64) {
        self.device.write(self.access(offset, 8), value);
    }

    const fn access(&self, offset: u32, bytes: u8) -> Access {
        Access { function: self.options.function, offset: offset as u64, bytes }
    }

    /// Controller Status.
    pub fn csts(&mut self) -> u32 {
        self.read32(regs::CSTS.offset)
    }

    // --- Time ------------------------------------------------------------------------------------------------------------------------

    /// Lets `clocks` clocks pass without looking at the queues; every access is still judged.
    pub fn step(&mut self, clocks: u32) -> Result<(), DriverError> {
        self.device.step(clocks);
        self.observe()
    }

    /// Looks at what the device did, and consumes the completions that the driver has learnt of.
    pub fn poll(&mut self) -> Result<(), DriverError> {
        self.observe()?;
        for queue in self.queues_to_look_at() {
            while self.consume(queue)? {}
            if self.options.release_completions {
                self.release(queue);
            }
        }
        Ok(())
    }

    /// Steps and polls until `done` says so.
    pub fn wait_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Result<(), DriverError> {
        let start = self.clock();
        loop {
            self.poll()?;
            if done(self) {
                return Ok(());
            }
            if self.clock() - start >= self.options.clocks_max {
                return Err(DriverError::Timeout {
                    device: self.device.name().to_owned(),
                    what: what.to_owned(),
                    clocks: self.clock() - start,
                    csts: self.csts(),
                });
            }
            self.device.step(self.options.poll_clocks);
        }
    }

    /// Steps and polls for `clocks` clocks.
    pub fn run_for(&mut self, clocks: u64) -> Result<(), DriverError> {
        let end = self.clock() + clocks;
        while self.clock() < end {
            let step = u64::from(self.options.poll_clocks).min(end - self.clock());
            self.device.step(step as u32);
            self.poll()?;
        }
        Ok(())
    }

    fn observe(&mut self) -> Result<(), DriverError> {
        let mut records = std::mem::take(&mut self.records);
        let host = self.device.host();
        host.take_log(&mut records);
        // Messages are judged between the accesses before and after them, in the order of the log.
        let mut judged = Ok(());
        if !records.is_empty() {
            let mut messages = Vec::new();
            if records.iter().any(|r| r.kind == AccessKind::Message) {
                messages = self.device.take_interrupts();
            }
            let mut messages = messages.iter();
            let host = self.device.host();
            for record in &records {
                let others = self.others.iter_mut().map(|other| (other.options.function, &mut other.monitor));
                let mut known = std::iter::once((self.options.function, &mut self.monitor)).chain(others);
                let monitor = known.find(|(function, _)| *function == record.function).map(|(_, monitor)| monitor);
                judged = match record.kind {
                    AccessKind::Message if record.failed => Ok(()),
                    AccessKind::Message => {
                        let message = messages.next().zip(monitor);
                        message.map_or(Ok(()), |(message, monitor)| monitor.message(message))
                    }
                    _ => monitor.map_or(Ok(()), |monitor| monitor.access(record, host)),
                };
                if judged.is_err() {
                    break;
                }
            }
        }
        self.records = records;
        judged.map_err(|violation| self.violation(violation))
    }

    fn queues_to_look_at(&mut self) -> Vec<u16> {
        let by_interrupt = self.options.waiting == Waiting::Interrupts;
        let Monitor { completion, vectors, .. } = &mut self.monitor;
        let has_news = |ring: &CompletionRing| match ring.vector {
            Some(vector) if by_interrupt => vectors[usize::from(vector)].messages > 0,
            _ => ring.head < ring.tail,
        };
        let queues = completion.iter().filter(|(_, ring)| has_news(ring));
        let queues: Vec<u16> = queues.map(|(queue, _)| *queue).collect();
        if by_interrupt {
            for vector in queues.iter().filter_map(|queue| completion[queue].vector) {
                vectors[usize::from(vector)].messages = 0;
            }
        }
        queues
    }

    /// Consumes one entry of completion queue `queue`, if there is one. Its doorbell is not rung: see [`release`](Self::release).
    pub fn consume(&mut self, queue: u16) -> Result<bool, DriverError> {
        let consumed = self.monitor.consume(queue, self.device.host(), self.options.check_retry);
        consumed.map_err(|violation| self.violation(violation))
    }

    /// Tells the device that all consumed entries of completion queue `queue` may be overwritten.
    pub fn release(&mut self, queue: u16) {
        let Some(ring) = self.monitor.completion.get_mut(&queue) else {
            return;
        };
        if ring.released == ring.head {
            return;
        }
        ring.released = ring.head;
        let head = (ring.head % ring.entries) as u32;
        self.monitor.expect_message(queue);
        self.write32(regs::cq_head_doorbell(queue), head);
    }

    fn unsupported(&self, what: &str) -> DriverError {
        DriverError::Unsupported { device: self.device.name().to_owned(), what: what.to_owned() }
    }

    fn violation(&self, violation: Violation) -> DriverError {
        DriverError::Violation { device: self.device.name().to_owned(), violation }
    }

    /// Checks the memory around every guarded allocation.
    pub fn check_canaries(&mut self) -> Result<(), DriverError> {
        let checked = self.device.host().check_canaries();
        checked.map_err(|error| self.violation(Violation::Canary(error)))
    }

    // --- Bring-up --------------------------------------------------------------------------------------------------------------------

    /// Disables the controller and waits until it says so. From then on any access to host memory is a violation.
    pub fn disable(&mut self) -> Result<(), DriverError> {
        self.write32(regs::CC.offset, Self::cc_value(0));
        self.wait_until("CSTS.RDY = 0", |d| regs::csts::RDY.get32(d.csts()) == 0)?;
        self.observe()?;
        self.now_disabled();
        Ok(())
    }

    /// Forgets all queues: the controller has lost them, by whatever reset.
    pub fn now_disabled(&mut self) {
        self.monitor.forget();
        self.monitor.disabled = true;
        self.monitor.is_lenient = false;
        for address in std::mem::take(&mut self.queue_memory) {
            self.device.host().free(address);
        }
    }

    /// The value of CC that this driver runs a controller with; with `enable` 0, the one that stops it.
    pub fn cc_value(enable: u32) -> u32 {
        let value = regs::cc::EN.set32(0, enable);
        let value = regs::cc::IOSQES.set32(value, u32::from(SQ_ENTRY_LOG2_BYTES));
        regs::cc::IOCQES.set32(value, u32::from(CQ_ENTRY_LOG2_BYTES))
    }

    /// Gives the disabled controller its admin queues and enables it.
    ///
    /// NVMe Base, "Memory-based Transport Controller Initialization".
    pub fn enable(&mut self) -> Result<(), DriverError> {
        self.prepare_admin_queues();
        self.write32(regs::CC.offset, Self::cc_value(1));
        self.wait_ready()
    }

    /// Allocates the admin queues and writes AQA, ASQ and ACQ; answers the two bases.
    pub fn prepare_admin_queues(&mut self) -> (u64, u64) {
        let asqs = u64::from(self.options.admin_submission_entries);
        let acqs = u64::from(self.options.admin_completion_entries);
        let submission = self.alloc_queue(asqs, SQ_ENTRY_BYTES);
        let completion = self.alloc_queue(acqs, CQ_ENTRY_BYTES);
        let aqa = regs::aqa::ASQS.set32(0, asqs as u32 - 1);
        let aqa = regs::aqa::ACQS.set32(aqa, acqs as u32 - 1);
        self.write32(regs::AQA.offset, aqa);
        self.write64(regs::ASQ.offset, submission);
        self.write64(regs::ACQ.offset, completion);
        self.monitor.disabled = false;
        self.add_completion_ring(0, completion, acqs, Some(0));
        self.add_submission_ring(0, submission, asqs, 0);
        (submission, completion)
    }

    /// Waits for CSTS.RDY = 1.
    pub fn wait_ready(&mut self) -> Result<(), DriverError> {
        self.wait_until("CSTS.RDY = 1", |d| regs::csts::RDY.get32(d.csts()) == 1)
    }

    /// Writes the MSI-X table: vector `v` of `vectors` is unmasked and has a message of its own.
    pub fn set_up_interrupts(&mut self, vectors: u16) {
        self.device.set_sideband(self.options.function, Sideband::RUNNING);
        self.monitor.vectors.clear();
        for vector in 0..vectors {
            self.monitor.vectors.push(Vector::default());
            let address = MESSAGE_WINDOW.start + u64::from(vector) * 8;
            self.set_vector(vector, address, MESSAGE_DATA + u32::from(vector));
            self.mask_vector(vector, false);
        }
    }

    /// Writes address and data of one entry of the MSI-X table.
    pub fn set_vector(&mut self, vector: u16, address: u64, data: u32) {
        let entry = msix_entry(vector);
        self.write32(entry, address as u32);
        self.write32(entry + 4, (address >> 32) as u32);
        self.write32(entry + 8, data);
        let known = &mut self.monitor.vectors[usize::from(vector)];
        known.address = address;
        known.data = data;
    }

    /// Masks or unmasks one entry of the MSI-X table.
    pub fn mask_vector(&mut self, vector: u16, masked: bool) {
        self.write32(msix_entry(vector) + 12, u32::from(masked));
    }

    /// The pending bit of a vector.
    pub fn is_pending(&mut self, vector: u16) -> bool {
        let word = self.read32(regs::MSIX_PBA.start + u32::from(vector / 32) * 4);
        word >> (vector % 32) & 1 == 1
    }

    /// Messages of `vector` that arrived since it was last asked or served.
    pub fn take_messages(&mut self, vector: u16) -> u64 {
        std::mem::take(&mut self.monitor.vectors[usize::from(vector)].messages)
    }

    /// Resets and enables the controller with its admin queue, one interrupt vector per possible queue, and no I/O queue.
    pub fn start(&mut self) -> Result<(), DriverError> {
        self.disable()?;
        self.set_up_interrupts(self.options.io_queues + 1);
        self.enable()
    }

    /// Brings the controller up as an operating system does: [`start`](Self::start), Identify, Number of Queues, and the I/O queue pairs,
    /// pair `n` with vector `n`.
    pub fn bring_up(&mut self) -> Result<Identity, DriverError> {
        self.start()?;
        let identity = self.identity()?;
        let granted = self.set_number_of_queues(self.options.io_queues)?;
        if granted < self.options.io_queues {
            let wanted = self.options.io_queues;
            return Err(self.unsupported(&format!("{granted} I/O queue pairs instead of {wanted}")));
        }
        for queue in 1..=self.options.io_queues {
            self.create_queue_pair(queue, self.options.io_entries, Some(queue))?;
        }
        Ok(identity)
    }

    /// Identify Controller and the first active namespace.
    pub fn identity(&mut self) -> Result<Identity, DriverError> {
        let (completion, data) = self.admin_data(identify_entry(cns::CONTROLLER, 0), IDENTIFY_BYTES as usize)?;
        self.succeeded("Identify Controller", completion)?;
        let controller = read_wire(&data);
        let (completion, data) = self.admin_data(identify_entry(cns::ACTIVE_NAMESPACES, 0), IDENTIFY_BYTES as usize)?;
        self.succeeded("Identify, active namespaces", completion)?;
        let nsid = read_wire::<U32>(&data[..4]).get();
        if nsid == 0 {
            return Err(self.unsupported("it has no active namespace"));
        }
        let (completion, data) = self.admin_data(identify_entry(cns::NAMESPACE, nsid), IDENTIFY_BYTES as usize)?;
        self.succeeded("Identify Namespace", completion)?;
        let namespace: IdentifyNamespace = read_wire(&data);
        let format = namespace.lbaf[usize::from(namespace.flbas & 0xF)];
        if !(9..=12).contains(&format.lbads) || format.ms.get() != 0 {
            return Err(self.unsupported("its logical blocks are not plain blocks of 512 to 4096 bytes"));
        }
        Ok(Identity { controller, namespace, nsid, lba_bytes: 1 << format.lbads, blocks: namespace.nsze.get() })
    }

    /// Asks for `pairs` I/O queue pairs; answers how many there may be.
    ///
    /// NVMe Base, "Number of Queues".
    pub fn set_number_of_queues(&mut self, pairs: u16) -> Result<u16, DriverError> {
        let wanted = u32::from(pairs) - 1;
        let entry = SqEntry {
            opcode: admin::SET_FEATURES,
            cdw10: cdw([u32::from(fid::NUMBER_OF_QUEUES), wanted << 16 | wanted, 0, 0, 0, 0]),
            ..SqEntry::default()
        };
        let result = self.admin("Set Features, Number of Queues", entry)?.result;
        let granted = (result & 0xFFFF).min(result >> 16) + 1;
        Ok(granted.min(u32::from(u16::MAX)) as u16)
    }

    // --- Queues ----------------------------------------------------------------------------------------------------------------------

    fn alloc_queue(&mut self, entries: u64, entry_bytes: u64) -> u64 {
        let host = self.device.host();
        let address = host.alloc_guarded(entries * entry_bytes, PAGE_BYTES);
        // The first pass of a completion queue has phase one; the queue must not look used before.
        host.fill(address, entries * entry_bytes, 0);
        self.queue_memory.push(address);
        address
    }

    fn add_submission_ring(&mut self, queue: u16, base: u64, entries: u64, completion: u16) {
        let ring = SubmissionRing::new(base, entries, completion);
        self.monitor.submission.insert(queue, ring);
    }

    fn add_completion_ring(&mut self, queue: u16, base: u64, entries: u64, vector: Option<u16>) {
        let ring = CompletionRing::new(base, entries, vector);
        self.monitor.completion.insert(queue, ring);
    }

    /// Creates an I/O completion queue; without a vector, it has no interrupts.
    pub fn create_completion_queue(
        &mut self,
        queue: u16,
        entries: u16,
        vector: Option<u16>,
    ) -> Result<(), DriverError> {
        let base = self.alloc_queue(u64::from(entries), CQ_ENTRY_BYTES);
        let entry = create_cq_entry(queue, entries, base, vector);
        // The ring is known first: nothing keeps the device from using it before the command's completion.
        self.add_completion_ring(queue, base, u64::from(entries), vector);
        let created = self.admin("Create I/O Completion Queue", entry);
        if created.is_err() {
            self.monitor.completion.remove(&queue);
        }
        created.map(|_| ())
    }

    /// Creates an I/O submission queue on completion queue `completion`.
    pub fn create_submission_queue(&mut self, queue: u16, entries: u16, completion: u16) -> Result<(), DriverError> {
        let base = self.alloc_queue(u64::from(entries), SQ_ENTRY_BYTES);
        let entry = create_sq_entry(queue, entries, base, completion);
        self.admin("Create I/O Submission Queue", entry)?;
        self.add_submission_ring(queue, base, u64::from(entries), completion);
        Ok(())
    }

    /// Creates completion and submission queue `queue`, of equal size.
    pub fn create_queue_pair(&mut self, queue: u16, entries: u16, vector: Option<u16>) -> Result<(), DriverError> {
        self.create_completion_queue(queue, entries, vector)?;
        self.create_submission_queue(queue, entries, queue)
    }

    /// Allocates the memory of a queue, with canaries around it. It is given back when the controller is disabled.
    pub fn alloc_queue_memory(&mut self, entries: u32, entry_log2_bytes: u8) -> u64 {
        self.alloc_queue(u64::from(entries), 1 << entry_log2_bytes)
    }

    /// Makes a completion queue known that the caller has created by a command of its own, and whose memory it owns.
    pub fn know_completion_queue(&mut self, queue: u16, base: u64, entries: u32, vector: Option<u16>) {
        let vector = vector.filter(|vector| usize::from(*vector) < self.monitor.vectors.len());
        self.add_completion_ring(queue, base, u64::from(entries), vector);
    }

    /// As [`know_completion_queue`](Self::know_completion_queue), for a submission queue on completion queue `completion`.
    pub fn know_submission_queue(&mut self, queue: u16, base: u64, entries: u32, completion: u16) {
        self.add_submission_ring(queue, base, u64::from(entries), completion);
    }

    /// Forgets a completion queue that the caller has deleted.
    pub fn forget_completion_queue(&mut self, queue: u16) {
        self.monitor.completion.remove(&queue);
    }

    /// Forgets a submission queue that the caller has deleted, with what was in flight in it. Completions that came before the deletion's are
    /// consumed first.
    pub fn forget_submission_queue(&mut self, queue: u16) -> Result<(), DriverError> {
        self.observe()?;
        if let Some(completion) = self.monitor.submission.get(&queue).map(|ring| ring.completion_queue) {
            while self.consume(completion)? {}
            if self.options.release_completions {
                self.release(completion);
            }
        }
        self.monitor.remove_submission(queue);
        Ok(())
    }

    /// Where in the data of commands writes of the device were answered with an error since this was last asked. Writes are posted: the device
    /// need not learn of it.
    pub fn take_failed_writes(&mut self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.monitor.failed_writes)
    }

    /// From now on the host does what the specification leaves without a defined answer, such as writing other fields of CC while the controller
    /// is enabled: completions and messages are no longer judged, and of all writes only those into submission queues and, by
    /// [`check_canaries`](Self::check_canaries), those beside allocations. Only a reset leads back: see [`now_disabled`](Self::now_disabled).
    pub fn judge_writes_only(&mut self) {
        self.monitor.is_lenient = true;
    }

    /// Deletes an I/O submission queue. What was in flight in it is forgotten.
    pub fn delete_submission_queue(&mut self, queue: u16) -> Result<(), DriverError> {
        self.admin("Delete I/O Submission Queue", delete_entry(admin::DELETE_IO_SQ, queue))?;
        // Completions that came before the deletion's are consumed as usual.
        self.poll()?;
        self.monitor.remove_submission(queue);
        Ok(())
    }

    /// Deletes an I/O completion queue.
    pub fn delete_completion_queue(&mut self, queue: u16) -> Result<(), DriverError> {
        self.admin("Delete I/O Completion Queue", delete_entry(admin::DELETE_IO_CQ, queue))?;
        self.monitor.completion.remove(&queue);
        Ok(())
    }

    // --- Commands --------------------------------------------------------------------------------------------------------------------

    /// Puts a command into a queue without announcing it, with a free command id, which is returned. The device may write the memory
    /// `writable` until the command completes.
    pub fn push(&mut self, queue: u16, mut entry: SqEntry, writable: &[Range<u64>]) -> Result<u16, DriverError> {
        let Some(ring) = self.monitor.submission.get_mut(&queue) else {
            return Err(DriverError::NoQueue { queue });
        };
        let cid = ring.free_cid();
        entry.cid = cid.into();
        self.push_raw(queue, zerocopy::transmute!(entry), writable)?;
        Ok(cid)
    }

    /// What the host knows of a completion queue and of the submission queues on it, in words: for messages.
    pub fn describe_queue(&self, queue: u16) -> String {
        let Some(ring) = self.monitor.completion.get(&queue) else {
            return "no completion queue".into();
        };
        let mut text = format!(
            "{} entries written, {} consumed, {} given back, of {}; {:?}, vector {:?}",
            ring.tail, ring.head, ring.released, ring.entries, self.options.waiting, ring.vector
        );
        for (id, ring) in self.monitor.submission.iter().filter(|(_, ring)| ring.completion_queue == queue) {
            let (tail, announced, head) = (ring.tail, ring.announced, ring.head);
            text += &format!(
                ", submission queue {id} with {tail} put in, {announced} announced, head {head} of {}",
                ring.entries
            );
        }
        text
    }

    /// Puts any 64 bytes into a queue without announcing them; the command id is the one in them.
    pub fn push_raw(&mut self, queue: u16, entry: [u8; 64], writable: &[Range<u64>]) -> Result<(), DriverError> {
        let Some(ring) = self.monitor.submission.get(&queue) else {
            return Err(DriverError::NoQueue { queue });
        };
        if ring.is_full() {
            return Err(DriverError::QueueFull { queue });
        }
        let address = ring.base + ring.tail % ring.entries * SQ_ENTRY_BYTES;
        self.device.host().store(address, &entry);
        let wire: SqEntry = zerocopy::transmute!(entry);
        self.monitor.start(queue, wire.cid.get(), writable);
        Ok(())
    }

    /// Where in host memory the entry of a command in flight is.
    pub fn entry_address(&self, queue: u16, cid: u16) -> Option<u64> {
        let ring = self.monitor.submission.get(&queue)?;
        let (_, position) = ring.find(cid)?;
        Some(ring.base + position % ring.entries * SQ_ENTRY_BYTES)
    }

    /// The memory of a submission queue.
    pub fn submission_memory(&self, queue: u16) -> Option<Range<u64>> {
        self.monitor.submission.get(&queue).map(SubmissionRing::memory)
    }

    /// The submission queue of each entry that the device has read since this was last asked, in the order of the reads. They are written down
    /// from the first call on.
    pub fn take_fetches(&mut self) -> Vec<u16> {
        self.monitor.fetches.replace(Vec::new()).unwrap_or_default()
    }

    /// Lets the device write `range` at any time from now on: for commands whose buffers the driver does not know.
    pub fn allow_writes(&mut self, range: Range<u64>) {
        self.monitor.always_writable.push(range);
    }

    /// Completion entries that arrived in a queue and were not consumed.
    pub fn waiting_completions(&self, queue: u16) -> u64 {
        let ring = self.monitor.completion.get(&queue);
        ring.map_or(0, |ring| ring.tail - ring.head)
    }

    /// Announces all commands that were pushed into a queue, by one doorbell write.
    pub fn ring(&mut self, queue: u16) {
        let now = self.device.clock();
        if let Some(tail) = self.monitor.announce(queue, now) {
            self.write32(regs::sq_tail_doorbell(queue), tail);
        }
    }

    /// Pushes one command and announces it.
    pub fn submit(&mut self, queue: u16, entry: SqEntry, writable: &[Range<u64>]) -> Result<u16, DriverError> {
        let cid = self.push(queue, entry, writable)?;
        self.ring(queue);
        Ok(cid)
    }

    /// Whether no slot is free in a queue.
    pub fn is_full(&self, queue: u16) -> bool {
        let ring = self.monitor.submission.get(&queue);
        ring.is_none_or(SubmissionRing::is_full)
    }

    /// Commands in flight in all queues.
    pub fn in_flight(&self) -> usize {
        self.monitor.in_flight()
    }

    /// The oldest completion that was consumed and not taken yet.
    pub fn next_completion(&mut self) -> Option<Completion> {
        self.monitor.consumed.pop_front()
    }

    /// Whether a completion was consumed and not taken yet.
    pub fn has_completion(&self) -> bool {
        !self.monitor.consumed.is_empty()
    }

    /// The completion of one command, if it was consumed.
    pub fn take_completion(&mut self, queue: u16, cid: u16) -> Option<Completion> {
        let consumed = &mut self.monitor.consumed;
        let at = consumed.iter().position(|c| (c.queue, c.cid) == (queue, cid))?;
        consumed.remove(at)
    }

    /// Waits for the completion of one command.
    pub fn wait(&mut self, queue: u16, cid: u16) -> Result<Completion, DriverError> {
        let mut found = None;
        let what = format!("the completion of command {cid:#06x} of queue {queue}");
        self.wait_until(&what, |driver| {
            found = driver.take_completion(queue, cid);
            found.is_some()
        })?;
        found.ok_or(DriverError::NoQueue { queue })
    }

    /// Waits until nothing is in flight, and returns the completions in the order of their arrival.
    pub fn wait_all(&mut self) -> Result<Vec<Completion>, DriverError> {
        self.wait_until("the completion of every command", |d| d.in_flight() == 0)?;
        Ok(self.monitor.consumed.drain(..).collect())
    }

    /// Submits one command and waits for it, whatever its status.
    pub fn execute(&mut self, queue: u16, entry: SqEntry, writable: &[Range<u64>]) -> Result<Completion, DriverError> {
        let cid = self.submit(queue, entry, writable)?;
        self.wait(queue, cid)
    }

    /// Executes an admin command without data, which must succeed.
    pub fn admin(&mut self, what: &str, entry: SqEntry) -> Result<Completion, DriverError> {
        let completion = self.execute(0, entry, &[])?;
        self.succeeded(what, completion)
    }

    /// Executes an admin command that returns `bytes` of data, and returns them with the completion.
    pub fn admin_data(&mut self, mut entry: SqEntry, bytes: usize) -> Result<(Completion, Vec<u8>), DriverError> {
        let mut buffer = Buffer::contiguous(self.host(), 0, bytes);
        entry.prp = wire_prps(buffer.prps(self.host(), ListPlacement::PAGE_START));
        let completion = self.execute(0, entry, buffer.segments())?;
        let data = buffer.load(self.host());
        self.check_canaries()?;
        buffer.free(self.host());
        Ok((completion, data))
    }

    fn succeeded(&self, what: &str, completion: Completion) -> Result<Completion, DriverError> {
        if completion.status.is_success() {
            return Ok(completion);
        }
        Err(DriverError::Failed {
            device: self.device.name().to_owned(),
            what: what.to_owned(),
            status: completion.status,
        })
    }

    // --- Reading and writing ---------------------------------------------------------------------------------------------------------

    /// Submits a Read into `buffer`, or a Write from it.
    pub fn submit_transfer(
        &mut self,
        queue: u16,
        transfer: IoTransfer,
        buffer: &mut Buffer,
        placement: ListPlacement,
    ) -> Result<u16, DriverError> {
        let prp = buffer.prps(self.host(), placement);
        let entry = transfer.entry(prp);
        let writable = if transfer.write { &[] } else { buffer.segments() };
        self.submit(queue, entry, writable)
    }

    /// Reads blocks through I/O queue 1 and waits for them. `data` must be a whole number of blocks.
    pub fn read(&mut self, identity: &Identity, lba: u64, data: &mut [u8]) -> Result<(), DriverError> {
        let mut buffer = Buffer::contiguous(self.host(), 0, data.len());
        self.transfer(identity, lba, &mut buffer, false)?;
        data.copy_from_slice(&buffer.load(self.host()));
        buffer.free(self.host());
        Ok(())
    }

    /// Writes blocks through I/O queue 1 and waits for them. `data` must be a whole number of blocks.
    pub fn write(&mut self, identity: &Identity, lba: u64, data: &[u8]) -> Result<(), DriverError> {
        let mut buffer = Buffer::contiguous(self.host(), 0, data.len());
        buffer.store(self.host(), data);
        self.transfer(identity, lba, &mut buffer, true)?;
        buffer.free(self.host());
        Ok(())
    }

    fn transfer(&mut self, identity: &Identity, lba: u64, buffer: &mut Buffer, write: bool) -> Result<(), DriverError> {
        let transfer = IoTransfer {
            write,
            nsid: identity.nsid,
            lba,
            blocks: (buffer.bytes() as u64 / u64::from(identity.lba_bytes)) as u32,
        };
        let cid = self.submit_transfer(1, transfer, buffer, ListPlacement::PAGE_START)?;
        let completion = self.wait(1, cid)?;
        self.succeeded(if write { "Write" } else { "Read" }, completion)?;
        Ok(())
    }

    /// Sets blocks to zero through I/O queue 1 and waits.
    pub fn write_zeroes(&mut self, identity: &Identity, lba: u64, blocks: u32) -> Result<(), DriverError> {
        let completion = self.execute(1, blocks_entry(io::WRITE_ZEROES, identity.nsid, lba, blocks), &[])?;
        self.succeeded("Write Zeroes", completion)?;
        Ok(())
    }

    /// Verifies blocks through I/O queue 1 and waits.
    pub fn verify(&mut self, identity: &Identity, lba: u64, blocks: u32) -> Result<(), DriverError> {
        let completion = self.execute(1, blocks_entry(io::VERIFY, identity.nsid, lba, blocks), &[])?;
        self.succeeded("Verify", completion)?;
        Ok(())
    }

    /// Flushes the namespace through I/O queue 1 and waits.
    pub fn flush(&mut self, identity: &Identity) -> Result<(), DriverError> {
        let entry = SqEntry { opcode: io::FLUSH, nsid: identity.nsid.into(), ..SqEntry::default() };
        let completion = self.execute(1, entry, &[])?;
        self.succeeded("Flush", completion)?;
        Ok(())
    }
}

/// What the device says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Identify Controller.
    pub controller: IdentifyController,
    /// Identify Namespace of `nsid`.
    pub namespace: IdentifyNamespace,
    /// The first active namespace.
    pub nsid: u32,
    /// Bytes of its logical blocks.
    pub lba_bytes: u32,
    /// Its size in logical blocks.
    pub blocks: u64,
}

impl Identity {
    /// Most bytes of one command. MDTS counts in pages of CAP.MPSMIN, 4 KiB; 0 means no limit.
    pub const fn transfer_bytes_max(&self) -> u64 {
        match self.controller.attributes.mdts {
            0 => u64::MAX,
            mdts => PAGE_BYTES << mdts,
        }
    }
}

/// A Read or a Write, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoTransfer {
    /// A Write instead of a Read.
    pub write: bool,
    /// Namespace.
    pub nsid: u32,
    /// First block.
    pub lba: u64,
    /// Number of blocks, 1 to 65536.
    pub blocks: u32,
}

impl IoTransfer {
    /// The submission queue entry with `prp`; its command id is still open.
    pub fn entry(&self, prp: [u64; 2]) -> SqEntry {
        let opcode = if self.write { io::WRITE } else { io::READ };
        SqEntry { prp: wire_prps(prp), ..blocks_entry(opcode, self.nsid, self.lba, self.blocks) }
    }
}

/// A command that names logical blocks, without data.
pub fn blocks_entry(opcode: u8, nsid: u32, lba: u64, blocks: u32) -> SqEntry {
    let count = u32::from(ZeroBased::from_count(blocks).raw());
    let (low, high) = (lba as u32, (lba >> 32) as u32);
    SqEntry { opcode, nsid: nsid.into(), cdw10: cdw([low, high, count, 0, 0, 0]), ..SqEntry::default() }
}

/// Command dwords 10 to 15 in wire order.
pub fn cdw(dwords: [u32; 6]) -> [U32; 6] {
    dwords.map(U32::new)
}

/// PRP1 and PRP2 in wire order.
pub fn wire_prps(prp: [u64; 2]) -> [U64; 2] {
    prp.map(U64::new)
}

/// The same entry with an SGL in place of PRPs. NVMe Base, "Submission Queue Entry", PSDT.
pub fn with_sgl(entry: SqEntry, first: SglDescriptor) -> SqEntry {
    SqEntry { flags: PSDT_SGL << 6, prp: wire_prps(first.halves()), ..entry }
}

/// Create I/O Completion Queue. NVMe Base, "Create I/O Completion Queue command".
pub fn create_cq_entry(queue: u16, entries: u16, base: u64, vector: Option<u16>) -> SqEntry {
    let interrupts = vector.map_or(0, |vector| u32::from(vector) << 16 | INTERRUPTS_ENABLED);
    SqEntry {
        opcode: admin::CREATE_IO_CQ,
        prp: wire_prps([base, 0]),
        cdw10: cdw([queue_and_size(queue, entries), interrupts | PHYSICALLY_CONTIGUOUS, 0, 0, 0, 0]),
        ..SqEntry::default()
    }
}

/// Create I/O Submission Queue. NVMe Base, "Create I/O Submission Queue command".
pub fn create_sq_entry(queue: u16, entries: u16, base: u64, completion: u16) -> SqEntry {
    SqEntry {
        opcode: admin::CREATE_IO_SQ,
        prp: wire_prps([base, 0]),
        cdw10: cdw([queue_and_size(queue, entries), u32::from(completion) << 16 | PHYSICALLY_CONTIGUOUS, 0, 0, 0, 0]),
        ..SqEntry::default()
    }
}

fn queue_and_size(queue: u16, entries: u16) -> u32 {
    u32::from(entries.wrapping_sub(1)) << 16 | u32::from(queue)
}

/// Identify. NVMe Base, "Identify command".
pub fn identify_entry(cns: u8, nsid: u32) -> SqEntry {
    SqEntry {
        opcode: admin::IDENTIFY,
        nsid: nsid.into(),
        cdw10: cdw([u32::from(cns), 0, 0, 0, 0, 0]),
        ..SqEntry::default()
    }
}

/// Delete I/O Submission Queue or Delete I/O Completion Queue, by `opcode`.
pub fn delete_entry(opcode: u8, queue: u16) -> SqEntry {
    SqEntry { opcode, cdw10: cdw([u32::from(queue), 0, 0, 0, 0, 0]), ..SqEntry::default() }
}

/// The wire type at the start of `data`.
fn read_wire<T: FromBytes>(data: &[u8]) -> T {
    let (value, _) = T::read_from_prefix(data).expect("the caller asked for that many bytes");
    value
}

const fn msix_entry(vector: u16) -> u32 {
    regs::MSIX_TABLE.start + vector as u32 * regs::MSIX_ENTRY_BYTES
}
