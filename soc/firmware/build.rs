//! Writes the linker script of the processors' program, from the map.

use soc_map::firmware::IMAGE;
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
    IMAGE (rwx) : ORIGIN = {base:#x}, LENGTH = {bytes:#x}
}}
PHDRS {{
    code PT_LOAD FLAGS(5);
    constants PT_LOAD FLAGS(4);
    variables PT_LOAD FLAGS(6);
    note PT_NOTE FLAGS(4);
}}
SECTIONS {{
    .text : {{ KEEP(*(.text.start)) *(.text .text.*) }} > IMAGE :code
    .note.flashdock : ALIGN(4) {{ KEEP(*(.note.flashdock)) }} > IMAGE :constants :note
    .rodata : ALIGN(16) {{ *(.rodata .rodata.*) *(.srodata .srodata.*) }} > IMAGE :constants
    .data : ALIGN(16) {{ *(.data .data.*) *(.sdata .sdata.*) }} > IMAGE :variables
    .bss (NOLOAD) : ALIGN(16) {{
        bss_start = .;
        *(.bss .bss.*) *(.sbss .sbss.*) *(COMMON)
        . = ALIGN(8);
        bss_end = .;
    }} > IMAGE :variables
    /DISCARD/ : {{ *(.eh_frame .eh_frame_hdr) }}
}}
",
        base = IMAGE.base,
        bytes = IMAGE.bytes,
    );
    let path = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("firmware.ld");
    fs::write(&path, script).expect("the folder of the build can be written");
    println!("cargo::rustc-link-arg-bins=-T{}", path.display());
}
