//! The running block: every dword of the BAR, in random order and with random strobes, against the table of the specification.

use super::{Regs, OFFSET_BITS};
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, FUNCTION_CONFIGS as CONFIGS};
use crate::Config;
use nvme_spec::reg::{Access, Reg};
use nvme_spec::regs::{self, csts, BAR0_BYTES, DOORBELLS, MSIX_TABLE, REGISTERS, SUBSYSTEM_RESET};
use rtl_bus::resp;
use rtl_hdl::bench::{Bench, Rng};
use std::collections::BTreeMap;

/// What the block should hold and has sent.
struct Host<'a, 'b> {
    bench: &'a mut Bench<'b>,
    functions: u64,
    /// What each dword of the registers holds, by address and with the function in it, and which of its bits can be written.
    dwords: BTreeMap<u64, (u64, u64)>,
    doorbells: Vec<Vec<u64>>,
    /// Resets of the subsystem: that should have been, and seen.
    subsystem_resets: [u32; 2],
    /// Function, address, data and strobe of writes in the window: expected, and seen.
    window: [Vec<[u64; 4]>; 2],
}

impl<'a, 'b> Host<'a, 'b> {
    fn new(bench: &'a mut Bench<'b>, config: Config) -> Host<'a, 'b> {
        let mut dwords = BTreeMap::new();
        for reg in regs::REGS {
            let value = if reg.name == "CAP" { regs::cap_value(config.queue_entries_max) } else { reg.reset };
            for dword in 0..reg.bytes / 4 {
                let half = |value: u64| value >> (32 * dword) & 0xFFFF_FFFF;
                for function in 0..u64::from(config.functions) {
                    let at = function << OFFSET_BITS | u64::from(reg.offset + 4 * dword);
                    dwords.insert(at, (half(value), half(reg.mask_of(Access::Rw))));
                }
            }
        }
        Host {
            bench,
            functions: config.functions.into(),
            dwords,
            doorbells: vec![],
            subsystem_resets: [0; 2],
            window: [vec![], vec![]],
        }
    }

    /// Sets the bits of CSTS of a function that are not NSSRO.
    fn set_status(&mut self, function: u64, status: u64) {
        self.bench.poke(&format!("status_f{function}"), status);
        let (value, _) = self.csts(function);
        *value = *value & csts::NSSRO.mask() | status;
    }

    fn csts(&mut self, function: u64) -> &mut (u64, u64) {
        let at = function << OFFSET_BITS | u64::from(regs::CSTS.offset);
        self.dwords.get_mut(&at).expect("it is a register")
    }

    /// Registers of a function are as after power-on, but for CSTS.
    fn reset_registers(&mut self, function: u64) {
        for reg in [regs::CC, regs::AQA, regs::ASQ, regs::ACQ] {
            for dword in 0..reg.bytes / 4 {
                let at = function << OFFSET_BITS | u64::from(reg.offset + 4 * dword);
                self.dwords.get_mut(&at).expect("it is a register").0 = 0;
            }
        }
    }

    /// One clock, with a window behind which each dword holds its number in the BAR, one clock later.
    fn clock(&mut self) {
        self.subsystem_resets[1] += self.bench.peek("subsystem_reset") as u32;
        if self.bench.peek("window_write") == 1 {
            let ports = ["window_function", "window_address", "window_data", "window_strobe"];
            let write = ports.map(|port| self.bench.peek(port));
            self.window[1].push(write);
        }
        let [function, number] = ["window_read_function", "window_read_address"].map(|port| self.bench.peek(port));
        self.bench.clock();
        let offset = number + u64::from(MSIX_TABLE.start) / 4;
        self.bench.poke("window_read_data", function << (OFFSET_BITS - 2) | offset);
    }

    fn wait_for(&mut self, stream: &str, count: usize) {
        for _ in 0..500 {
            if self.bench.received(stream).len() >= count {
                return;
            }
            self.clock();
        }
        panic!("fewer than {count} answers on `{stream}`");
    }

    fn send_write(&mut self, address: u64, data: u64, strobe: u64) {
        let item = self.bench.fields("mmio_aw").set("addr", address).words();
        self.bench.send("mmio_aw", [item]);
        let item = self.bench.fields("mmio_w").set("data", data).set("strb", strobe).words();
        self.bench.send("mmio_w", [item]);
        let dword = address & !3;
        let function = address >> OFFSET_BITS;
        let offset = dword as u32 % BAR0_BYTES;
        let is_register = |reg: &Reg| function < self.functions && offset == reg.offset;
        if is_register(&regs::NSSR) && data == SUBSYSTEM_RESET.into() && strobe == 0xF {
            self.subsystem_resets[0] += 1;
            for function in 0..self.functions {
                self.reset_registers(function);
                self.csts(function).0 |= csts::NSSRO.mask();
            }
        } else if is_register(&regs::CSTS) {
            if strobe & 1 == 1 {
                self.csts(function).0 &= !(data & csts::NSSRO.mask());
            }
        } else if let Some((value, writable)) = self.dwords.get_mut(&dword) {
            let lanes: u64 = (0..4).filter(|byte| strobe >> byte & 1 == 1).map(|byte| 0xFF << (8 * byte)).sum();
            let mask = lanes & *writable;
            *value = *value & !mask | data & mask;
        } else if function >= self.functions {
        } else if DOORBELLS.contains(&offset) && strobe & 3 == 3 {
            let (queue, completion) = ((offset - DOORBELLS.start) / 8, offset / 4 % 2);
            let item = self.bench.fields("doorbell").set("completion", completion).set("value", data & 0xFFFF);
            let item = item.set("function", function);
            self.doorbells.extend((queue < 256).then(|| item.set("queue", queue).words()));
        } else if (MSIX_TABLE.start..BAR0_BYTES).contains(&offset) {
            self.window[0].push([function, u64::from(offset - MSIX_TABLE.start) / 4, data, strobe]);
        }
    }

    fn write(&mut self, address: u64, data: u64, strobe: u64) {
        self.send_write(address, data, strobe);
        self.wait_for("mmio_b", 1);
        assert_eq!(self.bench.drain_fields("mmio_b")[0].get("resp"), u64::from(resp::OKAY));
    }

    /// Reads without waiting between them.
    fn read(&mut self, addresses: &[u64]) {
        for address in addresses {
            let item = self.bench.fields("mmio_ar").set("addr", *address).words();
            self.bench.send("mmio_ar", [item]);
        }
        self.wait_for("mmio_r", addresses.len());
        for (address, answer) in addresses.iter().zip(self.bench.drain_fields("mmio_r")) {
            let dword = address & !3;
            let offset = dword as u32 % BAR0_BYTES;
            let in_window = (MSIX_TABLE.start..BAR0_BYTES).contains(&offset) && address >> OFFSET_BITS < self.functions;
            let expected = match self.dwords.get(&dword) {
                Some((value, _)) => *value,
                None if in_window => dword / 4,
                None => 0,
            };
            assert_eq!((answer.get("data"), answer.get("resp")), (expected, resp::OKAY.into()), "at {address:#x}");
        }
    }

    /// Everything that leaves the block is as it should be.
    fn check(&mut self) {
        self.clock();
        for function in 0..self.functions {
            let value = |reg: &Reg| {
                let at = |dword: u32| function << OFFSET_BITS | u64::from(reg.offset + 4 * dword);
                let half = |dword: u32| self.dwords.get(&at(dword)).map_or(0, |(value, _)| *value);
                half(0) | if reg.bytes == 8 { half(1) << 32 } else { 0 }
            };
            for (port, reg) in [("cc", &regs::CC), ("aqa", &regs::AQA), ("asq", &regs::ASQ), ("acq", &regs::ACQ)] {
                assert_eq!(self.bench.peek(&format!("{port}_f{function}")), value(reg), "`{port}` of {function}");
            }
        }
        let [expected, seen] = &self.window;
        assert_eq!(expected, seen, "writes in the window");
        assert_eq!(self.subsystem_resets[0], self.subsystem_resets[1], "resets of the subsystem");
    }
}

/// Registers, doorbells, the window, what lies beside their borders, and other functions.
fn any_address(rng: &mut Rng) -> u64 {
    let border = *rng.pick(&[REGISTERS.end, DOORBELLS.start, DOORBELLS.end, MSIX_TABLE.start, BAR0_BYTES]);
    let offset = match rng.below(6) {
        0 | 1 => rng.below(0x40),
        2 => rng.below(0x1000),
        3 => rng.below(BAR0_BYTES.into()),
        4 => u64::from(DOORBELLS.start) + rng.below(0x1000),
        _ => (u64::from(border) - 4 + rng.below(8)) % u64::from(BAR0_BYTES),
    };
    let function = if rng.percent(15) { 1 << rng.below(8) } else { rng.below(2) };
    function << OFFSET_BITS | offset
}

#[test]
fn every_dword_does_what_the_tables_say() {
    for config in CONFIGS {
        under_all_stalls(&Regs::new(config), |bench, rng| {
            let mut host = Host::new(bench, config);
            for _ in 0..900 {
                match rng.below(22) {
                    20 => {
                        let function = rng.below(config.functions.into()) << OFFSET_BITS;
                        let data = u64::from(SUBSYSTEM_RESET) ^ u64::from(rng.percent(30)) << rng.below(32);
                        let strobe = *rng.pick(&[0xF, 0xF, 0xF, 7, 0xE]);
                        host.write(function | u64::from(regs::NSSR.offset), data, strobe);
                    }
                    21 => {
                        let functions = rng.below(1 << config.functions);
                        host.bench.poke("clear_nssro", functions);
                        host.clock();
                        host.bench.poke("clear_nssro", 0);
                        for function in (0..host.functions).filter(|function| functions >> function & 1 == 1) {
                            host.csts(function).0 &= !csts::NSSRO.mask();
                        }
                    }
                    0..=8 => host.write(any_address(rng), rng.next_u64() & 0xFFFF_FFFF, rng.below(16)),
                    9..=18 => {
                        let addresses: Vec<u64> = (0..rng.range(1..4)).map(|_| any_address(rng)).collect();
                        host.read(&addresses);
                    }
                    _ => {
                        let status = rng.below(16);
                        let function = rng.below(config.functions.into());
                        host.set_status(function, status);
                    }
                }
                host.check();
            }
            host.bench.run(50);
            assert_eq!(host.bench.drain("doorbell"), host.doorbells);
            assert!(!host.doorbells.is_empty() && !host.window[0].is_empty(), "everything was written");
            for function in 0..config.functions {
                host.bench.poke("function_reset", 1 << function);
                host.bench.clock();
                host.bench.poke("function_reset", 0);
                host.reset_registers(function.into());
                host.check();
                host.read(&[u64::from(function) << OFFSET_BITS | u64::from(regs::CSTS.offset)]);
            }
        });
    }
}

/// Where one thing ends and another begins, in function 0 and in others.
#[test]
fn borders_are_where_the_tables_say() {
    for config in CONFIGS {
        under_all_stalls(&Regs::new(config), |bench, rng| {
            let mut host = Host::new(bench, config);
            for border in [REGISTERS.start, REGISTERS.end, DOORBELLS.end, BAR0_BYTES] {
                for beside in 0..16 {
                    let offset = (u64::from(border + BAR0_BYTES) + beside - 8) % u64::from(BAR0_BYTES);
                    for function in [0, 1, 0x80] {
                        let address = function << OFFSET_BITS | offset;
                        host.write(address, rng.next_u64() & 0xFFFF_FFFF, 0xF);
                        host.check();
                        host.read(&[address]);
                    }
                }
            }
            host.bench.run(50);
            assert_eq!(host.bench.drain("doorbell"), host.doorbells);
        });
    }
}

/// Of each register that can be written every bit, and no register behind the doorbells.
#[test]
fn every_bit_is_written_alone() {
    without_stalls(&Regs::new(CONFIGS[0]), |bench| {
        let mut host = Host::new(bench, CONFIGS[0]);
        for offset in host.dwords.keys().copied().collect::<Vec<_>>() {
            for value in (0..32).map(|bit| 1 << bit).chain([0xFFFF_FFFF]) {
                host.write(offset, value, 0xF);
                host.check();
                host.write(offset & !0xFFF | (u64::from(DOORBELLS.start) + offset % 0x1000), !value & 0xFFFF_FFFF, 0xF);
                host.check();
            }
        }
        host.bench.run(10);
        assert_eq!(host.bench.drain("doorbell"), host.doorbells);
    });
}

#[test]
fn doorbells_become_items_in_their_order() {
    for config in CONFIGS {
        under_all_stalls(&Regs::new(config), |bench, rng| {
            let mut host = Host::new(bench, config);
            let mut queues = vec![0, 1, 255, 256, 511];
            queues.extend((0..100).map(|_| rng.below(512)));
            for queue in queues {
                let (completion, value) = (rng.below(2), rng.next_u64() & 0xFFFF_FFFF);
                let strobe = *rng.pick(&[0xF, 3, 1, 2, 0xC]);
                host.write(u64::from(DOORBELLS.start) + 8 * queue + 4 * completion, value, strobe);
            }
            host.bench.run(50);
            assert_eq!(host.bench.drain("doorbell"), host.doorbells);
        });
    }
}

/// A doorbell that nobody takes holds up what is written after it, and no read.
#[test]
fn a_doorbell_waits_until_it_is_taken() {
    without_stalls(&Regs::new(CONFIGS[0]), |bench| {
        let mut host = Host::new(bench, CONFIGS[0]);
        host.bench.hold("doorbell", true);
        let doorbell = |queue: u64| u64::from(DOORBELLS.start) + 8 * queue;
        host.send_write(doorbell(0), 1, 0xF);
        host.send_write(doorbell(1), 2, 0xF);
        (0..50).for_each(|_| host.clock());
        assert!(host.bench.received("mmio_b").is_empty(), "it has not been taken");
        host.read(&[regs::ASQ.offset.into()]);
        host.bench.hold("doorbell", false);
        host.wait_for("mmio_b", 2);
        host.check();
        host.bench.run(10);
        assert_eq!(host.bench.drain("doorbell"), host.doorbells);
    });
}

#[test]
fn accesses_need_not_wait_for_answers() {
    under_all_stalls(&Regs::new(CONFIGS[0]), |bench, rng| {
        let mut host = Host::new(bench, CONFIGS[0]);
        for _ in 0..20 {
            (0..5).for_each(|_| host.send_write(any_address(rng), rng.next_u64() & 0xFFFF_FFFF, rng.below(16)));
            host.wait_for("mmio_b", 5);
            (0..10).for_each(|_| host.clock());
            assert_eq!(host.bench.drain("mmio_b").len(), 5);
            host.check();
        }
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // They belong to accesses.
    let ignored = [
        "window_function",
        "window_address",
        "window_data",
        "window_strobe",
        "window_read_function",
        "window_read_address",
    ];
    CONFIGS.iter().for_each(|config| forgets_at_reset(&Regs::new(*config), &[], &ignored));
}
