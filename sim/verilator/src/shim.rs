//! Generates the C++ that joins a Verilated top to `library.rs`, and checks the port list against Verilator's.

use std::fmt::Write as _;

use crate::{Direction, Error, ModelSet, ModelSpec, PortSpec};

/// The hand-written part of the C++ side.
pub(crate) const HEADER: &str = include_str!("shim.h");
/// What every compilation includes before anything else.
pub(crate) const PRINT_HEADER: &str = include_str!("print.h");
/// The file name of [`PRINT_HEADER`].
pub(crate) const PRINT_HEADER_NAME: &str = "flashdock_print.h";
/// The file name of [`HEADER`].
pub(crate) const HEADER_NAME: &str = "flashdock_shim.h";
/// The one symbol of a library: `const FlashdockModel* (uint64_t index)`, null past the last model.
pub(crate) const ENTRY_SYMBOL: &str = "flashdock_model";

/// The class prefix of the model at this index of its set.
///
/// Verilator joins prefix and module name by `_`. A number keeps `a` + `b_c` and `a_b` + `c` apart.
pub(crate) fn prefix(index: usize) -> String {
    format!("V{index}")
}

/// The C++ of one model: its ports, and the function that describes it.
pub(crate) fn model_source(model: &ModelSpec, index: usize) -> String {
    let prefix = prefix(index);
    let mut inputs = String::new();
    let mut outputs = String::new();
    let mut clocks = String::new();
    for (clock, port) in model.ports.iter().filter(|port| port.direction == Direction::Clock).enumerate() {
        line(&mut clocks, format_args!("if (mask >> {clock} & 1) top.{} = level;", member(&port.name)));
    }
    for (port, offset) in model.ports.iter().zip(offsets(&model.ports)) {
        let member = member(&port.name);
        match port.direction {
            Direction::Clock => {}
            Direction::Input => line(&mut inputs, format_args!("flashdock::put(top.{member}, words + {offset});")),
            Direction::Output => line(&mut outputs, format_args!("flashdock::get(top.{member}, words + {offset});")),
        }
    }
    format!(
        "#include \"{HEADER_NAME}\"
#include \"{prefix}.h\"

struct {prefix}_Ports {{
    static constexpr bool SETTLES_FIRST = {settles_first};
    static void inputs({prefix}& top, const uint64_t* words) {{
{inputs}        (void)top, (void)words;
    }}
    static void outputs({prefix}& top, uint64_t* words) {{
{outputs}        (void)top, (void)words;
    }}
    static void clocks({prefix}& top, uint64_t mask, bool level) {{
{clocks}        (void)top, (void)mask, (void)level;
    }}
}};

FlashdockModel {prefix}_entry() {{ return flashdock::Instance<{prefix}, {prefix}_Ports>::entry(\"{name}\"); }}
",
        name = model.name,
        settles_first = has_asynchronous_resets(&model.verilog),
    )
}

/// Whether something in this text waits for one of several edges: then an input can change registers, and must do so before the edge of a clock that
/// comes with it.
fn has_asynchronous_resets(verilog: &str) -> bool {
    ["posedge", "negedge"].iter().any(|edge| {
        verilog.match_indices(edge).any(|(at, _)| {
            let before = verilog[..at].trim_end();
            before.ends_with(',') || before.ends_with(" or") || before.ends_with("\nor")
        })
    })
}

/// The C++ that every library has once: its list of models, and what happens on $stop, $fatal and failed assertions.
pub(crate) fn library_source(set: &ModelSet) -> String {
    let mut declarations = String::new();
    let mut entries = String::new();
    for index in 0..set.models.len() {
        let prefix = prefix(index);
        line(&mut declarations, format_args!("FlashdockModel {prefix}_entry();"));
        line(&mut entries, format_args!("{prefix}_entry(),"));
    }
    format!(
        "#include \"{HEADER_NAME}\"

{declarations}
FLASHDOCK_EXPORT const FlashdockModel* {ENTRY_SYMBOL}(uint64_t index) {{
    static const FlashdockModel models[] = {{
{entries}    }};
    return index < {count} ? &models[index] : nullptr;
}}

// What was printed last: an assertion says which it is before it stops the model.
static thread_local std::string printed;

int flashdock_print(const char* format, ...) {{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printed = text;
    while (!printed.empty() && printed.back() == '\\n') printed.pop_back();
    const bool stops = printed.find(\"%Error\") != std::string::npos || printed.find(\"%Fatal\") != std::string::npos;
    if (!stops) std::fputs(text, stdout);
    return length;
}}

void vl_fatal(const char* file, int line, const char* scope, const char* message) {{
    throw flashdock::Stopped{{std::string{{file}} + ':' + std::to_string(line) + \": \" + scope + \": \" + message}};
}}
void vl_stop(const char* file, int line, const char* scope) {{
    const std::string said = std::exchange(printed, {{}});
    vl_fatal(file, line, scope, said.empty() ? \"stopped by $stop or $fatal\" : said.c_str());
}}
",
        count = set.models.len(),
    )
}

/// Where each port begins in the array of words. A clock takes none.
pub(crate) fn offsets(ports: &[PortSpec]) -> Vec<usize> {
    let mut next = 0;
    ports
        .iter()
        .map(|port| {
            let offset = next;
            if port.direction != Direction::Clock {
                next += port.words();
            }
            offset
        })
        .collect()
}

/// Checks the port list against the class that Verilator wrote.
///
/// Its header declares each port as `VL_IN8(&name,msb,lsb)` with the kind by width; the names are those of [`member`].
pub(crate) fn check_ports(model: &ModelSpec, header: &str) -> Result<(), Error> {
    let fail = |detail: String| Err(Error::Ports { model: model.name.clone(), detail });
    let mut found = header.lines().filter_map(declaration).collect::<Vec<_>>();
    for port in &model.ports {
        let Some(at) = found.iter().position(|(name, ..)| *name == member(&port.name)) else {
            return fail(format!("module `{}` has no port `{}`", model.top, port.name));
        };
        let (_, output, width) = found.swap_remove(at);
        if output != (port.direction == Direction::Output) {
            let direction = if output { "an output" } else { "an input" };
            return fail(format!("port `{}` is {direction} in the Verilog", port.name));
        }
        if width != port.width {
            return fail(format!(
                "port `{}` has {width} bits in the Verilog and {} in the list",
                port.name, port.width
            ));
        }
        if port.direction == Direction::Clock && width != 1 {
            return fail(format!("clock `{}` has {width} bits", port.name));
        }
    }
    match found.first() {
        Some((name, ..)) => fail(format!("port `{name}` of the Verilog is not in the list")),
        None => Ok(()),
    }
}

/// Name, whether it is an output, and width of the port that this line of a Verilated header declares.
fn declaration(line: &str) -> Option<(&str, bool, u32)> {
    let (kind, arguments) = line.trim().strip_suffix(");")?.split_once("(&")?;
    let output = match kind.trim_end_matches(|tail: char| tail.is_ascii_digit() || tail == 'W') {
        "VL_IN" => false,
        "VL_OUT" => true,
        _ => return None,
    };
    let mut arguments = arguments.split(',');
    let name = arguments.next()?;
    let msb: u32 = arguments.next()?.parse().ok()?;
    let lsb: u32 = arguments.next()?.parse().ok()?;
    Some((name, output, msb - lsb + 1))
}

/// The C++ member that Verilator makes for a port of this name.
fn member(port: &str) -> String {
    // Words that C++ reserves and SystemVerilog does not.
    const RESERVED: &[&str] = &[
        "asm",
        "auto",
        "bool",
        "catch",
        "char",
        "delete",
        "double",
        "explicit",
        "export",
        "false",
        "float",
        "friend",
        "goto",
        "inline",
        "long",
        "mutable",
        "namespace",
        "operator",
        "private",
        "public",
        "register",
        "short",
        "sizeof",
        "template",
        "throw",
        "true",
        "try",
        "typeid",
        "typename",
        "volatile",
    ];
    if RESERVED.contains(&port) {
        format!("__SYM__{port}")
    } else {
        // Verilator keeps "__" for itself.
        port.replace("__", "___05F")
    }
}

/// Adds an indented line to the text.
fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "        {content}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(ports: Vec<PortSpec>) -> ModelSpec {
        ModelSpec { name: "block".into(), top: "block".into(), verilog: String::new(), ports }
    }

    const HEADER: &str = "
    VL_IN8(&clock,0,0);
    VL_IN16(&address,8,0);
    VL_OUTW(&data,511,0,16);
    VL_IN64(&wide___05Fname,63,0);
    ";

    fn ports() -> Vec<PortSpec> {
        vec![
            PortSpec::clock("clock"),
            PortSpec::output("data", 512),
            PortSpec::input("address", 9),
            PortSpec::input("wide__name", 64),
        ]
    }

    #[test]
    fn matching_port_list_is_accepted() {
        check_ports(&model(ports()), HEADER).unwrap();
    }

    #[test]
    fn each_difference_of_a_port_list_is_named() {
        type Change = fn(&mut Vec<PortSpec>);
        let changes: [(Change, &str); 5] = [
            (|ports| ports[2].width = 10, "`address` has 9 bits in the Verilog and 10"),
            (|ports| ports[2].direction = Direction::Output, "`address` is an input"),
            (|ports| ports[2].name = "adress".into(), "no port `adress`"),
            (|ports| ports.truncate(3), "`wide___05Fname` of the Verilog is not in the list"),
            (|ports| ports[1].direction = Direction::Input, "`data` is an output"),
        ];
        for (change, expected) in changes {
            let mut ports = ports();
            change(&mut ports);
            let error = check_ports(&model(ports), HEADER).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn asynchronous_resets_are_seen() {
        for sensitive in ["posedge clock or posedge reset", "posedge clock or\n negedge reset", "posedge a, posedge b"]
        {
            assert!(has_asynchronous_resets(&format!("always_ff @({sensitive})")), "{sensitive}");
        }
        assert!(!has_asynchronous_resets("always_ff @(posedge clock) a <= b; always @(posedge floor) c <= d;"));
    }

    #[test]
    fn words_of_a_port_follow_those_of_the_one_before() {
        let ports = vec![
            PortSpec::input("a", 1),
            PortSpec::clock("clock"),
            PortSpec::input("b", 65),
            PortSpec::output("c", 64),
            PortSpec::output("d", 512),
        ];
        assert_eq!(offsets(&ports), [0, 1, 1, 3, 4]);
    }
}
