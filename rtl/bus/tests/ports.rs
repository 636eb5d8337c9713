//! The ports have the names and widths of the standard, and managers join subordinates.

use rtl_bus::{Axi4, Axi4Config, AxiLite, AxiLiteRegisters, ConfigError};
use rtl_hdl::{block_fn, elaborate, when, zero, Design, Direction};

const HOST: Axi4Config = Axi4Config { address_bits: 64, data_bits: 512, id_bits: 8, user_bits: 8 };

fn ports(design: &Design, direction: Direction) -> Vec<(String, u32)> {
    design.top().ports.iter().filter(|p| p.direction == direction).map(|p| (p.name.clone(), p.width)).collect()
}

fn expect(got: Vec<(String, u32)>, want: &[(&str, u32)]) {
    let mut got: Vec<(&str, u32)> =
        got.iter().map(|(n, w)| (n.as_str(), *w)).filter(|(n, _)| *n != "clock" && *n != "reset").collect();
    let mut want = want.to_vec();
    got.sort_unstable();
    want.sort_unstable();
    assert_eq!(got, want);
}

#[test]
fn a_manager_has_the_ports_of_the_standard() {
    let design = elaborate(&block_fn("manager", |m| {
        m.clock();
        let host = Axi4::manager(m, "host", HOST);
        host.b.take();
        host.r.take();
        when(host.b.valid() & host.w.can_take() & host.aw.can_take(), || {
            let read = host.r.payload();
            let id = read.id;
            host.aw.offer(HOST.whole_beats(id, read.data.low(64), read.data.low(8), read.data.low(8)));
            host.w.offer(rtl_bus::WriteData { data: read.data, strb: read.data.low(64), last: read.last });
        });
        when(host.ar.can_take(), || {
            let read = host.r.payload();
            host.ar.offer(HOST.whole_beats(read.id, read.data.low(64), read.data.low(8), read.data.low(8)));
        });
    }))
    .unwrap_or_else(|problems| panic!("{problems}"));
    let address = [("id", 8), ("addr", 64), ("len", 8), ("size", 3), ("burst", 2), ("user", 8), ("valid", 1)];
    let mut outputs = vec![
        ("host_wdata".to_string(), 512),
        ("host_wstrb".into(), 64),
        ("host_wlast".into(), 1),
        ("host_wvalid".into(), 1),
    ];
    for channel in ["aw", "ar"] {
        outputs.extend(address.iter().map(|(n, w)| (format!("host_{channel}{n}"), *w)));
    }
    outputs.extend([("host_bready".into(), 1), ("host_rready".into(), 1)]);
    expect(ports(&design, Direction::Output), &outputs.iter().map(|(n, w)| (n.as_str(), *w)).collect::<Vec<_>>());
    expect(
        ports(&design, Direction::Input),
        &[
            ("host_awready", 1),
            ("host_wready", 1),
            ("host_arready", 1),
            ("host_bvalid", 1),
            ("host_bid", 8),
            ("host_bresp", 2),
            ("host_rvalid", 1),
            ("host_rid", 8),
            ("host_rdata", 512),
            ("host_rresp", 2),
            ("host_rlast", 1),
        ],
    );
}

#[test]
fn a_manager_joins_a_subordinate_and_leaves_through_a_wiring_top() {
    let config = Axi4Config { address_bits: 32, data_bits: 64, id_bits: 1, user_bits: 1 };
    let bridge = block_fn("bridge", |m| {
        m.clock();
        let from = Axi4::subordinate(m, "from", config);
        let to = Axi4::manager(m, "to", config);
        for (from, to) in [(from.aw, to.aw), (from.ar, to.ar)] {
            when(to.can_take(), || {
                from.take();
                when(from.valid(), || to.offer(from.payload()));
            });
        }
        when(to.w.can_take(), || {
            from.w.take();
            when(from.w.valid(), || to.w.offer(from.w.payload()));
        });
        when(from.b.can_take(), || {
            to.b.take();
            when(to.b.valid(), || from.b.offer(to.b.payload()));
        });
        when(from.r.can_take(), || {
            to.r.take();
            when(to.r.valid(), || from.r.offer(to.r.payload()));
        });
    });
    let top = block_fn("top", |m| {
        m.clock();
        let first = m.instance("first", &bridge);
        let second = m.instance("second", &bridge);
        Axi4::export(m, &first, "from", "mem");
        Axi4::connect(m, &first, "to", &second, "from");
        Axi4::export(m, &second, "to", "out");
    });
    let design = elaborate(&top).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(design.top().port("mem_awready").is_some());
    assert!(design.top().port("out_wstrb").is_some());
}

#[test]
fn a_lite_manager_joins_a_register_block() {
    let registers = block_fn("registers", |m| {
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "mmio", 12);
        let word = m.reg("word", clock, zero(32));
        when(bus.write(), || {
            word.set(bus.write_data());
            bus.accept_write();
        });
        when(bus.read(), || bus.answer_read(word));
        m.output("strobe", bus.write_strobe());
        m.output("address", bus.write_address() ^ bus.read_address());
    });
    let manager = block_fn("manager", |m| {
        let clock = m.clock();
        let bus = AxiLite::manager(m, "mmio", 12);
        let count = m.reg("count", clock, zero(12));
        when(bus.ar.can_take(), || {
            count.set(count + 4);
            bus.ar.offer(rtl_bus::LiteAddress { addr: count });
        });
        when(bus.aw.can_take(), || bus.aw.offer(rtl_bus::LiteAddress { addr: count }));
        when(bus.w.can_take(), || bus.w.offer(rtl_bus::LiteWriteData { data: count.zext(32), strb: count.low(4) }));
        bus.b.take();
        bus.r.take();
        m.output("seen", count);
    });
    let top = block_fn("top", |m| {
        m.clock();
        let manager = m.instance("manager", &manager);
        let registers = m.instance("registers", &registers);
        AxiLite::connect(m, &manager, "mmio", &registers, "mmio");
        m.output("strobe", registers.port("strobe"));
        m.output("address", registers.port("address") ^ manager.port("seen"));
    });
    elaborate(&top).unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn a_wrong_configuration_names_its_constraint() {
    assert_eq!(HOST.check(), Ok(()));
    assert_eq!(Axi4Config { address_bits: 11, ..HOST }.check(), Err(ConfigError::AddressBits));
    assert_eq!(Axi4Config { data_bits: 96, ..HOST }.check(), Err(ConfigError::DataBits));
    assert_eq!(Axi4Config { id_bits: 0, ..HOST }.check(), Err(ConfigError::IdBits));
    assert_eq!(Axi4Config { user_bits: 0, ..HOST }.check(), Err(ConfigError::UserBits));
}
