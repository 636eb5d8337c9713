//! Netlists by hand: what the interpreter makes of cells, flip-flops, memories, and of what it does not know.

use rtl_hdl::sim::Simulator;
use sim_yosys::netlist::Module;

use super::NetlistSimulator;

/// A module with the inputs `clock` (net 2), `a` (nets 10 to 13) and `b` (nets 20 to 23) and the output `y` (nets 30 to 33).
fn module(cells: &str, more: &str) -> Module {
    let json = format!(
        r#"{{"ports": {{
            "clock": {{"direction": "input", "bits": [2]}},
            "a": {{"direction": "input", "bits": [10, 11, 12, 13]}},
            "b": {{"direction": "input", "bits": [20, 21, 22, 23]}},
            "y": {{"direction": "output", "bits": [30, 31, 32, 33]}}}},
          "cells": {{{cells}}} {more}}}"#
    );
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn cell(kind: &str, parameters: &str, connections: &str) -> String {
    format!(r#""the_cell": {{"type": "{kind}", "parameters": {{{parameters}}}, "connections": {{{connections}}}}}"#)
}

const OPERANDS: &str = r#""A": [10, 11, 12, 13], "B": [20, 21, 22, 23], "Y": [30, 31, 32, 33]"#;

/// What a cell with two operands of four bits makes of them.
fn computed(kind: &str, signed: bool, connections: &str, a: u64, b: u64) -> u64 {
    let digit = u32::from(signed);
    // Only arithmetic has a sign on both sides.
    let other = if kind.contains("sh") { 0 } else { digit };
    let parameters = format!(r#""A_SIGNED": "{digit}", "B_SIGNED": "{other}""#);
    let module = module(&cell(kind, &parameters, connections), "");
    let mut simulator = NetlistSimulator::new(&module, &["clock"], false).unwrap_or_else(|error| panic!("{error}"));
    let [port_a, port_b, y] = ["a", "b", "y"].map(|name| simulator.port(name));
    simulator.poke_u64(port_a, a);
    simulator.poke_u64(port_b, b);
    simulator.settle();
    simulator.peek_u64(y)
}

#[test]
fn cells_of_numbers_are_numbers() {
    for a in 0..16u64 {
        for b in 0..16u64 {
            // The same four bits with a sign.
            let sign = |value: u64| if value >= 8 { value as i64 - 16 } else { value as i64 };
            let (s, t) = (sign(a), sign(b));
            let expected = [
                ("$add", false, a + b),
                ("$sub", false, a.wrapping_sub(b)),
                ("$mul", false, a * b),
                ("$mul", true, (s * t) as u64),
                ("$and", false, a & b),
                ("$or", false, a | b),
                ("$xor", false, a ^ b),
                ("$xnor", false, !(a ^ b)),
                ("$lt", false, u64::from(a < b)),
                ("$lt", true, u64::from(s < t)),
                ("$le", true, u64::from(s <= t)),
                ("$ge", false, u64::from(a >= b)),
                ("$gt", true, u64::from(s > t)),
                ("$eq", false, u64::from(a == b)),
                ("$ne", true, u64::from(a != b)),
                ("$shl", false, a << b),
                ("$shr", false, a >> b),
                ("$sshr", true, (s >> b) as u64),
                ("$sshr", false, a >> b),
                ("$logic_and", false, u64::from(a != 0 && b != 0)),
                ("$logic_or", false, u64::from(a != 0 || b != 0)),
                ("$neg", true, a.wrapping_neg()),
                ("$not", false, !a),
                ("$reduce_and", false, u64::from(a == 15)),
                ("$reduce_or", false, u64::from(a != 0)),
                ("$reduce_xor", false, u64::from(a.count_ones() % 2)),
                ("$logic_not", false, u64::from(a == 0)),
            ];
            for (kind, signed, value) in expected {
                assert_eq!(computed(kind, signed, OPERANDS, a, b), value & 15, "{kind} {signed} of {a} and {b}");
            }
        }
    }
}

#[test]
fn short_operands_become_wide_with_their_sign() {
    let short = r#""A": [10, 11], "B": [20, 21], "Y": [30, 31, 32, 33]"#;
    assert_eq!(computed("$add", false, short, 3, 3), 6);
    assert_eq!(computed("$add", true, short, 3, 3), 14);
    assert_eq!(computed("$mul", true, short, 2, 2), 4);
    assert_eq!(computed("$lt", true, r#""A": [10, 11], "B": [20, 21, 22], "Y": [30]"#, 2, 7), 1);
    assert_eq!(computed("$pos", true, r#""A": [10, 11], "Y": [30, 31, 32, 33]"#, 2, 0), 14);
}

#[test]
fn shifts_with_a_sign_go_both_ways() {
    let both = |a: u64, b: u64| {
        let module = module(&cell("$shift", r#""A_SIGNED": "0", "B_SIGNED": "1""#, OPERANDS), "");
        let mut simulator = NetlistSimulator::new(&module, &["clock"], true).unwrap_or_else(|error| panic!("{error}"));
        let [port_a, port_b, y] = ["a", "b", "y"].map(|name| simulator.port(name));
        simulator.poke_u64(port_a, a);
        simulator.poke_u64(port_b, b);
        simulator.settle();
        simulator.peek_u64(y)
    };
    assert_eq!([both(6, 1), both(6, 15), both(6, 14), both(6, 7)], [3, 12, 8, 0]);
}

#[test]
fn one_of_several_is_selected() {
    let cell = cell("$pmux", "", r#""A": [10, 11], "B": [20, 21, 22, 23], "S": [12, 13], "Y": [30, 31]"#);
    let module = module(&cell, "");
    let mut simulator = NetlistSimulator::new(&module, &["clock"], true).unwrap_or_else(|error| panic!("{error}"));
    let [a, b, y] = ["a", "b", "y"].map(|name| simulator.port(name));
    simulator.poke_u64(b, 0b10_01);
    // None, the first, the second; both are not defined.
    for (selects, expected) in [(0, 0), (1, 1), (2, 2), (3, 3)] {
        simulator.poke_u64(a, selects << 2);
        simulator.settle();
        assert_eq!(simulator.peek_u64(y) & 3, expected);
    }
}

const FLIP_FLOP: &str = r#""CLK": [2], "D": [10, 11], "Q": [30, 31], "ARST": [12]"#;

#[test]
fn flip_flops_look_first_and_reset_at_once() {
    let reset = r#""CLK_POLARITY": "1", "ARST_POLARITY": "1", "ARST_VALUE": "10""#;
    let module = module(&cell("$adff", reset, FLIP_FLOP), "");
    let mut simulator = NetlistSimulator::new(&module, &["clock"], true).unwrap_or_else(|error| panic!("{error}"));
    let [a, y] = ["a", "y"].map(|name| simulator.port(name));
    assert_eq!(simulator.peek_u64(y) & 3, 3, "it starts with ones");
    simulator.poke_u64(a, 0b0001);
    simulator.settle();
    assert_eq!(simulator.peek_u64(y) & 3, 3, "there was no edge");
    simulator.step_clocks(0);
    assert_eq!(simulator.peek_u64(y) & 3, 3, "nor here");
    simulator.step();
    assert_eq!(simulator.peek_u64(y) & 3, 1);
    simulator.poke_u64(a, 0b0101);
    simulator.settle();
    assert_eq!(simulator.peek_u64(y) & 3, 2, "the reset needs no edge");
    simulator.step();
    assert_eq!(simulator.peek_u64(y) & 3, 2, "and no edge ends it");
}

#[test]
fn the_netlist_may_say_how_a_flip_flop_starts() {
    let init = r#", "netnames": {"y": {"bits": [30, 31], "attributes": {"init": "x1"}}}"#;
    for (start, expected) in [(false, 1), (true, 3)] {
        let module = module(&cell("$dff", r#""CLK_POLARITY": "1""#, FLIP_FLOP), init);
        let simulator = NetlistSimulator::new(&module, &["clock"], start).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(simulator.peek_u64(simulator.port("y")) & 3, expected);
    }
}

/// A memory of three words of two bits, with contents in word 1, a read port, and write ports with these priorities.
fn memory(priorities: &[&str]) -> NetlistSimulator {
    let mut cells = vec![
        r#""contents": {"type": "$meminit_v2", "parameters": {"MEMID": "\\words", "PRIORITY": "0"},
           "connections": {"ADDR": ["1", "0"], "DATA": ["0", "1"], "EN": ["1", "1"]}}"#
            .to_string(),
        r#""read": {"type": "$memrd", "parameters": {"MEMID": "\\words", "CLK_ENABLE": "0"},
           "connections": {"ADDR": [20, 21], "DATA": [30, 31]}}"#
            .to_string(),
    ];
    for (number, priority) in priorities.iter().enumerate() {
        cells.push(format!(
            r#""write{number}": {{"type": "$memwr_v2", "parameters": {{"MEMID": "\\words", "CLK_ENABLE": "1",
               "CLK_POLARITY": "1", "PORTID": "{number:b}", "PRIORITY_MASK": "{priority}"}},
               "connections": {{"CLK": [2], "EN": [{}, {}], "ADDR": [20, 21], "DATA": ["{number}", "1"]}}}}"#,
            10 + 2 * number,
            11 + 2 * number
        ));
    }
    let memories = r#", "memories": {"words": {"width": 2, "start_offset": 0, "size": 3}}"#;
    NetlistSimulator::new(&module(&cells.join(","), memories), &["clock"], false).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn memories_have_contents_and_lanes() {
    let mut simulator = memory(&[""]);
    let [a, b, y] = ["a", "b", "y"].map(|name| simulator.port(name));
    simulator.poke_u64(b, 1);
    simulator.settle();
    assert_eq!(simulator.peek_u64(y) & 3, 2, "its contents");
    simulator.poke_u64(a, 0b01);
    simulator.poke_u64(b, 2);
    simulator.settle();
    assert_eq!(simulator.peek_u64(y) & 3, 0);
    simulator.step();
    assert_eq!(simulator.peek_u64(y) & 3, 0, "the lowest lane of 0b10");
    simulator.poke_u64(a, 0b10);
    simulator.step();
    assert_eq!(simulator.peek_u64(y) & 3, 2);
    // There is no such word.
    simulator.poke_u64(b, 3);
    simulator.step();
    assert_eq!(simulator.peek_u64(y) & 3, 0);
}

#[test]
fn of_two_writes_the_one_with_priority_wins() {
    let mut simulator = memory(&["", "1"]);
    let [a, y] = ["a", "y"].map(|name| simulator.port(name));
    simulator.poke_u64(a, 0b1111);
    simulator.step();
    assert_eq!(simulator.peek_u64(y) & 3, 3);
}

#[test]
#[should_panic(expected = "two ports write word 0 of `words`, and none of them wins")]
fn two_writes_without_priority_are_refused() {
    let mut simulator = memory(&["", "0"]);
    simulator.poke_u64(simulator.port("a"), 0b1111);
    simulator.step();
}

#[test]
fn what_is_not_known_is_named() {
    let refused = |cells: &str, clocks: &[&str]| {
        NetlistSimulator::new(&module(cells, ""), clocks, false).expect_err("it was accepted").to_string()
    };
    let unknown = refused(&cell("$div", "", OPERANDS), &["clock"]);
    assert!(unknown.contains("`the_cell` is of an unknown kind `$div`"), "{unknown}");
    let clock = refused(&cell("$dff", r#""CLK_POLARITY": "1""#, r#""CLK": [10], "D": [11], "Q": [30]"#), &["clock"]);
    assert!(clock.contains("no clock of the top"), "{clock}");
    let falling = refused(&cell("$dff", r#""CLK_POLARITY": "0""#, FLIP_FLOP), &["clock"]);
    assert!(falling.contains("a falling edge"), "{falling}");
    assert!(refused("", &["other"]).contains("no clock `other`"));
    let circle = refused(&cell("$not", r#""A_SIGNED": "0""#, r#""A": [30], "Y": [30]"#), &["clock"]);
    assert!(circle.contains("combinational loop"), "{circle}");
    let two = [("one", 10), ("two", 11)].map(|(name, net)| {
        let parameters = r#""A_SIGNED": "0""#;
        cell("$not", parameters, &format!(r#""A": [{net}], "Y": [30]"#)).replace("the_cell", name)
    });
    assert!(refused(&two.join(","), &["clock"]).contains("two cells drive"));
}
