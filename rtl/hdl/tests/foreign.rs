//! Modules written in Verilog: what is read of their headers, what is refused, and whether Verilator sees the same.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::ir::{Domain, ModuleIr};
use rtl_hdl::*;
use sim_verilator::{lint, ModelSpec};
use std::rc::Rc;

/// A module around `foreign` with all of its ports, and the module itself as it was read.
fn around(foreign: &Foreign) -> Result<(Design, Rc<ModuleIr>), Problems> {
    let probe = |m: &Module| {
        m.allow_combinational("wiring");
        let inner = m.foreign("inner", foreign, &[]);
        for (name, direction, width) in inner.ports() {
            match direction {
                Direction::Input => inner.port(&name).set(m.input(&format!("to_{name}"), width)),
                Direction::Output => m.output(&format!("from_{name}"), inner.port(&name)),
            }
        }
    };
    let design = elaborate(&block_fn("around", probe))?;
    let inner = design.top().instances[0].module.clone();
    Ok((design, inner))
}

/// Direction, name and width of each port.
fn ports(foreign: &Foreign) -> String {
    let (_, inner) = around(foreign).unwrap_or_else(|problems| panic!("{problems}"));
    let port = |port: &ir::Port| {
        let direction = if port.direction == Direction::Input { "in" } else { "out" };
        format!("{direction} {} {}", port.name, port.width)
    };
    inner.ports.iter().map(port).collect::<Vec<_>>().join(", ")
}

/// A header, what is set and defined, and its ports. Each text is a whole module, so that Verilator takes it.
struct Case {
    text: &'static str,
    set: &'static [(&'static str, i32)],
    defined: &'static [(&'static str, &'static str)],
    ports: &'static str,
}

const fn case(text: &'static str, ports: &'static str) -> Case {
    Case { text, set: &[], defined: &[], ports }
}

/// Ways to write a header.
const CASES: &[Case] = &[
    case("module m; endmodule", ""),
    case("module m(); endmodule", ""),
    case("module m (input a, b, output [7:0] q, r); endmodule", "in a 1, in b 1, out q 8, out r 8"),
    case("module automatic m (input wire logic signed [3:0] a, output var logic q); endmodule", "in a 4, out q 1"),
    case("module m (input [0:6] a, input logic [1:0][4:0] b, output reg [3:2] q); endmodule", "in a 7, in b 10, out q 2"),
    case(
        "module m (input byte a, input shortint b, input int c, input integer d, output longint q, output time t); endmodule",
        "in a 8, in b 16, in c 32, in d 32, out q 64, out t 64",
    ),
    case("module m (input int unsigned a, input [3:0] b, logic c, output logic [1:0] q = 2'd1); endmodule", "in a 32, in b 4, in c 1, out q 2"),
    case(
        "/* module m (input x); */ // module m (input y);\nmodule other (input z); endmodule\n\
         module m ( // a comment\n (* mark = \"a, b\" *) input /* [3:0] */ a, output q /* ) */ ); endmodule : m\n",
        "in a 1, out q 1",
    ),
    case(
        "`timescale 1ns / 1ps\n`default_nettype none\n`ifndef GUARD\n`define GUARD\n`define W 4 // bits\n`define TWICE (2 * \\\n  `W)\n\
         module m (input wire [`W-1:0] a, output wire [`TWICE:1] q);\n`ifdef SOMETHING\n  wire unused = a;\n`endif\nendmodule\n`default_nettype wire\n`endif\n",
        "in a 4, out q 8",
    ),
    case(
        "`define ON\nmodule m (\n`ifdef ON\n input a,\n`elsif NEVER\n input b,\n`else\n input c,\n`endif\n`ifndef ON\n input d,\n`else\n input e,\n`endif\n output q); endmodule",
        "in a 1, in e 1, out q 1",
    ),
    case(
        "module m (a, b, q); parameter W = 3, V = W + 1; localparam U = 2 * V; input [W-1:0] a; input b; output reg [U-1:0] q;\n\
         function f; input [5:0] a; f = a[0]; endfunction\n always @(a) begin q = 0; end endmodule",
        "in a 3, in b 1, out q 8",
    ),
    Case {
        text: "module m (a, q); parameter W = 3; input signed [W-1:0] a; output [W:0] q; endmodule",
        set: &[("W", 9)],
        defined: &[],
        ports: "in a 9, out q 10",
    },
    Case {
        text: "module m #(parameter W = 8, N = W / 2, parameter logic [3:0] K = 4'd15, localparam int S = $clog2(W + 1)) (\n\
               input [W-1:0] a, input [N-1:0][K-1:0] b, output logic [S:0] q); endmodule",
        set: &[("W", 20), ("K", 3)],
        defined: &[],
        ports: "in a 20, in b 30, out q 6",
    },
    Case {
        text: "module m #(parameter int unsigned W = 4, parameter type T = logic, parameter string NAME = \"a, ) b\", parameter real R = 1.5e3) (\n\
               input [W > 8 ? W : 8 : 1] a, output [(W == 4 ? 2 : 3) - 1:0] q); endmodule",
        set: &[("W", 12)],
        defined: &[],
        ports: "in a 12, out q 3",
    },
    Case {
        text: "module m (input [`WIDTH-1:0] a,\n`ifdef WITH_B\n input b,\n`endif\n output q); endmodule",
        set: &[],
        defined: &[("WIDTH", "6"), ("WITH_B", "")],
        ports: "in a 6, in b 1, out q 1",
    },
    case("module m #(parameter A = 2 ** 3 - 1, B = 8'hf0 >> 4, C = 7 % 4, D = ~5'd3, E = -3) (\n\
          input [A:0] a, input [B:0] b, input [C:0] c, input [D:0] d, input [E:0] e, input [4'd15 + 4'd1 : 0] f, output q); endmodule",
         "in a 8, in b 16, in c 4, in d 29, in e 4, in f 1, out q 1"),
];

impl Case {
    fn foreign(&self) -> Foreign {
        let foreign = self.set.iter().fold(Foreign::from_verilog("m", self.text), |f, (n, v)| f.parameter(n, *v));
        self.defined.iter().fold(foreign, |foreign, (name, text)| foreign.define(name, text))
    }
}

#[test]
fn headers_are_read() {
    for case in CASES {
        assert_eq!(ports(&case.foreign()), case.ports, "{}", case.text);
    }
}

/// What Verilator says about the widths of ports where the module of `foreign` is put into one of ours.
fn verilator_says(foreign: &Foreign) -> Result<(), String> {
    let (design, _) = around(foreign).unwrap_or_else(|problems| panic!("{problems}"));
    let text = ModelSpec::of(&design).verilog;
    // What is wrong inside of the modules is theirs.
    let off = "/* verilator lint_off WIDTH */ /* verilator lint_off UNUSED */ /* verilator lint_off UNDRIVEN */\n\
               /* verilator lint_off MULTITOP */ /* verilator lint_off VARHIDDEN */ /* verilator lint_off ASCRANGE */";
    let at = text.find("// Written by").expect("what is emitted says so");
    let text = format!("{off}\n{}\n/* verilator lint_on WIDTH */\n{}", &text[..at], &text[at..]);
    lint(&text, "around").map_err(|error| format!("{error}\n{text}"))
}

#[test]
fn verilator_sees_the_same_ports() {
    for case in CASES {
        verilator_says(&case.foreign()).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn verilator_notices_a_width_that_is_not_so() {
    let wrong = Foreign::from_verilog("m", "module m (input [3:0] a, output [7:0] q); endmodule");
    let (design, _) = around(&wrong).unwrap_or_else(|problems| panic!("{problems}"));
    let text = ModelSpec::of(&design).verilog.replace("[7:0] q);", "[8:0] q);");
    let error = lint(&text, "around").expect_err("the width differs").to_string();
    assert!(error.contains("WIDTHEXPAND") || error.contains("WIDTHTRUNC"), "{error}");
}

/// A constant expression with the names of `known`; what it is worth does not matter.
fn expression(rng: &mut Rng, known: &[String], depth: u32) -> String {
    if depth == 0 || rng.percent(15) {
        let number = rng.below(40) as u32;
        return match rng.below(8) {
            0 | 1 if !known.is_empty() => rng.pick(known).clone(),
            2 => format!("{}'d{}", 6 + rng.below(20), number),
            3 => format!("{}'sh{number:x}", 6 + rng.below(20)),
            4 => format!("'h{number:X}"),
            5 => (*rng.pick(&["'0", "'1", "4'b10_1", "12'o17", "32'hffff_ff00"])).into(),
            _ => number.to_string(),
        };
    }
    let inner = |rng: &mut Rng| expression(rng, known, depth - 1);
    match rng.below(12) {
        0 => format!("({}{})", rng.pick(&["-", "~", "!", "+", "&", "|", "^", "~^", "~&", "~|"]), inner(rng)),
        1 => format!("({} ? {} : {})", inner(rng), inner(rng), inner(rng)),
        2 => format!("$clog2({})", inner(rng)),
        // What divides or counts is small and not zero.
        3 => format!("({} {} {})", inner(rng), rng.pick(&["/", "%"]), 1 + rng.below(9)),
        4 => format!("({} {} {})", inner(rng), rng.pick(&["<<", ">>", "<<<", ">>>"]), rng.below(9)),
        5 => format!("({} ** {})", inner(rng), rng.below(5)),
        // Without parentheses, so that what binds more strongly is seen.
        6 => format!("({} {} {} {} {})", inner(rng), operator(rng), inner(rng), operator(rng), inner(rng)),
        _ => format!("({} {} {})", inner(rng), operator(rng), inner(rng)),
    }
}

fn operator(rng: &mut Rng) -> &'static str {
    const OPERATORS: &[&str] =
        &["+", "-", "*", "&", "|", "^", "~^", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "===", "!=="];
    OPERATORS[rng.below(OPERATORS.len() as u64) as usize]
}

/// A module whose ports have widths that expressions over its parameters say.
fn random_module(name: &str, rng: &mut Rng) -> Foreign {
    const TYPES: &[&str] = &[
        "",
        "",
        "int ",
        "int unsigned ",
        "logic [6:0] ",
        "logic signed [9:0] ",
        "byte ",
        "signed ",
        "[4:0] ",
        "longint ",
        "integer ",
    ];
    let mut names = Vec::new();
    let mut parameters = Vec::new();
    for number in 0..5 {
        let value = expression(rng, &names, 3);
        let kind = if rng.percent(70) { "parameter" } else { "localparam" };
        parameters.push(format!("  {kind} {}P{number} = {value}", rng.pick(TYPES)));
        names.push(format!("P{number}"));
    }
    let mut port = |name: &str, direction: &str| {
        let end = match rng.below(3) {
            0 => format!("({}) & 63", expression(rng, &names, 3)),
            1 => format!("{} & 15", rng.pick(&names)),
            _ => format!("({}) == 3 ? 4 : 1 + $clog2({})", expression(rng, &names, 2), rng.pick(&names)),
        };
        format!("  {direction} {}[{end} : 0] {name}", rng.pick(&["", "logic ", "wire signed "]))
    };
    let ports = [port("a", "input"), port("b", "input"), port("q", "output"), port("r", "output")];
    let text = format!("module {name} #(\n{}\n) (\n{}\n);\nendmodule\n", parameters.join(",\n"), ports.join(",\n"));
    let settable =
        text.lines().filter_map(|line| line.trim().strip_prefix("parameter ")?.split(' ').find(|w| w.starts_with('P')));
    settable.fold(Foreign::from_verilog(name, &text), |foreign, name| {
        // Verilator 5.048 does not see that a default of `'1` is set to 1.
        let value = 2 + rng.below(11) as i32;
        if rng.percent(40) {
            foreign.parameter(name, value)
        } else {
            foreign
        }
    })
}

/// Expressions have the value that Verilator gives them: in one text, as many modules as it reads in seconds.
#[test]
fn verilator_computes_the_same_widths() {
    const MODULES: usize = 150;
    let seed = Seed::from_env_or(0x5EED);
    let mut rng = seed.rng("headers");
    let mut modules: Vec<(usize, Foreign)> =
        (0..MODULES).map(|number| (number, random_module(&format!("m{number}"), &mut rng))).collect();
    // What tools compute differently is refused.
    modules.retain(|(_, foreign)| match around(foreign) {
        Ok(_) => true,
        Err(problems) => {
            let expected = problems.0.iter().all(|problem| problem.message.contains("tools do not agree"));
            assert!(expected, "{problems}\nreplay: {}", seed.replay());
            false
        }
    });
    assert!(modules.len() > MODULES / 2, "most are not refused");
    let design = elaborate(&block_fn("around", |m| {
        m.allow_combinational("wiring");
        for (number, foreign) in &modules {
            let inner = m.foreign(&format!("u{number}"), foreign, &[]);
            for (name, direction, width) in inner.ports() {
                match direction {
                    Direction::Input => inner.port(&name).set(m.input(&format!("to_{number}_{name}"), width)),
                    Direction::Output => m.output(&format!("from_{number}_{name}"), inner.port(&name)),
                }
            }
        }
    }))
    .unwrap_or_else(|problems| panic!("{problems}\nreplay: {}", seed.replay()));
    let text = ModelSpec::of(&design).verilog;
    let at = text.find("// Written by").expect("what is emitted says so");
    let off: String = ["WIDTH", "UNUSED", "UNDRIVEN", "ASCRANGE", "UNSIGNED", "CMPCONST"]
        .map(|rule| format!("/* verilator lint_off {rule} */\n"))
        .concat();
    let text = format!("{off}{}\n/* verilator lint_on WIDTH */\n{}", &text[..at], &text[at..]);
    lint(&text, "around").unwrap_or_else(|error| {
        let error = error.to_string();
        let named = |module: &&str| {
            let number: String = module.chars().skip(1).take_while(char::is_ascii_digit).collect();
            error.contains(&format!("u{number}_")) || error.contains(&format!("to_{number}_"))
        };
        let shown: Vec<&str> = text.split("module ").filter(named).collect();
        panic!("{error}\n{}\nreplay: {}", shown.join("\n"), seed.replay())
    });
    let widths: std::collections::BTreeSet<u32> = design.top().ports.iter().map(|port| port.width).collect();
    assert!(widths.len() > 15, "the widths differ: {widths:?}");
}

/// Texts that cannot be used, and the words of the one message about each.
const REFUSED: &[(&str, &[&str])] = &[
    ("module m #(parameter [99:0] W = 1) (input [W:0] a);", &["the parameter `W`", "it has more than 64 bits"]),
    ("module m #(parameter real W = 1) (input [W:0] a);", &["the parameter `W`", "its type is not known here"]),
    ("module m #(parameter W = 0 ** (-1)) (input [W:0] a);", &["zero to a negative power"]),
    ("module m (a); input a) endmodule", &["there is `)` where `;` behind the declaration of a port should be"]),
    ("module m (input [3:0] signed a);", &["the port `a` has `signed` where its name should be"]),
    ("", &["line 1 of the Verilog of `m`", "no module `m`, nor any other"]),
    ("module n; endmodule", &["no module `m`", "it has `n`"]),
    ("extern module m (input a);\nmodule more; endmodule", &["no module `m`", "it has `more`"]),
    ("module m (input a", &["the text ends inside of the header"]),
    ("module m (input a)\n endmodule", &["line 2", "there is `endmodule` where `;` behind the ports should be"]),
    ("module m #parameter W = 1 (input a);", &["there is `parameter` where `(` behind `#` should be"]),
    (
        "module m (\n  input a,\n  inout [3:0] pad\n);",
        &["line 3", "the port `pad` is an `inout`", "write a module around it"],
    ),
    ("module m (bus_if.slave s);", &["the port `s` is an interface, `bus_if`", "write a module around it"]),
    ("module m (interface s);", &["the port `s` is an interface"]),
    ("module m (input a, bus_if s);", &["the port `s` is of a type that is declared elsewhere, `bus_if`"]),
    ("module m (input pkg::word_t w);", &["the port `w` is of a type of a package, `pkg`", "packed bits"]),
    ("module m (input word_t w);", &["the port `w` is of a type that is declared elsewhere, `word_t`"]),
    ("module m (input struct packed { logic a; logic b; } s);", &["the port `s` has the type `struct`"]),
    ("module m (input real r);", &["the port `r` has the type `real`"]),
    ("module m (ref logic r);", &["the port `r` is a `ref`"]),
    ("module m (input [3:0] a [4]);", &["the port `a` is an array with unpacked dimensions"]),
    ("module m (input [4] a);", &["the port `a` has a range that is not of the form `[high:low]`"]),
    ("module m (input integer [3:0] a);", &["the port `a` has a range and a type that has no room for one"]),
    ("module m (input \\odd+name , output q);", &["the port `\\odd+name` has an escaped name"]),
    ("module m (input a$b);", &["the port `a$b` has a `$` in its name"]),
    ("module m (input a, input a);", &["the port `a` is declared twice"]),
    ("module m (.a(b)); input b; endmodule", &["a port that is an expression has no width", "declare it"]),
    ("module m (a, b); input a; endmodule", &["the port `b` is declared nowhere"]),
    (
        "module m (a, input b); endmodule",
        &["there is `input` where the name of a port that the body declares should be"],
    ),
    ("module m (input a,, input b);", &["there is `,` where a port should be"]),
    (
        "module m (input [W-1:0] a);",
        &["line 1", "the width of the port `a` is not known", "no parameter `W`", "put the number"],
    ),
    (
        "module m #(parameter W = pkg::W) (\n input [W-1:0] a);",
        &["line 2", "`a`", "the parameter `W` (line 1)", "`pkg::` is a package"],
    ),
    (
        "module m #(parameter A = B, B = 3) (input [A:0] a);",
        &["the parameter `A` (line 1)", "no parameter `B` is declared before it"],
    ),
    (
        "module m #(parameter W = f(3)) (input [W:0] a);",
        &["the parameter `W`", "`(` is not understood in a constant expression"],
    ),
    ("module m #(parameter W = \"abc\") (input [W:0] a);", &["`\"abc\"` is not understood"]),
    ("module m #(parameter W = 4'bx) (input [W:0] a);", &["`4'bx` is no number of 4 bits"]),
    ("module m #(parameter W = 99999999999) (input [W:0] a);", &["`99999999999` is no number of 31 bits", "40'd"]),
    ("module m #(parameter W = 100'd1) (input [W:0] a);", &["`100'd1` has no size from 1 to 64 bits"]),
    ("module m #(parameter W = 1 / 0) (input [W:0] a);", &["it divides by zero"]),
    (
        "module m (input [((3 > 2) << 3) ** 1 & 63 : 0] a);",
        &["tools do not agree how wide the left side of `**` is", "parameter"],
    ),
    ("module m (input [70000:0] a);", &["it would have 70001 bits", "65536"]),
    ("module m (input [`W-1:0] a);", &["the macro `W` is not defined", ".define(\"W\", ..)"]),
    ("`define W(x) x\nmodule m (input [`W(3)-1:0] a);", &["line 2", "the macro `W` is not defined, or has arguments"]),
    ("module m (\n`include \"ports.vh\"\n);", &["an `include` is not followed"]),
    (
        "module m (input a,\n`ifdef WITH_B\n input b,\n`endif\n output q);",
        &["line 3", "depends on `WITH_B`", ".define(\"WITH_B\", \"\")", ".undefined(\"WITH_B\")"],
    ),
    (
        "`ifdef SYNTHESIS\nmodule m (input a);\n`else\nmodule m (input b);\n`endif",
        &["depends on `SYNTHESIS`, which each tool sets for itself"],
    ),
    (
        "`ifdef BIG\n`define W 8\n`else\n`define W 4\n`endif\nmodule m (input [`W-1:0] a);",
        &["line 6", "depends on `BIG`"],
    ),
];

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    for (text, words) in REFUSED {
        let problems = around(&Foreign::from_verilog("m", text)).expect_err(text);
        assert_eq!(problems.0.len(), 1, "{text}\n{problems}");
        let message = &problems.0[0].message;
        assert!(words.iter().all(|word| message.contains(word)), "{text}\n{message}\nshould have {words:?}");
    }
}

#[test]
fn a_width_that_is_set_to_no_number_is_refused() {
    let text = "module m #(parameter W = 1) (input [W:0] a);";
    for value in [ParameterValue::from("wide"), 1.5.into(), Constant::ones(65).into()] {
        let problems = around(&Foreign::from_verilog("m", text).parameter("W", value)).unwrap_err();
        let message = &problems.0[0].message;
        let why = ["its value is no number of bits", "it has more than 64 bits"];
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert!(why.iter().any(|why| message.contains(why)), "{message}");
    }
}

#[test]
fn every_port_that_is_none_here_is_named_at_once() {
    let text = "module m (\n  inout a, b,\n  input pkg::t c, d,\n  input [3:0] e\n);";
    let problems = around(&Foreign::from_verilog("m", text)).unwrap_err();
    let named =
        ["a", "b", "c", "d"].map(|name| problems.0.iter().any(|p| p.message.contains(&format!("`{name}` is "))));
    assert_eq!((problems.0.len(), named), (4, [true; 4]), "{problems}");
}

/// A core with two clocks, one of whose resets takes effect at once.
const BRIDGE: &str = "module bridge (
  input fast, input slow, input slow_reset, input [3:0] data, input tick, output [3:0] shown, output busy, output level, input level_in
); endmodule";

#[test]
fn roles_of_ports_are_what_is_said() {
    let foreign = Foreign::from_header("bridge", BRIDGE)
        .clock("fast")
        .ports(&["data", "busy"])
        .clock("slow")
        .async_reset("slow_reset")
        .ports(&["tick", "shown"])
        .asynchronous(&["level", "level_in"])
        .combinational("busy", &["data", "level_in"]);
    let design = elaborate(&block_fn("top", |m| {
        m.allow_combinational("wiring");
        let (one, two) = (m.named_clock("one", None), m.named_clock("two", None));
        let two = two.with_async_reset(m.input_async("now", 1));
        let inner = m.foreign("inner", &foreign, &[one, two]);
        inner.port("data").set(m.input_of("data", 4, one));
        inner.port("tick").set(m.input_of("tick", 1, two));
        inner.port("level_in").set(m.input_async("level_in", 1));
        for name in ["shown", "busy", "level"] {
            m.output(name, inner.port(name));
        }
    }))
    .unwrap_or_else(|problems| panic!("{problems}"));
    let inner = &design.top().instances[0].module;
    let domain = |name: &str| inner.ports[inner.port(name).unwrap()].domain;
    assert_eq!(["fast", "slow"].map(domain), [Domain::ClockInput(0), Domain::ClockInput(1)]);
    assert_eq!(["data", "busy"].map(domain), [Domain::Clock(0); 2]);
    assert_eq!(["tick", "shown"].map(domain), [Domain::Clock(1); 2]);
    assert_eq!(["level", "level_in", "slow_reset"].map(domain), [Domain::Async; 3]);
    let from = |name: &str| {
        let inputs = inner.combinational.iter().find(|(output, _)| *output == inner.port(name).unwrap());
        inputs.map_or(vec![], |(_, inputs)| inputs.iter().map(|port| inner.ports[*port].name.as_str()).collect())
    };
    assert_eq!(from("busy"), ["data", "level_in"]);
    assert_eq!(from("shown"), ["slow_reset"], "a reset at once is seen at once");
    assert!(from("level").is_empty());
    let files: Vec<String> = emit(&design).into_iter().map(|file| file.name).collect();
    assert_eq!(files, ["top.sv"], "a header does not go with the design");
}

#[test]
fn without_a_clock_every_output_follows_every_input() {
    let text = "module m (input a, input b, output q, output r); endmodule";
    let (_, inner) = around(&Foreign::from_verilog("m", text).combinational("r", &["b"])).unwrap();
    assert_eq!(inner.combinational, [(2, vec![0, 1]), (3, vec![1])]);
}

#[test]
fn two_modules_of_one_text_carry_it_once() {
    let text = "module a (input x, output y); assign y = x; endmodule\nmodule b (input x, output y); assign y = ~x; endmodule\n";
    let design = elaborate(&block_fn("top", |m| {
        for name in ["a", "b"] {
            let inner = m.foreign(&format!("inner_{name}"), &Foreign::from_verilog(name, text), &[]);
            inner.port("x").set(m.input(&format!("to_{name}"), 1));
            m.output(&format!("from_{name}"), inner.port("y"));
        }
    }))
    .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(emit(&design).len(), 2);
    lint(&ModelSpec::of(&design).verilog, "top").unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn licences_go_with_the_design() {
    let module = |name: &str, licences: &[(&str, &str)]| {
        let foreign = Foreign::from_verilog(name, &format!("module {name}(output o);\nassign o = 0;\nendmodule\n"));
        licences.iter().fold(foreign, |foreign, (file, text)| foreign.licence(file, text))
    };
    let (a, b) = (
        module("a", &[("LICENSE", "one"), ("NOTICE", "by a")]),
        module("b", &[("LICENSE", "one"), ("NOTICE", "by b")]),
    );
    let inner = block_fn("inner", move |m| {
        m.output("a", m.foreign("inner_a", &a, &[]).port("o"));
        m.output("b", m.foreign("inner_b", &b, &[]).port("o"));
    });
    let outer = block_fn("outer", move |m| {
        let inner = m.instance("inner", &inner);
        m.output("both", inner.port("a") & inner.port("b"));
    });
    let design = elaborate(&outer).unwrap_or_else(|problems| panic!("{problems}"));
    let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
    assert_eq!(licences(&design), [file("LICENSE", "one"), file("NOTICE", "by a\nby b")]);
    assert!(emit(&design).iter().all(|file| file.name.ends_with(".sv")));
}

#[test]
fn values_of_parameters_as_verilog() {
    let text = "module m #(parameter A = 1, B = 1, C = 1.0, D = \"\", E = 0, F = 0, parameter [69:0] G = 0) (input a, output q); endmodule";
    let foreign = Foreign::from_header("m", text)
        .parameter("A", -3)
        .parameter("B", u32::MAX)
        .parameter("C", 5.0)
        .parameter("D", "a \"b\" \\")
        .parameter("E", true)
        .parameter("G", Constant::ones(70));
    let (design, _) = around(&foreign).unwrap_or_else(|problems| panic!("{problems}"));
    let expected =
        "m #(.A(-3), .B(32'hffffffff), .C(5.0), .D(\"a \\\"b\\\" \\\\\"), .E(1'b1), .G(70'h3fffffffffffffffff)) inner (";
    let text = &emit(&design)[0].text;
    assert!(text.contains(expected), "{text}");
}

/// Two modules that differ in a parameter of what is inside of them are not one.
#[test]
fn a_parameter_of_an_instance_makes_another_module() {
    let stage = |step: i32| {
        block_fn("stage", move |m: &Module| {
            let text = "module m #(parameter STEP = 1) (input a, output q); endmodule";
            let inner = m.foreign("inner", &Foreign::from_verilog("m", text).parameter("STEP", step), &[]);
            inner.port("a").set(m.input("a", 1));
            m.output("q", inner.port("q"));
        })
    };
    let problems = elaborate(&block_fn("top", |m| {
        for step in [1, 2] {
            m.instance(&format!("step_{step}"), &stage(step)).port("a").set(m.input(&format!("a_{step}"), 1));
        }
    }))
    .expect_err("they differ");
    assert!(problems.to_string().contains("two different modules are named `stage`"), "{problems}");
}

/// The same cases in every run; the environment variable `SEED` gives others.
fn config() -> ProptestConfig {
    let seed = RngSeed::Fixed(Seed::from_env_or(0x5EED).0);
    ProptestConfig { rng_seed: seed, failure_persistence: None, ..ProptestConfig::default() }
}

/// A port as it is to be read, and a range that says so.
fn any_port() -> impl Strategy<Value = (bool, u32, String)> {
    (any::<bool>(), 1..=200u32, 0..8u32).prop_map(|(is_input, width, form)| {
        let range = match form {
            0 => format!("[{}:0]", width - 1),
            1 => format!("[0:{}]", width - 1),
            2 => format!("[{} - 1 : 0]", width),
            3 => format!("[WIDE+{width}:WIDE + 1]"),
            4 => format!("[ONE:ONE][{width} : 2 - ONE]"),
            5 => format!("[('h{width:x} - 1) /* bits */ : 0]"),
            6 => format!("[(WIDE > 3 ? {width} : 7) - ONE : 0]"),
            _ if width == 1 => String::new(),
            _ => format!("[({width}) * 2 / 2 - 1 : ~'1]"),
        };
        (is_input, width, range)
    })
}

/// What may stand between two words.
fn any_space() -> impl Strategy<Value = &'static str> {
    let spaces =
        [" ", "\n", "\t ", " /* , ) */ ", " // ;\n", "\n`line 7 \"x.v\" 0\n", " (* keep = \"yes\" *) ", "\r\n"];
    proptest::sample::select(spaces.to_vec())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_header_that_is_printed_is_read_back(
        list in proptest::collection::vec(any_port(), 1..12),
        spaces in proptest::collection::vec(any_space(), 1..20),
        in_body in any::<bool>(),
    ) {
        let mut spaces = spaces.iter().cycle();
        let mut space = || *spaces.next().expect("it has no end");
        let name = |index: usize| format!("port_{index}");
        let mut declarations = Vec::new();
        for (index, (is_input, _, range)) in list.iter().enumerate() {
            let direction = if *is_input { "input" } else { "output" };
            declarations.push(format!("{direction}{}{range}{}{}", space(), space(), name(index)));
        }
        let parameters = "parameter WIDE = 5, ONE = 1";
        let text = if in_body {
            let names: Vec<String> = (0..list.len()).map(|index| format!("{}{}", space(), name(index))).collect();
            let body: String = declarations.iter().map(|one| format!("{one}{};", space())).collect();
            format!("module{}m{}({});{parameters};{body} endmodule", space(), space(), names.join(","))
        } else {
            let ports = declarations.join(&format!("{},{}", space(), space()));
            format!("module{}m{}#({parameters}){}({ports}){}; endmodule", space(), space(), space(), space())
        };
        let expected: Vec<String> = list
            .iter()
            .enumerate()
            .map(|(index, (is_input, width, _))| format!("{} {} {width}", if *is_input { "in" } else { "out" }, name(index)))
            .collect();
        prop_assert_eq!(ports(&Foreign::from_verilog("m", &text)), expected.join(", "), "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".*") {
        let _ = around(&Foreign::from_verilog("m", &text));
    }

    #[test]
    fn no_header_of_words_makes_the_reader_panic(
        words in proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 0..40),
    ) {
        let _ = around(&Foreign::from_verilog("m", &format!("module m {}", words.join(" "))));
        let _ = around(&Foreign::from_verilog("m", &words.join("")));
    }

    /// Something is cut out of a good text, and something else put there.
    #[test]
    fn no_mutated_header_makes_the_reader_panic(
        case in 0..CASES.len(),
        from in any::<proptest::sample::Index>(),
        length in 0..30usize,
        new in proptest::option::of(proptest::sample::select(WORDS.to_vec())),
    ) {
        let text: Vec<char> = CASES[case].text.chars().collect();
        let from = from.index(text.len());
        let to = (from + length).min(text.len());
        let mutated: String = text[..from].iter().copied().chain(new.unwrap_or("").chars()).chain(text[to..].iter().copied()).collect();
        let _ = around(&Foreign::from_verilog("m", &mutated));
    }
}

const WORDS: &[&str] = &[
    "module",
    "m",
    "(",
    ")",
    "#",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    "?",
    "=",
    "input",
    "output",
    "inout",
    "logic",
    "parameter",
    "localparam",
    "a",
    "b",
    "W",
    "3",
    "8'hff",
    "'1",
    "'",
    "\"",
    "\\",
    "`",
    "`a",
    "`define a `a\n",
    "`define b `a`a\n",
    "`ifdef x\n",
    "`else\n",
    "`endif\n",
    "`elsif y\n",
    "`undef a\n",
    "/*",
    "*/",
    "//",
    "(*",
    "*)",
    "\n",
    "-",
    "**",
    "$clog2",
    "1 / 0",
    "endmodule",
    "begin",
    "end",
    "int",
    "pkg::",
    ".",
    "type",
    "é",
    "99999999999999999999",
    "64'hffffffffffffffff",
    "1 << 40",
];

#[test]
fn nests_and_macros_without_end_are_refused_and_not_followed() {
    let deep = format!("module m (input [{}1{}:0] a);", "(".repeat(100_000), ")".repeat(100_000));
    let signs = format!("module m (input [{}1:0] a);", "~".repeat(100_000));
    let doubled: String = (1..60).map(|n| format!("`define M{n} `M{}+`M{}\n", n - 1, n - 1)).collect();
    let bomb = format!("`define M0 1\n{doubled}module m (input [`M59:0] a);");
    let circle = "`define A `B\n`define B `A\nmodule m (input [`A:0] a);".to_string();
    for text in [deep, signs, bomb, circle] {
        let problems = around(&Foreign::from_verilog("m", &text)).expect_err("no port has such a width");
        assert_eq!(problems.0.len(), 1, "{problems}");
    }
}

#[test]
fn a_large_text_is_read_up_to_the_module() {
    let filler =
        "module filler (input a, output q);\n  assign q = `UNKNOWN(a) & 1'b1; // why\nendmodule\n".repeat(20_000);
    let text = format!("{filler}module m (input [3:0] a); endmodule");
    assert_eq!(ports(&Foreign::from_verilog("m", &text)), "in a 4");
}
