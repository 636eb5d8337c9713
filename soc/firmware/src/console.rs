//! Text for people, on the UART.

use core::fmt::{self, Write};
use soc_hal::Mmio;
use soc_map::uart::{ROOM, STATUS, TRANSMIT};

/// How often a byte waits for room, at most: a line on which nothing moves stops nobody.
const ROOM_POLLS_MAX: u32 = 100_000;

/// Writes to the registers of the UART.
pub struct Console<M> {
    uart: M,
}

impl<M: Mmio> Console<M> {
    /// The console behind these registers.
    pub fn new(uart: M) -> Self {
        Self { uart }
    }

    /// Writes a line, as far as there is room in time.
    pub fn say(&mut self, text: fmt::Arguments<'_>) {
        // Writing never fails: what has no room is lost.
        let _ = self.write_fmt(text);
        let _ = self.write_str("\r\n");
    }
}

impl<M: Mmio> Write for Console<M> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if !(0..ROOM_POLLS_MAX).any(|_| self.uart.read32(STATUS) & ROOM != 0) {
                break;
            }
            self.uart.write32(TRANSMIT, byte.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A UART that has room after some looks, or never.
    struct Uart {
        wait: Option<u32>,
        looks: u32,
        written: Vec<u8>,
    }

    impl Mmio for &mut Uart {
        fn read32(&mut self, offset: u32) -> u32 {
            assert_eq!(offset, STATUS);
            self.looks += 1;
            self.wait.map_or(0, |wait| if self.looks % (wait + 1) == 0 { ROOM } else { 0 })
        }

        fn write32(&mut self, offset: u32, value: u32) {
            assert_eq!(offset, TRANSMIT);
            self.written.push(value as u8);
        }
    }

    #[test]
    fn text_waits_for_room() {
        let mut uart = Uart { wait: Some(3), looks: 0, written: Vec::new() };
        Console::new(&mut uart).say(format_args!("hart {}", 5));
        assert_eq!((uart.written.as_slice(), uart.looks), (&b"hart 5\r\n"[..], 4 * 8));
    }

    #[test]
    fn a_stuck_line_stops_nobody() {
        let mut uart = Uart { wait: None, looks: 0, written: Vec::new() };
        Console::new(&mut uart).say(format_args!("never"));
        assert!(uart.written.is_empty() && uart.looks <= 2 * ROOM_POLLS_MAX);
    }
}
