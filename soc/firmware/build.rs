//! Writes the linker script of the processors' program, from the map.

use soc_map::firmware::{CODE, IMAGE};
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Programs of a PC have the linker script of their system.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let script = format!(
        "ENTRY(start)
MEMORY {{
    CODE (rx) : ORIGIN = {code:#x}, LENGTH = {code_bytes:#x}
    VARIABLES (rw) : ORIGIN = {variables:#x}, LENGTH = {variables_bytes:#x}
}}
PHDRS {{
    code PT_LOAD FLAGS(5);
    constants PT_LOAD FLAGS(4);
    variables PT_LOAD FLAGS(6);
    note PT_NOTE FLAGS(4);
}}
SECTIONS {{
    .text : {{ KEEP(*(.text.start)) *(.text .text.*) }} > CODE :code
    .note.flashdock : ALIGN(4) {{ KEEP(*(.note.flashdock)) }} > CODE :constants :note
    .rodata : ALIGN(16) {{ *(.rodata .rodata.*) *(.srodata .srodata.*) }} > CODE :constants
    .data : {{ *(.data .data.*) *(.sdata .sdata.*) }} > VARIABLES :variables
    ASSERT(SIZEOF(.data) == 0, \"a variable begins as something else than zero, and the image ends with its code\")
    .bss (NOLOAD) : ALIGN(16) {{
        bss_start = .;
        *(.bss .bss.*) *(.sbss .sbss.*) *(COMMON)
        . = ALIGN(8);
        bss_end = .;
    }} > VARIABLES :variables
    /DISCARD/ : {{ *(.eh_frame .eh_frame_hdr) }}
}}
",
        code = CODE.base,
        code_bytes = CODE.bytes,
        variables = CODE.end(),
        variables_bytes = IMAGE.end() - CODE.end(),
    );
    let path = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("firmware.ld");
    fs::write(&path, script).expect("the folder of the build can be written");
    println!("cargo::rustc-link-arg-bins=-T{}", path.display());
}
