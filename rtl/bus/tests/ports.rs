//! The ports have the names and widths of the standard, and managers join subordinates.

use rtl_bus::{
    Axi4, Axi4Config, AxiLite, AxiLiteRegisters, AxiStreamConfig, AxiStreamConfigError, AxiStreamSlice, ConfigError,
    TileLink, TileLinkCached, TileLinkConfig, TileLinkConfigError, TileLinkMemory,
};
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

/// AMBA AXI-Stream, "Signal list": what the configuration does not have is not there.
#[test]
fn a_transmitter_has_the_ports_that_its_configuration_asks_for() {
    let plain = AxiStreamConfig { data_bits: 64, keep: false, last: false, id_bits: 0, dest_bits: 0, user_bits: 0 };
    let full = AxiStreamConfig { keep: true, last: true, id_bits: 3, dest_bits: 4, user_bits: 5, ..plain };
    let always = [("to_tvalid", 1), ("to_tdata", 64)];
    let optional = [("to_tkeep", 8), ("to_tlast", 1), ("to_tid", 3), ("to_tdest", 4), ("to_tuser", 5)];
    for (config, optional) in [(plain, &[][..]), (full, &optional)] {
        let slice = AxiStreamSlice { config };
        let design = elaborate(&slice).unwrap_or_else(|problems| panic!("{problems}"));
        let out: Vec<_> = ports(&design, Direction::Output).into_iter().filter(|(n, _)| n != "from_tready").collect();
        expect(out, &[&always[..], optional].concat());
    }
    assert_eq!(full.check(), Ok(()));
    assert_eq!(AxiStreamConfig { data_bits: 12, ..full }.check(), Err(AxiStreamConfigError::DataBits));
    assert_eq!(AxiStreamConfig { id_bits: 9, ..full }.check(), Err(AxiStreamConfigError::IdBits));
    assert_eq!(AxiStreamConfig { dest_bits: 9, ..full }.check(), Err(AxiStreamConfigError::DestBits));
    assert_eq!(AxiStreamConfig { user_bits: 65, ..full }.check(), Err(AxiStreamConfigError::UserBits));
}

const TILE_LINK: TileLinkConfig =
    TileLinkConfig { address_bits: 12, data_bits: 64, size_bits: 3, source_bits: 5, sink_bits: 2 };

/// A module whose client and manager of TileLink with caches pass every message on.
fn cached_bridge() -> impl rtl_hdl::Block {
    block_fn("cached_bridge", |m| {
        m.clock();
        let from = TileLinkCached::manager(m, "from", TILE_LINK);
        let to = TileLinkCached::client(m, "to", TILE_LINK);
        fn pass<V: rtl_hdl::Value>(from: rtl_hdl::StreamIn<V>, to: rtl_hdl::StreamOut<V>) {
            when(to.can_take(), || {
                from.take();
                when(from.valid(), || to.offer(from.payload()));
            });
        }
        pass(from.a, to.a);
        pass(to.b, from.b);
        pass(from.c, to.c);
        pass(to.d, from.d);
        pass(from.e, to.e);
    })
}

/// TileLink, "Signal Descriptions".
#[test]
fn a_cached_client_has_the_ports_of_the_specification() {
    let design = elaborate(&cached_bridge()).unwrap_or_else(|problems| panic!("{problems}"));
    let of_client = |direction| -> Vec<(String, u32)> {
        ports(&design, direction).into_iter().filter(|(name, _)| name.starts_with("to_")).collect()
    };
    let with = |channel: &str, fields: &[(&str, u32)]| -> Vec<(String, u32)> {
        fields.iter().map(|(field, width)| (format!("to_{channel}_{field}"), *width)).collect()
    };
    let request =
        [("opcode", 3), ("param", 3), ("size", 3), ("source", 5), ("address", 12), ("corrupt", 1), ("data", 64)];
    let valid = [("valid", 1)];
    let ready = [("ready", 1)];
    let mask = [("mask", 8)];
    let answer = [
        ("opcode", 3),
        ("param", 2),
        ("size", 3),
        ("source", 5),
        ("sink", 2),
        ("denied", 1),
        ("data", 64),
        ("corrupt", 1),
    ];
    let sink = [("sink", 2)];
    let outputs = [
        with("a", &[&request[..], &valid, &mask].concat()),
        with("c", &[&request[..], &valid].concat()),
        with("e", &[&sink[..], &valid].concat()),
        with("b", &ready),
        with("d", &ready),
    ]
    .concat();
    let inputs = [
        with("b", &[&request[..], &valid, &mask].concat()),
        with("d", &[&answer[..], &valid].concat()),
        with("a", &ready),
        with("c", &ready),
        with("e", &ready),
    ]
    .concat();
    for (direction, want) in [(Direction::Output, outputs), (Direction::Input, inputs)] {
        let want: Vec<(&str, u32)> = want.iter().map(|(name, width)| (name.as_str(), *width)).collect();
        expect(of_client(direction), &want);
    }
}

#[test]
fn tile_link_clients_join_managers_and_leave_through_a_wiring_top() {
    let top = block_fn("top", |m| {
        m.clock();
        let first = m.instance("first", &cached_bridge());
        let second = m.instance("second", &cached_bridge());
        TileLinkCached::export(m, &first, "from", "from");
        TileLinkCached::connect(m, &first, "to", &second, "from");
        TileLinkCached::export(m, &second, "to", "to");
    });
    let design = elaborate(&top).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(design.top().port("from_c_opcode").is_some() && design.top().port("to_b_valid").is_some());

    // Another width is another bus.
    let client = |config: TileLinkConfig| {
        block_fn("client", move |m| {
            m.clock();
            let bus = TileLink::client(m, "tl", config);
            bus.d.take();
            bus.a.never();
        })
    };
    for (config, is_right) in [(TILE_LINK, true), (TileLinkConfig { source_bits: 4, ..TILE_LINK }, false)] {
        let top = block_fn("joined", |m| {
            m.clock();
            let client = m.instance("client", &client(config));
            let memory = m.instance("memory", &TileLinkMemory { config: TILE_LINK });
            TileLink::connect(m, &client, "tl", &memory, "tl");
        });
        assert_eq!(elaborate(&top).is_ok(), is_right);
    }
    let refused = |config: TileLinkConfig| config.check().unwrap_err();
    assert_eq!(TILE_LINK.check(), Ok(()));
    assert_eq!(refused(TileLinkConfig { address_bits: 0, ..TILE_LINK }), TileLinkConfigError::AddressBits);
    assert_eq!(refused(TileLinkConfig { data_bits: 24, ..TILE_LINK }), TileLinkConfigError::DataBits);
    assert_eq!(refused(TileLinkConfig { size_bits: 1, ..TILE_LINK }), TileLinkConfigError::SizeBits);
    assert_eq!(refused(TileLinkConfig { source_bits: 0, ..TILE_LINK }), TileLinkConfigError::SourceBits);
    assert_eq!(refused(TileLinkConfig { sink_bits: 0, ..TILE_LINK }), TileLinkConfigError::SinkBits);
}
