//! Register files elaborate, and have the ports that the table says.

use rtl_csr::{Access, Bus, Field, Register, RegisterFile};
use rtl_hdl::{elaborate, emit};

fn table() -> Vec<Register> {
    let register =
        |name: &str, offset, bytes, reset, fields| Register { name: name.into(), offset, bytes, reset, fields };
    vec![
        register("VS", 0x8, 4, 0x10400, vec![Field::new("ALL", 0, 32, Access::Constant)]),
        register("ASQ", 0x28, 8, 0x1000, vec![Field::new("ASQB", 12, 52, Access::Rw)]),
        register(
            "CC",
            0x14,
            4,
            0x40,
            vec![
                Field::new("IOSQES", 16, 4, Access::Rw),
                Field::new("EN", 0, 1, Access::Rw),
                Field::new("MPS", 4, 4, Access::Rw),
            ],
        ),
        register(
            "STATUS",
            0x18,
            4,
            0,
            vec![Field::new("EVENTS", 0, 9, Access::W1c), Field::new("BUSY", 31, 1, Access::Ro)],
        ),
        register("COMMAND", 0x20, 4, 0, vec![Field::new("START", 7, 2, Access::W1s)]),
    ]
}

#[test]
fn a_register_file_has_the_ports_of_its_table() {
    for bus in [Bus::Access, Bus::AxiLite("mmio".into())] {
        let file = RegisterFile::new("registers", table(), 6, bus).expect("the table is right");
        let design = elaborate(&file).unwrap_or_else(|problems| panic!("{problems}"));
        let has = |port: &str| design.top().port(port).is_some();
        for port in [
            "ASQ_ASQB",
            "CC_EN",
            "CC_written",
            "STATUS_EVENTS_set",
            "STATUS_BUSY",
            "COMMAND_START_clear",
            "ASQ_written",
        ] {
            assert!(has(port), "{port}");
        }
        assert!(!has("VS_ALL") && !has("VS_written"));
        assert!(!emit(&design).is_empty());
    }
}
