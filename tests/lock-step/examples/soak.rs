//! soak
fn main() {
    let library = sim_tile::library().unwrap();
    let a: Vec<u64> = std::env::args().skip(1).map(|x| u64::from_str_radix(x.trim_start_matches("0x"), if x.starts_with("0x") {16} else {10}).unwrap()).collect();
    let start = std::time::Instant::now();
    match lock_step::run(&library, a[0], a[1]) {
        Ok(r) => println!("{r:?}"),
        Err(e) => println!("{e}"),
    }
    println!("{:?}", start.elapsed());
}
