//! What the tests with firmware on processors share.

use sim_firmware::{Image, Toolchain};
use std::sync::{Arc, OnceLock};

/// The image, compiled once; none if the machine cannot have a compiler.
pub fn image() -> Option<Arc<Image>> {
    static IMAGE: OnceLock<Option<Arc<Image>>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| match sim_firmware::build(&Toolchain::from_env()) {
        Ok(image) => Some(Arc::new(image)),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: firmware on processors. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    });
    image.clone()
}
