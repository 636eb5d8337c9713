//! Rules about single words of Rust source, on tokens, so that comments and strings do not count.

use std::path::{Path, PathBuf};

use anyhow::Result;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{Finding, Role};
use crate::workspace::{Crate, Workspace};

/// Crates whose work is foreign calls, MMIO or start-up code.
const UNSAFE_CRATES: [&str; 3] = ["soc-hal", "sim-verilator", "soc-firmware"];

/// The smallest literal that can be an address worth a name: the size of a register page.
const ADDRESS_MIN: u128 = 1 << 12;
/// Above this, hexadecimal literals are patterns and constants of random number generators.
const ADDRESS_MAX: u128 = 1 << 48;

/// Findings in all Rust files.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in workspace.files.iter().filter(|file| file.extension() == Some("rs".as_ref())) {
        let Some(krate) = workspace.crate_of(file) else { continue };
        let text = workspace.read(file)?;
        findings.extend(check_file(&Place::of(krate, file), &text));
    }
    for krate in workspace.crates.iter().filter(|krate| Place::of(krate, &krate.folder).no_std) {
        let file = krate.folder.join("src/lib.rs");
        if !declares_no_std(&workspace.read(&file)?) {
            let text = "runs without an operating system; begin it with `#![no_std]`".into();
            findings.push(Finding { file, line: 1, text });
        }
    }
    Ok(findings)
}

/// What is known about a file from where it is.
struct Place {
    file: PathBuf,
    /// Must do without `std` outside of its tests.
    no_std: bool,
    may_use_unsafe: bool,
    /// Part of a library, so that it must not print.
    library: bool,
    /// Takes its addresses from `spec` and `map`.
    named_addresses: bool,
}

impl Place {
    fn of(krate: &Crate, file: &Path) -> Self {
        let role = Role::of(&krate.folder);
        let inside = file.strip_prefix(&krate.folder).unwrap_or(file);
        let shipped = inside.starts_with("src");
        let program = inside == Path::new("src/main.rs") || inside.starts_with("src/bin");
        Self {
            file: file.to_owned(),
            // A build script runs on a PC, whatever its crate is for.
            no_std: matches!(role, Some(Role::Spec | Role::Hal | Role::Fw | Role::Firmware))
                && inside != Path::new("build.rs"),
            may_use_unsafe: UNSAFE_CRATES.contains(&krate.name.as_str()),
            library: shipped && !program && role != Some(Role::Tools),
            named_addresses: shipped
                && matches!(
                    role,
                    Some(
                        Role::Hw
                            | Role::Fw
                            | Role::Hal
                            | Role::Core
                            | Role::Top
                            | Role::Firmware
                            | Role::Sim
                            | Role::Model
                    )
                )
                && !is_test_file(inside),
        }
    }
}

/// Files that their module declares under `#[cfg(test)]`, by the names of the guide.
fn is_test_file(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| ["bench", "props", "tests"].iter().any(|name| stem == *name))
        || file.iter().any(|part| part == "tests")
}

/// A token and whether it is in code that only tests compile.
struct Token {
    text: String,
    line: usize,
    test: bool,
}

fn check_file(place: &Place, text: &str) -> Vec<Finding> {
    let finding = |line, text: &str| Finding { file: place.file.clone(), line, text: text.to_owned() };
    let stream: TokenStream = match text.parse() {
        Ok(stream) => stream,
        // The compiler says it better.
        Err(_) => return Vec::new(),
    };
    let mut tokens = Vec::new();
    flatten(stream, is_test_file(&place.file), &mut tokens);

    let lines: Vec<_> = text.lines().collect();
    let has_reason = |line: usize| {
        let above = line.checked_sub(2).and_then(|index| lines.get(index));
        [above, lines.get(line - 1)].iter().flatten().any(|line| line.contains("// tidy: "))
    };

    let mut findings = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1).map_or("", |token| &token.text);
        match token.text.as_str() {
            "unsafe" if !place.may_use_unsafe => {
                findings.push(finding(token.line, "`unsafe` belongs into soc-hal; use its traits"));
            }
            "std" if place.no_std && !token.test && next == ":" => {
                findings.push(finding(token.line, "this crate runs without `std`; use `core`"));
            }
            "todo" | "unimplemented" | "dbg" if next == "!" => {
                findings.push(finding(token.line, &format!("`{}!` is left over; finish or remove it", token.text)));
            }
            "println" | "print" if next == "!" && place.library && !token.test => {
                let text = format!("a library does not print (`{}!`); return or report it", token.text);
                findings.push(finding(token.line, &text));
            }
            "ignore" if index > 1 && tokens[index - 1].text == "[" && tokens[index - 2].text == "#" => {
                findings.push(finding(token.line, "an ignored test is not a test; mend it or delete it"));
            }
            literal if place.named_addresses && !token.test && is_address(literal) && !has_reason(token.line) => {
                let text = format!(
                    "`{literal}` looks like an address; name it in a spec or map crate, or say why not: `// tidy: ...`"
                );
                findings.push(finding(token.line, &text));
            }
            _ => {}
        }
    }
    findings
}

/// Writes the tokens in order, delimiters included, marking what `#[cfg(test)]` and `#[test]` hide.
fn flatten(stream: TokenStream, test: bool, tokens: &mut Vec<Token>) {
    // An attribute holds for the tokens up to the end of its item: a brace group or a semicolon.
    let mut hidden = false;
    let mut after_hash = false;
    for tree in stream {
        let line = tree.span().start().line;
        let in_test = test || hidden;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                let attribute = after_hash && group.delimiter() == Delimiter::Bracket;
                tokens.push(Token { text: open.into(), line, test: in_test });
                flatten(group.stream(), in_test, tokens);
                tokens.push(Token { text: close.into(), line: group.span_close().end().line, test: in_test });
                if attribute && hides_from_release(&group.stream().to_string()) {
                    hidden = true;
                } else if group.delimiter() == Delimiter::Brace {
                    hidden = false;
                }
                after_hash = false;
            }
            TokenTree::Punct(punct) => {
                if punct.as_char() == ';' {
                    hidden = false;
                }
                // `#![cfg(test)]` is the attribute of a whole file, which ends with it.
                after_hash = punct.as_char() == '#' || after_hash && punct.as_char() == '!';
                tokens.push(Token { text: punct.to_string(), line, test: in_test });
            }
            tree => {
                after_hash = false;
                tokens.push(Token { text: tree.to_string(), line, test: in_test });
            }
        }
    }
}

/// Whether an attribute's text means that only tests compile its item.
fn hides_from_release(attribute: &str) -> bool {
    let attribute: String = attribute.split_whitespace().collect();
    attribute == "test" || attribute.starts_with("cfg(test") || attribute.starts_with("cfg(all(test")
}

fn declares_no_std(text: &str) -> bool {
    text.lines().any(|line| matches!(line, "#![no_std]" | "#![cfg_attr(not(test), no_std)]"))
}

/// Whether a literal is a hexadecimal number as addresses and register offsets are: a multiple of four, neither small, nor a mask of
/// ones, nor huge.
fn is_address(literal: &str) -> bool {
    let Some(digits) = literal.strip_prefix("0x") else { return false };
    let digits: String = digits.chars().filter(|digit| *digit != '_').collect();
    // A suffix such as u32 begins with a letter that is no hexadecimal digit.
    let end = digits.find(|digit: char| !digit.is_ascii_hexdigit()).unwrap_or(digits.len());
    let Ok(value) = u128::from_str_radix(&digits[..end], 16) else { return false };
    let mask = value & (value + 1) == 0;
    (ADDRESS_MIN..ADDRESS_MAX).contains(&value) && value % 4 == 0 && !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines with findings in a source of this crate.
    fn lines(name: &str, folder: &str, file: &str, text: &str) -> Vec<usize> {
        let krate = Crate { name: name.into(), folder: folder.into(), edges: Vec::new() };
        let place = Place::of(&krate, &Path::new(folder).join(file));
        check_file(&place, text).iter().map(|finding| finding.line).collect()
    }

    fn in_hw(text: &str) -> Vec<usize> {
        lines("nvme-hw", "nvme-ctrl/hw", "src/lib.rs", text)
    }

    fn in_fw(text: &str) -> Vec<usize> {
        lines("nvme-fw", "nvme-ctrl/fw", "src/lib.rs", text)
    }

    #[test]
    fn std_is_found_outside_of_tests_only() {
        assert_eq!(in_fw("use core::mem;\nuse std::mem;"), [2]);
        assert!(in_fw("#[cfg(test)]\nmod tests {\n    use std::mem;\n}").is_empty());
        assert!(in_fw("#[cfg(test)]\nextern crate std;\n#[cfg(test)]\nuse std::vec;").is_empty());
        assert_eq!(in_fw("#[cfg(test)]\nuse std::vec;\nuse std::mem;"), [3]);
        assert_eq!(in_fw("#[cfg(test)]\nmod a {}\nfn f() { std::mem::drop(1) }"), [3]);
        assert!(in_fw("// std::mem\nconst A: &str = \"std::mem\";").is_empty());
        assert!(in_hw("use std::mem;").is_empty());
    }

    #[test]
    fn unsafe_is_found_everywhere_but_where_it_belongs() {
        let text = "#[cfg(test)]\nmod tests { fn f() { unsafe {} } }\n";
        assert_eq!(in_hw(text), [2]);
        assert!(lines("soc-hal", "soc/hal", "src/lib.rs", text).is_empty());
        assert!(in_hw("#![deny(unsafe_code)]").is_empty());
    }

    #[test]
    fn leftovers_are_found() {
        for text in ["fn f() { todo!() }", "fn f() { unimplemented!(\"x\") }", "fn f() { dbg!(1); }"] {
            assert_eq!(in_hw(text), [1], "{text}");
        }
        assert_eq!(in_hw("fn f() { println!(\"\") }"), [1]);
        assert!(lines("flashdock", "tools/flashdock", "src/main.rs", "fn f() { println!(\"\") }").is_empty());
        assert!(in_hw("#[test]\nfn f() { println!(\"\") }").is_empty());
        assert!(in_hw("#![warn(clippy::todo)]").is_empty());
        assert_eq!(in_hw(concat!("#[test]\n#[", "ignore]\nfn f() {}")), [2]);
    }

    #[test]
    fn addresses_are_told_from_masks_and_patterns() {
        for address in ["0x1000", "0x4000_0000", "0x2004u32", "0xfee0_0000_u64"] {
            assert!(is_address(address), "{address}");
        }
        for other in
            ["0xfff", "0x14", "0xffff_ffff", "4096", "0x5555_5555_5555_5555", "0xffff_ffff_ffff_ffff_u64", "\"0x1000\""]
        {
            assert!(!is_address(other), "{other}");
        }
    }

    #[test]
    fn address_needs_a_home_or_a_reason() {
        assert_eq!(in_hw("const A: u32 = 0x2004;"), [1]);
        assert!(in_hw("const A: u32 = 0x2004; // tidy: an example").is_empty());
        assert!(in_hw("// tidy: an example\nconst A: u32 = 0x2004;").is_empty());
        assert!(in_hw("#[cfg(test)]\nmod tests { const A: u32 = 0x2004; }").is_empty());
        assert!(lines("nvme-hw", "nvme-ctrl/hw", "src/a/bench.rs", "const A: u32 = 0x2004;").is_empty());
        assert!(lines("nvme-spec", "nvme-ctrl/spec", "src/lib.rs", "const A: u32 = 0x2004;").is_empty());
    }

    #[test]
    fn no_std_is_recognized() {
        assert!(declares_no_std("//! Page.\n#![no_std]\n"));
        assert!(declares_no_std("#![cfg_attr(not(test), no_std)]\n"));
        assert!(!declares_no_std("// #![no_std]\n"));
    }
}
