//! Prints the speed of both designs under Verilator.
fn main() {
    let library = hdl_reference::library(&sim_verilator::Toolchain::from_env(), sim_verilator::Optimize::Run);
    match library {
        Ok(library) => {
            let speed = hdl_reference::measure(&library, 1_000_000, 3);
            println!("{speed:.0?}, ours over hand-written: {:.3}", speed.ours / speed.hand_written);
        }
        Err(error) => eprintln!("{error}"),
    }
}
