//! The image for the processors; on a PC, an empty program, so that the workspace builds as a whole.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod start;

#[cfg(not(target_os = "none"))]
fn main() {}
