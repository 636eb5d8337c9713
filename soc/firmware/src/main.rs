//! The image for the processors; on a PC, an empty program, so that the workspace builds as a whole.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(target_os = "none", allow(unsafe_code))]

#[cfg(target_os = "none")]
mod containers;
#[cfg(target_os = "none")]
mod csr;
#[cfg(target_os = "none")]
mod flash;
#[cfg(target_os = "none")]
mod monitor;
#[cfg(target_os = "none")]
mod sbi;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod tracing;

#[cfg(not(target_os = "none"))]
fn main() {}
