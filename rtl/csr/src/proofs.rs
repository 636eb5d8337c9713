//! What is proved of the blocks of this crate: see `cargo xtask formal`.

use rtl_hdl::formal::Proof;

/// Every proof, in configurations that are small and have every case in them.
pub fn proofs() -> Vec<Proof> {
    vec![]
}
