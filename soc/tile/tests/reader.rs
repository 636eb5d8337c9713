//! Properties of the reader of Verilog: no text makes it panic, what it reads it writes again, and what it says of a module is what was written.

use proptest::prelude::*;
use soc_tile::verilog::{Direction, Edits, Item, Source};

/// A module as these tests make it up.
#[derive(Clone, Debug)]
struct Made {
    ports: Vec<(Direction, u32)>,
    items: Vec<MadeItem>,
}

#[derive(Clone, Debug)]
enum MadeItem {
    Wire(u32, Option<String>),
    Reg(u32, bool),
    Assign(String),
    Instance(Vec<String>),
    Block(String),
    Directives(String),
}

const EXPRESSIONS: [&str; 8] = [
    "a",
    "{{62'd0}, b[1:0]}",
    "c ? d : 2'h0",
    "$signed(x) >>> (y[3] & ~z)",
    "{2 {`RANDOM}}",
    "f_1[g[7:0] + 1]",
    "-1.5",
    "\"text; with \\\" endmodule\" == 0",
];

const BLOCKS: [&str; 8] = [
    "always @(posedge clock) r <= a;",
    "always @(posedge clock or posedge reset) if (reset) r <= 1'h0; else r <= {a, b};",
    "always @(posedge clock) begin if (a) begin b <= c; end else if (d) begin b <= e; end end",
    "always @(posedge c)\n    if (e)\n begin for(i=0;i<32;i=i+1) begin if(m[i]) begin r[i*8 +: 8] <= w[i]; end end end",
    "initial begin\n  `ifdef RANDOMIZE\n    `ifndef VERILATOR\n      `ifdef D\n #`D begin end\n `else\n #0.002 begin end\n `endif\n `endif\n `endif\n end",
    "always @* x = y;",
    "initial begin `ifdef STOP\n if (`STOP) begin\n `endif\n if (a) begin $fwrite(32'h80000002, \"end\\n\", b); end\n `ifdef STOP\n end\n `endif\n end",
    "initial #1 if (a) b = c; else if (d) e = f; else g = h;",
];

const DIRECTIVES: [&str; 4] = [
    "`ifdef A\n`define B $random // why\n`endif // A",
    "`ifndef C\n`else\n`endif",
    "`undef C",
    "`FIRRTL_AFTER_INITIAL",
];

fn made() -> impl Strategy<Value = Made> {
    let expression = prop::sample::select(&EXPRESSIONS[..]).prop_map(str::to_owned);
    let item = prop_oneof![
        (1..70u32, prop::option::of(expression.clone())).prop_map(|(width, value)| MadeItem::Wire(width, value)),
        (1..70u32, any::<bool>()).prop_map(|(width, memory)| MadeItem::Reg(width, memory)),
        expression.clone().prop_map(MadeItem::Assign),
        prop::collection::vec(prop_oneof![Just(String::new()), expression], 0..4).prop_map(MadeItem::Instance),
        prop::sample::select(&BLOCKS[..]).prop_map(|text| MadeItem::Block(text.to_owned())),
        prop::sample::select(&DIRECTIVES[..]).prop_map(|text| MadeItem::Directives(text.to_owned())),
    ];
    let direction = prop_oneof![Just(Direction::Input), Just(Direction::Output)];
    (prop::collection::vec((direction, 1..70u32), 0..5), prop::collection::vec(item, 0..12))
        .prop_map(|(ports, items)| Made { ports, items })
}

fn range(width: u32) -> String {
    if width == 1 {
        String::new()
    } else {
        format!("[{}:0]", width - 1)
    }
}

impl Made {
    fn text(&self, name: &str) -> String {
        let ports = self.ports.iter().enumerate().map(|(number, (direction, width))| {
            let direction = if *direction == Direction::Input { "input " } else { "output" };
            format!("  {direction} {} p{number}", range(*width))
        });
        let items = self.items.iter().enumerate().map(|(number, item)| match item {
            MadeItem::Wire(width, None) => format!("  wire {} w{number}; // w;\n", range(*width)),
            MadeItem::Wire(width, Some(value)) => format!("  wire {} w{number} = {value};\n", range(*width)),
            MadeItem::Reg(width, memory) => {
                format!("  reg {} r{number}{};\n", range(*width), if *memory { " [0:511]" } else { "" })
            }
            MadeItem::Assign(value) => format!("  assign t{number} = {value}; /* endmodule */\n"),
            MadeItem::Instance(values) => {
                let values = values.iter().enumerate().map(|(port, value)| format!(".q{port}({value})"));
                format!(
                    "  child #(.N(1), .F(\"%d\")) i{number} ( // here\n {}\n);\n",
                    values.collect::<Vec<_>>().join(",\n ")
                )
            }
            MadeItem::Block(text) | MadeItem::Directives(text) => format!("{text}\n"),
        });
        format!(
            "module {name}(\n{}\n);\n{}endmodule\n",
            ports.collect::<Vec<_>>().join(",\n"),
            items.collect::<String>()
        )
    }
}

/// The words of a text, without blanks.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

proptest! {
    #[test]
    fn a_module_is_read_as_it_was_made_and_written_as_it_was_read(modules in prop::collection::vec(made(), 1..4)) {
        let text: String = modules.iter().enumerate().map(|(number, made)| made.text(&format!("m{number}"))).collect();
        let source = Source::read("made.v", &text).unwrap();
        prop_assert_eq!(source.write_all(&Edits::default()), text);
        prop_assert_eq!(source.modules().len(), modules.len());
        for (number, (module, made)) in source.modules().iter().zip(&modules).enumerate() {
            prop_assert_eq!(source.token(module.name), format!("m{number}"));
            let whole = source.write(module.tokens.clone(), &Edits::default());
            prop_assert_eq!(whole + "\n", made.text(&format!("m{number}")));
            let ports: Vec<_> = module.ports.iter().map(|port| {
                (port.direction, port.range.as_ref().map_or(1, |range| range.width().unwrap()))
            }).collect();
            prop_assert_eq!(&ports, &made.ports);
            let mut items = module.items.iter().filter(|item| !matches!(item, Item::Directive(_)));
            for (number, made) in made.items.iter().enumerate() {
                if matches!(made, MadeItem::Directives(_)) {
                    continue;
                }
                match (items.next().unwrap(), made) {
                    (Item::Declaration(declaration), MadeItem::Wire(width, value)) => {
                        prop_assert_eq!(source.token(declaration.name), format!("w{number}"));
                        prop_assert_eq!(declaration.range.as_ref().map_or(1, |range| range.width().unwrap()), *width);
                        let read = declaration.value.clone().map(|value| squeezed(&source.words(value).concat()));
                        prop_assert_eq!(read, value.as_deref().map(squeezed));
                    }
                    (Item::Declaration(declaration), MadeItem::Reg(..)) => {
                        prop_assert_eq!(source.token(declaration.keyword), "reg");
                        prop_assert_eq!(source.token(declaration.name), format!("r{number}"));
                    }
                    (Item::Assign { target, value }, MadeItem::Assign(made)) => {
                        prop_assert_eq!(source.words(target.clone()), vec![format!("t{number}")]);
                        prop_assert_eq!(squeezed(&source.words(value.clone()).concat()), squeezed(made));
                    }
                    (Item::Instance(instance), MadeItem::Instance(values)) => {
                        prop_assert_eq!(source.token(instance.module), "child");
                        prop_assert_eq!(source.token(instance.name), format!("i{number}"));
                        let read: Vec<_> =
                            instance.connections.iter().map(|c| squeezed(&source.words(c.value.clone()).concat())).collect();
                        prop_assert_eq!(read, values.iter().map(|value| squeezed(value)).collect::<Vec<_>>());
                    }
                    (Item::Block(tokens), MadeItem::Block(text)) => {
                        prop_assert_eq!(&source.write(tokens.clone(), &Edits::default()), text);
                    }
                    (read, made) => prop_assert!(false, "{:?} was read as {:?}", made, read),
                }
            }
            prop_assert_eq!(items.next(), None);
        }
    }

    #[test]
    fn edits_change_what_they_name_and_nothing_else(made in made(), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let source = Source::read("made.v", &made.text("m")).unwrap();
        let mut edits = Edits::default();
        let picks: Vec<usize> = picks.iter().map(|pick| pick.index(source.token_count())).collect();
        picks.iter().for_each(|pick| edits.replace(*pick, "<here>"));
        let written = source.write_all(&edits);
        let expected: String = (0..source.token_count())
            .map(|token| if picks.contains(&token) { "<here>" } else { source.token(token) })
            .collect();
        let no_comments: String = written.replace("// w;", "").replace("// here", "").replace("/* endmodule */", "")
            .replace("// A", "");
        prop_assert_eq!(squeezed(&no_comments), squeezed(&expected.replace("// A", "")));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = Source::read("any.v", &text);
    }

    #[test]
    fn no_words_of_verilog_make_it_panic(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60)) {
        let _ = Source::read("any.v", &format!("module m(); {}", words.join(" ")));
        let _ = Source::read("any.v", &words.join(""));
    }

    /// A module that is cut or has a byte changed is read, or is refused at a line that it has.
    #[test]
    fn no_damage_makes_it_panic(made in made(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = made.text("m").into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Err(error) = Source::read("damaged.v", &text) {
            prop_assert!(error.line >= 1 && error.line <= text.split('\n').count(), "{error}");
        }
    }
}

const WORDS: [&str; 34] = [
    "module",
    "endmodule",
    "input",
    "output",
    "wire",
    "reg",
    "assign",
    "always",
    "initial",
    "begin",
    "end",
    "if",
    "else",
    "for",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ";",
    ",",
    ".",
    "#",
    "@",
    "=",
    "<=",
    "?",
    "a",
    "2'h0",
    "`ifdef A",
    "`endif",
    "\"t\"",
    "case",
];

#[test]
fn a_refusal_names_file_line_and_what_was_met() {
    let errors = [
        ("module m(\n  inout a\n);\nendmodule", "x.v:2: met `inout` in the place of `input` or `output`"),
        ("module m(input a);\n\n  assign a = ;\nendmodule", "x.v:3: met `;` in the place of an expression"),
        ("module m();\n  generate endgenerate\nendmodule", "x.v:2: met `generate` in the place of an item of a module"),
        ("module m();\n  initial begin\n", "x.v:3: met the end of the text in the place of `end`"),
        ("module m();\n  wire a, b;\nendmodule", "x.v:2: met `,` in the place of `;`"),
        ("module m();\n  child c (a);\nendmodule", "x.v:2: met `a` in the place of `.`"),
        ("`include \"other.v\"", "x.v:1: the directive `` `include ``, which is not known here"),
        ("module m();\n  wire \\a+b ;\nendmodule", "x.v:2: '\\\\', which no token begins with"),
        ("module m();\n  wire a = \"b\n\";", "x.v:2: quoted text that does not end in its line"),
        ("/* module", "x.v:1: a comment that does not end"),
    ];
    for (text, message) in errors {
        assert_eq!(Source::read("x.v", text).unwrap_err().to_string(), message);
    }
}
