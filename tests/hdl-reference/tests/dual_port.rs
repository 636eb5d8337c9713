//! The HDL's dual-port RAM takes the memories of the hand-written one, and no logic beside them that the other does not have.

use hdl_reference::dual_port::{by_hand, CONFIGURATIONS};
use rtl_hdl::{elaborate, emit, Block};
use sim_toolchain::Toolchain;
use sim_yosys::area::measure_all;

#[test]
fn memories_are_those_of_the_hand_written_pattern() {
    let ours = CONFIGURATIONS.iter().map(|ram| {
        let design = elaborate(ram).unwrap_or_else(|problems| panic!("{problems}"));
        (emit(&design).into_iter().map(|file| file.text).collect(), design.top().name.clone())
    });
    let sources: Vec<(String, String)> = CONFIGURATIONS.iter().map(by_hand).chain(ours).collect();
    let measured = measure_all(&Toolchain::from_env(), &sources).unwrap_or_else(|error| panic!("{error}"));
    let (hand, ours) = measured.split_at(CONFIGURATIONS.len());
    for ((ram, hand), ours) in CONFIGURATIONS.iter().zip(hand).zip(ours) {
        let (name, hand, ours) = (ram.name(), hand.area, ours.area);
        assert!(hand.bram + hand.uram as f32 > 0.0, "{name}: by hand it is no memory of the device: {hand:?}");
        assert_eq!((ours.bram, ours.uram), (hand.bram, hand.uram), "{name}");
        assert!(ours.lut <= hand.lut && ours.ff <= hand.ff, "{name}: {ours:?}, by hand {hand:?}");
    }
}
