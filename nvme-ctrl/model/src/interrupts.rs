//! The MSI-X table and the pending bits. PCI Express Base, "MSI-X Capability and Table Structure".

use crate::host::HostPort;

const ENTRY_BYTES: u64 = 16;

/// Vector Control, "Mask Bit".
const MASK_BIT: u32 = 1;

/// How requests become one message. NVMe Base, "Interrupt Coalescing".
#[derive(Clone, Copy)]
pub(crate) struct Aggregation {
    /// So many at a time.
    pub(crate) entries: u32,
    /// Or after so many clocks.
    pub(crate) clocks: u64,
}

#[derive(Clone, Copy)]
struct Vector {
    address: u64,
    data: u32,
    control: u32,
    pending: bool,
    /// Requests that wait for others.
    waiting: u32,
    /// When they become pending, if no more come.
    late_at: u64,
}

impl Vector {
    const fn become_pending(&mut self) {
        self.pending = true;
        self.waiting = 0;
    }

    const fn withdraw(&mut self) {
        self.pending = false;
        self.waiting = 0;
    }
}

/// One entry per vector.
pub(crate) struct Msix {
    vectors: Vec<Vector>,
}

impl Msix {
    /// After a reset all vectors are masked and none is pending.
    pub(crate) fn new(vectors: u16) -> Self {
        let reset = Vector { address: 0, data: 0, control: MASK_BIT, pending: false, waiting: 0, late_at: 0 };
        Self { vectors: vec![reset; usize::from(vectors)] }
    }

    /// The dword at `offset` in the table.
    pub(crate) fn read_table(&self, offset: u64) -> u32 {
        let Some(vector) = self.vectors.get((offset / ENTRY_BYTES) as usize) else {
            return 0;
        };
        match offset % ENTRY_BYTES {
            0 => vector.address as u32,
            4 => (vector.address >> 32) as u32,
            8 => vector.data,
            _ => vector.control,
        }
    }

    /// Writes the dword at `offset` in the table.
    pub(crate) fn write_table(&mut self, offset: u64, value: u32) {
        let Some(vector) = self.vectors.get_mut((offset / ENTRY_BYTES) as usize) else {
            return;
        };
        let (low, high) = (vector.address & 0xFFFF_FFFF, vector.address >> 32 << 32);
        match offset % ENTRY_BYTES {
            // The two lowest bits of the address are always zero.
            0 => vector.address = high | u64::from(value & !3),
            4 => vector.address = u64::from(value) << 32 | low,
            8 => vector.data = value,
            // The other bits are reserved.
            _ => vector.control = value & MASK_BIT,
        }
    }

    /// The dword of pending bits at `offset`.
    pub(crate) fn read_pending(&self, offset: u64) -> u32 {
        let first = (offset * 8) as usize;
        let bits = self.vectors.iter().skip(first).take(32).enumerate();
        bits.fold(0, |all, (i, vector)| all | u32::from(vector.pending) << i)
    }

    /// A reason to interrupt came up, which may wait for others.
    pub(crate) fn raise(&mut self, vector: u16, aggregation: Option<Aggregation>, clock: u64) {
        let vector = &mut self.vectors[usize::from(vector)];
        vector.waiting += 1;
        match aggregation {
            Some(Aggregation { entries, clocks }) if vector.waiting < entries => {
                if vector.waiting == 1 {
                    vector.late_at = clock + clocks;
                }
            }
            _ => vector.become_pending(),
        }
    }

    /// Whether a request waits for others.
    pub(crate) fn is_aggregating(&self) -> bool {
        self.vectors.iter().any(|vector| vector.waiting > 0)
    }

    /// What has waited long enough waits no longer.
    pub(crate) fn announce_late(&mut self, clock: u64) {
        for vector in self.vectors.iter_mut().filter(|vector| vector.waiting > 0 && vector.late_at <= clock) {
            vector.become_pending();
        }
    }

    /// The reason went away before the message was sent.
    pub(crate) fn withdraw(&mut self, vector: u16) {
        self.vectors[usize::from(vector)].withdraw();
    }

    /// No reason is left.
    pub(crate) fn withdraw_all(&mut self) {
        self.vectors.iter_mut().for_each(Vector::withdraw);
    }

    /// Sends the message of one pending vector that is not masked.
    pub(crate) fn send_one(&mut self, function: u8, host: &mut dyn HostPort) {
        let ready = |v: &&mut Vector| v.pending && v.control & MASK_BIT == 0;
        if let Some(vector) = self.vectors.iter_mut().find(ready) {
            vector.pending = false;
            // Nobody is told about a lost message: it is a posted write.
            let _ = host.write(function, vector.address, &vector.data.to_le_bytes());
        }
    }
}
