//! `cargo xtask hdl-reference`: one design in the Rust HDL and by hand, side by side.

use anyhow::{ensure, Result};
use hdl_reference::{QueueFetch, HAND_WRITTEN, HAND_WRITTEN_TOP};
use sim_toolchain::Toolchain;
use sim_verilator::Optimize;
use sim_yosys::area::{measure, Area};

use crate::area::{table, verilog};

/// How much larger than the hand-written design ours may be.
const AREA_RATIO_MAX: f64 = 1.05;
/// How much of the speed of the hand-written design ours must have.
const SPEED_RATIO_MIN: f64 = 0.9;
/// Speed is the best of this many rounds, because other programs run on the machine too.
const ROUNDS: u32 = 5;

/// Measures both designs, prints them side by side, and fails where ours is worse than it may be.
pub fn run(clocks: u64) -> Result<()> {
    let toolchain = Toolchain::from_env();
    let hand = measure(&toolchain, HAND_WRITTEN, HAND_WRITTEN_TOP)?;
    let (text, top) = verilog(&QueueFetch)?;
    let ours = measure(&toolchain, &text, &top)?;
    let library = hdl_reference::library(&toolchain, Optimize::Run)?;
    let speed = hdl_reference::measure(&library, clocks, ROUNDS);

    let (hand_area, our_area) = (hand.area, ours.area);
    print!("{}", table(&[("by hand".into(), hand), ("in the HDL".into(), ours)]));
    println!("\nVerilated speed: by hand {:.2} MHz, in the HDL {:.2} MHz", speed.hand_written / 1e6, speed.ours / 1e6);
    check_area(&hand_area, &our_area)?;
    let ratio = speed.ours / speed.hand_written;
    ensure!(ratio >= SPEED_RATIO_MIN, "the HDL's design runs at {ratio:.2} of the speed, less than {SPEED_RATIO_MIN}");
    Ok(())
}

fn check_area(hand: &Area, ours: &Area) -> Result<()> {
    for (name, hand, ours) in [("LUT", hand.lut, ours.lut), ("FF", hand.ff, ours.ff)] {
        let ratio = f64::from(ours) / f64::from(hand);
        ensure!(
            ratio <= AREA_RATIO_MAX,
            "the HDL's design has {ratio:.2} times the {name}, more than {AREA_RATIO_MAX}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_may_be_five_percent_larger() {
        let hand = Area { lut: 100, ff: 100, ..Area::default() };
        assert!(check_area(&hand, &Area { lut: 105, ff: 90, ..hand }).is_ok());
        assert!(check_area(&hand, &Area { lut: 106, ..hand }).is_err());
        assert!(check_area(&hand, &Area { ff: 106, ..hand }).is_err());
    }
}
