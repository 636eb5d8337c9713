//! dump
fn main() {
    let d = rtl_hdl::elaborate(&hdl_reference::QueueFetch).unwrap_or_else(|e| panic!("{e}"));
    let dir = std::env::args().nth(1).unwrap();
    for f in rtl_hdl::emit(&d) { std::fs::write(format!("{dir}/{}", f.name), f.text).unwrap(); }
}
