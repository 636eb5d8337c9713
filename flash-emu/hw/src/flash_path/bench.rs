pub(crate) fn blocks() -> Vec<Box<dyn rtl_hdl::Block>> {
    vec![Box::new(super::FlashPath::new(super::Config::SMALL))]
}
#[test]
fn elaborates() {
    let design = sim_verilator::test_bed::design(&*blocks()[0]);
    assert!(design.top().name.len() > 3);
}
