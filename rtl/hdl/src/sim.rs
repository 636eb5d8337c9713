//! One way to run a design, whatever runs it: the evaluator here, or a Verilated model elsewhere.

/// A running design. Ports are found once by name and then used by number.
pub trait Simulator {
    /// The number of the port `name` of the top module.
    ///
    /// # Panics
    /// If there is no such port: the test that asks is wrong.
    fn port(&self, name: &str) -> PortId;
    /// Sets an input port; it is seen by the next [`settle`](Self::settle) or [`step`](Self::step).
    fn poke(&mut self, port: PortId, words: &[u64]);
    /// Reads a port as it was after the last `settle` or `step`, into `words`, lowest first.
    fn peek(&self, port: PortId, words: &mut [u64]);
    /// Lets inputs flow to outputs without a clock edge.
    fn settle(&mut self);
    /// Lets inputs settle, gives one rising edge to every clock in `clocks` (a bit for each clock of the top, the first lowest) at the same
    /// moment, and lets outputs settle.
    fn step_clocks(&mut self, clocks: u64);

    /// One edge of the first clock.
    fn step(&mut self) {
        self.step_clocks(1);
    }
    /// Sets an input port of at most 64 bits.
    #[inline]
    fn poke_u64(&mut self, port: PortId, value: u64) {
        self.poke(port, &[value]);
    }
    /// Reads the low 64 bits of a port.
    fn peek_u64(&self, port: PortId) -> u64 {
        let mut word = [0];
        self.peek(port, &mut word);
        word[0]
    }
}

/// The number of a port of a top module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortId(pub usize);

/// What points to a simulator is one.
macro_rules! simulator_behind {
    ($pointer:ty) => {
        impl<S: Simulator + ?Sized> Simulator for $pointer {
            fn port(&self, name: &str) -> PortId {
                (**self).port(name)
            }
            fn poke(&mut self, port: PortId, words: &[u64]) {
                (**self).poke(port, words);
            }
            fn peek(&self, port: PortId, words: &mut [u64]) {
                (**self).peek(port, words);
            }
            fn settle(&mut self) {
                (**self).settle();
            }
            fn step_clocks(&mut self, clocks: u64) {
                (**self).step_clocks(clocks);
            }
            fn step(&mut self) {
                (**self).step();
            }
            fn poke_u64(&mut self, port: PortId, value: u64) {
                (**self).poke_u64(port, value);
            }
            fn peek_u64(&self, port: PortId) -> u64 {
                (**self).peek_u64(port)
            }
        }
    };
}
simulator_behind!(Box<S>);
simulator_behind!(&mut S);
