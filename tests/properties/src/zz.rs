#[test]
fn zz() {
    for block in [Box::new(nvme_hw::host_port::HostPort::new(nvme_hw::Config { functions: 1, ..nvme_hw::Config::SMALL })) as Box<dyn rtl_hdl::Block>, Box::new(nvme_hw::irq::Irq::new(nvme_hw::Config { functions: 1, ..nvme_hw::Config::SMALL })), Box::new(nvme_hw::walk::Walk), Box::new(nvme_hw::list_reader::ListReader)] {
        let d = rtl_hdl::elaborate(&*block).unwrap();
        println!("== {}", d.top().name);
        for n in &d.top().nodes { if let Some(n) = &n.name { println!("N {n}"); } }
        for x in rtl_hdl::mutation::mutations(d.top()) { println!("M {x:?}"); }
    }
}
