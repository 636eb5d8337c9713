use rtl_hdl::*;
hw_enum! {
    /// s
    pub enum State { /// a
     Idle, /// b
     Busy, /// c
     Done }
}
hw_bundle! { /// r
 pub struct Read { /// id
 pub id: Bits<8>, /// a
 pub address: Bits<64>, /// s
 pub state: State } }
#[repr(C)]
pub struct Wire { pub opcode: u8, pub flags: u8, pub cid: [u8; 2] }
hw_view! { /// v
 pub struct View from Wire { opcode: 8, cid: 16 } }

#[test]
fn builds() {
    let child = block_fn("child", |m| {
        let clock = m.clock();
        let entry = m.stream_in::<Read>("entry");
        let out = m.stream_out::<Read>("out");
        let state = m.reg("state", clock, State::Idle);
        let count = m.reg("count", clock, zero(8));
        switch(state, |s: State| match s {
            State::Idle => { when(out.can_take(), || { entry.take(); when(entry.valid(), || { out.offer(entry.payload()); state.goto(State::Busy); }); }); }
            State::Busy => state.goto(State::Done),
            State::Done => { when(count.eq(3), || count.set(zero(8))).otherwise(|| count.set(count + 1)); state.goto(State::Idle); }
        });
        m.output("count_out", count);
    });
    let top = block_fn("top", |m| {
        m.clock();
        let a = m.instance("a", &child);
        let b = m.instance("b", &child);
        m.connect(&a, "out", &b, "entry");
        m.export(&a, "entry", "entry");
        m.export(&b, "out", "out");
        m.output("sum", a.port("count_out") + b.port("count_out"));
    });
    let d = elaborate(&top).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(d.modules.len(), 2);
    for f in emit(&d) { println!("{}", f.text); }
}
