//! Panics as results: the simulators and the HDL say with a panic that something is wrong, and a fuzzer wants to go on.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// A panic that was caught.
#[derive(Clone, Debug)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// File and line.
    pub place: String,
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work`; if it panics, nothing is printed and the panic is returned.
pub fn caught<R>(work: impl FnOnce() -> R) -> Result<R, Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                let place = info.location().map_or(String::new(), |at| format!("{}:{}", at.file(), at.line()));
                PLACE.replace(place);
            } else {
                previous(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let message = text.or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string()));
        Panic { message: message.unwrap_or_else(|| "a panic without a message".into()), place: PLACE.take() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_what_and_where() {
        let panic = caught(|| panic!("number {}", 5)).unwrap_err();
        assert_eq!(panic.message, "number 5");
        assert!(panic.place.contains("panics.rs:"), "{}", panic.place);
        assert_eq!(caught(|| 3).unwrap(), 3);
    }
}
