//! The shape of the items that a primitive carries.

use rtl_hdl::{cat, Module, Naming, Shape, Signal, StreamIn, StreamOut, StreamWires};

/// The shape of the items of a stream, known when the hardware is described and not when the Rust is compiled.
///
/// Inside a primitive an item is one signal, packed as [`rtl_hdl::Value::pack`] does it; at its ports the fields are apart, so that
/// `Module::connect` joins it to any block that has a stream of this shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    name: String,
    /// Name and width of each field, the first in the lowest bits.
    fields: Vec<(String, u32)>,
}

impl Payload {
    /// Plain bits, in one port `<stream>_data`.
    pub fn bits(width: u32) -> Payload {
        Payload { name: width.to_string(), fields: vec![("data".into(), width)] }
    }

    /// The fields of a bundle. `name` becomes part of the names of modules that carry it, such as `host_read`.
    pub fn of<T: Shape>(name: &str) -> Payload {
        Payload { name: name.into(), fields: T::fields() }
    }

    /// What distinguishes this shape in the name of a module.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Width of an item in bits.
    pub fn width(&self) -> u32 {
        self.fields.iter().map(|(_, width)| width).sum()
    }

    /// Lowest bit and width of a field, if there is one of that name.
    pub fn field(&self, name: &str) -> Option<(u32, u32)> {
        let mut low = 0;
        for (field, width) in &self.fields {
            if field == name {
                return Some((low, *width));
            }
            low += width;
        }
        None
    }

    /// Adds an input stream of this shape.
    #[track_caller]
    pub fn stream_in(&self, m: &Module, name: &str) -> StreamIn<Signal> {
        m.stream_in_with(name, Naming::Underscore, |make| {
            let mut fields: Vec<Signal> = self.fields.iter().map(|(field, width)| make(field, *width)).collect();
            fields.reverse();
            cat(&fields)
        })
    }

    /// Adds a registered output stream of this shape.
    #[track_caller]
    pub fn stream_out(&self, m: &Module, name: &str) -> StreamOut<Signal> {
        m.stream_out_with(name, Naming::Underscore, |make| self.apart(m, name, make))
    }

    /// Adds the ports of an output stream of this shape, without registers.
    #[track_caller]
    pub fn stream_out_wires(&self, m: &Module, name: &str) -> StreamWires<Signal> {
        m.stream_out_wires(name, Naming::Underscore, |make| self.apart(m, name, make))
    }

    /// Makes the ports of the fields and drives them from one packed wire, which is returned.
    fn apart(&self, m: &Module, name: &str, make: &mut dyn FnMut(&str, u32) -> Signal) -> Signal {
        let packed = m.wire_of_width(&format!("{name}_packed"), self.width());
        let mut low = 0;
        for (field, width) in &self.fields {
            make(field, *width).set(packed.bits(low..low + width));
            low += width;
        }
        packed
    }
}
