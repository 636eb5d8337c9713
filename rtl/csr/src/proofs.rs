//! What is proved of the blocks of this crate: see `cargo xtask formal`.

use crate::{Access, Bus, Field, Register, RegisterFile};
use rtl_hdl::formal::Proof;

/// Every proof, in configurations that are small and have every case in them.
pub fn proofs() -> Vec<Proof> {
    let file = |name: &str, bus| RegisterFile::new(name, table(), 5, bus).expect("the table is right");
    vec![
        Proof::by_induction(file("register_file", Bus::Access), 2),
        Proof::by_induction(file("register_file_axi_lite", Bus::AxiLite("mmio".into())), 2),
    ]
}

/// Every kind of access; fields across bytes and words, out of order, and with holes between; registers of both sizes.
fn table() -> Vec<Register> {
    let register =
        |name: &str, offset, bytes, reset, fields| Register { name: name.into(), offset, bytes, reset, fields };
    vec![
        register("VERSION", 0x00, 4, 0x0001_0400, vec![Field::new("ALL", 0, 32, Access::Constant)]),
        register("BASE", 0x10, 8, 0xf000, vec![Field::new("PLACE", 12, 40, Access::Rw)]),
        register(
            "MIXED",
            0x08,
            4,
            0x4000_0041,
            vec![
                Field::new("EVENTS", 20, 11, Access::W1c),
                Field::new("ENABLE", 0, 1, Access::Rw),
                Field::new("START", 5, 4, Access::W1s),
                Field::new("LEVEL", 10, 9, Access::Ro),
            ],
        ),
    ]
}
