//! What a PCIe link lets through: the limits that figures are set beside. Arithmetic, not measured.

/// Lanes of the links.
pub const LANES: u32 = 4;

/// Maximum Payload Size that the limits are for, in bytes.
pub const MAX_PAYLOAD_BYTES: u64 = 256;

/// Framing, header and LCRC of a packet with a 64-bit address: a memory write or a read request.
const REQUEST_OVERHEAD_BYTES: u64 = 24;

/// Framing, header and LCRC of a completion with data.
const COMPLETION_OVERHEAD_BYTES: u64 = 20;

/// Bytes of an interrupt message.
const MESSAGE_BYTES: u64 = 4;

/// A generation of PCI Express. Traffic of the data link layer is not counted.
#[derive(Clone, Copy, Debug)]
pub struct Generation {
    /// Its usual name.
    pub name: &'static str,
    /// Raw rate of a lane, in 10^9 transfers (bits) per second; 128 of 130 bits carry data.
    pub gigatransfers: f64,
}

/// The generations that figures are set beside.
pub const GENERATIONS: [Generation; 3] = [
    Generation { name: "Gen3", gigatransfers: 8.0 },
    Generation { name: "Gen4", gigatransfers: 16.0 },
    Generation { name: "Gen5", gigatransfers: 32.0 },
];

impl Generation {
    /// Bytes per second and direction, before packets.
    pub fn bytes_per_second(&self) -> f64 {
        self.gigatransfers * 1e9 * f64::from(LANES) * 128.0 / 130.0 / 8.0
    }

    /// Most reads of `bytes` bytes per second: data, completion entry, interrupt and the request for the next entry go towards the host.
    pub fn reads_per_second(&self, bytes: u64) -> f64 {
        let data = packets(bytes, REQUEST_OVERHEAD_BYTES);
        let entry = size_of::<nvme_spec::CqEntry>() as u64 + REQUEST_OVERHEAD_BYTES;
        let message = MESSAGE_BYTES + REQUEST_OVERHEAD_BYTES;
        self.bytes_per_second() / (data + entry + message + REQUEST_OVERHEAD_BYTES) as f64
    }

    /// Most writes of `bytes` bytes per second: data and entry come from the host as completions, and the host rings two doorbells.
    pub fn writes_per_second(&self, bytes: u64) -> f64 {
        let data = packets(bytes, COMPLETION_OVERHEAD_BYTES);
        let entry = size_of::<nvme_spec::SqEntry>() as u64 + COMPLETION_OVERHEAD_BYTES;
        let doorbell = u64::from(nvme_spec::regs::DOORBELL_BYTES) + REQUEST_OVERHEAD_BYTES;
        self.bytes_per_second() / (data + entry + 2 * doorbell) as f64
    }
}

fn packets(bytes: u64, overhead_bytes: u64) -> u64 {
    bytes + bytes.div_ceil(MAX_PAYLOAD_BYTES) * overhead_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures that were worked out by hand, in 10^6 per second.
    #[test]
    fn limits_are_those_worked_out_by_hand() {
        let expected = [(3.94, 0.86, 6.0), (7.88, 1.72, 12.1), (15.75, 3.45, 24.2)];
        for (generation, (raw, reads_4k, reads_512)) in GENERATIONS.iter().zip(expected) {
            let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.01;
            assert!(near(generation.bytes_per_second() / 1e9, raw), "{generation:?}");
            assert!(near(generation.reads_per_second(4096) / 1e6, reads_4k), "{generation:?}");
            assert!(near(generation.reads_per_second(512) / 1e6, reads_512), "{generation:?}");
        }
    }
}
