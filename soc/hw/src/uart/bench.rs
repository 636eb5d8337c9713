//! The running UART.

use super::*;
use crate::testing::{design, read, write, BED};
use rtl_hdl::bench::{Bench, Seed, Stalls};
use soc_map::uart::{NONE, RECEIVED, ROOM};

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(Uart)]
}

fn with_benches(test: impl Fn(&mut Bench, &[u8])) {
    let seed = Seed::from_env_or(0x5EED);
    let design = design(&Uart);
    for stalls in Stalls::ALL {
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
        let mut rng = seed.rng("bytes");
        let bytes: Vec<u8> = (0..200).map(|_| rng.next_u64() as u8).collect();
        test(&mut bench, &bytes);
    }
}

#[test]
fn bytes_go_out_in_order_and_none_without_room() {
    with_benches(|bench, bytes| {
        for byte in bytes {
            while read(bench, STATUS) & ROOM == 0 {}
            // What is above the byte is not looked at.
            write(bench, TRANSMIT, 0xABCD_EF00 | u32::from(*byte));
        }
        bench.run_until(2_000, |bench| bench.received("transmit").len() == bytes.len());
        let got: Vec<u64> = bench.drain_fields("transmit").iter().map(|item| item.get("data")).collect();
        assert_eq!(got, bytes.iter().map(|byte| u64::from(*byte)).collect::<Vec<_>>());

        bench.hold("transmit", true);
        let mut taken = 0;
        while read(bench, STATUS) & ROOM != 0 {
            write(bench, TRANSMIT, taken);
            taken += 1;
        }
        assert!((DEPTH..DEPTH + 5).contains(&taken), "{taken} bytes");
        write(bench, TRANSMIT, 0xFF);
        bench.hold("transmit", false);
        bench.run(2_000);
        assert_eq!(bench.drain("transmit").len() as u32, taken, "what had no room is lost");
        assert_eq!(read(bench, TRANSMIT), 0);
    });
}

#[test]
fn bytes_come_in_order_and_wait() {
    with_benches(|bench, bytes| {
        assert_eq!((read(bench, RECEIVE), read(bench, STATUS) & RECEIVED), (NONE, 0));
        bench.send("receive", bytes.iter().map(|byte| vec![u64::from(*byte)]));
        bench.run(500);
        let waiting = bench.pending("receive");
        assert!((bytes.len() - waiting) as u32 >= DEPTH && waiting > 0, "{waiting} wait outside");
        for byte in bytes {
            while read(bench, STATUS) & RECEIVED == 0 {}
            assert_eq!(read(bench, RECEIVE), u32::from(*byte));
        }
        assert_eq!(read(bench, RECEIVE), NONE);
    });
}

#[test]
fn interrupts_are_those_that_are_asked_for() {
    with_benches(|bench, bytes| {
        let interrupt = |bench: &mut Bench, enabled: u32| {
            write(bench, INTERRUPTS, enabled);
            assert_eq!(read(bench, INTERRUPTS), enabled);
            bench.run(3);
            bench.peek("uart_interrupt") == 1
        };
        assert_eq!([0, ROOM, RECEIVED].map(|enabled| interrupt(bench, enabled)), [false, true, false]);
        bench.send("receive", [vec![u64::from(bytes[0])]]);
        bench.run_until(200, |bench| bench.peek("uart_interrupt") == 1);
        assert!(!interrupt(bench, 0) && interrupt(bench, RECEIVED));
        read(bench, RECEIVE);
        assert!(!interrupt(bench, RECEIVED));
        bench.reset(1);
        assert_eq!(read(bench, INTERRUPTS), 0);
    });
}
