//! Streams: valid forward, ready back. Once offered, an item stays, unchanged, until it is taken.

use crate::instance::InstanceHandle;
use crate::ir::{Direction, NodeKind, StreamPort};
use crate::module::{bundles_of, make_reg, new_node, note_bundle, note_fields, problem, Module};
use crate::signal::{when, Signal};
use crate::value::{Shape, Value};
use std::panic::Location;

/// A stream that comes into the module.
#[derive(Clone, Copy)]
pub struct StreamIn<V> {
    valid: Signal,
    payload: V,
    ready: Signal,
}

impl<V: Value> StreamIn<V> {
    /// True where an item is there.
    pub fn valid(&self) -> Signal {
        self.valid
    }

    /// The item; meaningful only while [`valid`](Self::valid).
    pub fn payload(&self) -> V {
        self.payload
    }

    /// Takes the item, if there is one, under the conditions around this call. They must not depend on `valid` or the payload, or a path
    /// through the block appears: decide by registers only.
    #[track_caller]
    pub fn take(&self) {
        self.ready.set(true);
    }

    /// True in the clock in which an item is taken.
    #[track_caller]
    pub fn taken(&self) -> Signal {
        self.valid & self.ready
    }
}

/// A stream that leaves the module, from registers.
#[derive(Clone, Copy)]
pub struct StreamOut<V> {
    can_take: Signal,
    offer: Signal,
    item: V,
    ready: Signal,
    contents: StreamContents<V>,
}

/// What the registers of an output stream hold, for properties.
#[derive(Clone, Copy)]
pub struct StreamContents<V> {
    /// An item is offered.
    pub full: Signal,
    /// The item.
    pub held: V,
    /// A second item waits; only where the stream is two deep.
    pub spare: Option<(Signal, V)>,
}

impl<V: Value> StreamOut<V> {
    /// True where [`offer`](Self::offer) is allowed; a register.
    pub fn can_take(&self) -> Signal {
        self.can_take
    }

    /// Sends `item`, under the conditions around this call, which must include [`can_take`](Self::can_take).
    #[track_caller]
    pub fn offer(&self, item: V) {
        self.offer.set(true);
        self.item.set(item);
    }

    /// Says that nothing is ever offered, such as on the write channels of a bus that only reads.
    #[track_caller]
    pub fn never(&self) {
        for leaf in self.item.leaves() {
            leaf.set(0);
        }
    }

    /// True in the clock in which an item is offered.
    pub fn offered(&self) -> Signal {
        self.offer
    }

    /// True in the clock in which the other side takes an item. For properties: a path leads from `ready` to here.
    #[track_caller]
    pub fn taken(&self) -> Signal {
        self.contents.full & self.ready
    }

    /// What the registers hold.
    pub fn contents(&self) -> StreamContents<V> {
        self.contents
    }
}

/// An output stream without registers of its own: for primitives that have them already.
#[derive(Clone, Copy)]
pub struct StreamWires<V> {
    /// Driven with `set`.
    pub valid: Signal,
    /// From the other side.
    pub ready: Signal,
    /// Driven with `set`.
    pub payload: V,
}

/// How the ports of a stream are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    /// `<stream>_valid`, `<stream>_ready`, `<stream>_<field>`: between our own blocks.
    Underscore,
    /// `<stream>valid`, `<stream>ready`, `<stream><field>`: the channels of the AXI standards, such as `host_awvalid`.
    Joined,
}

impl Naming {
    fn suffix(self, field: &str) -> String {
        match self {
            Naming::Underscore if !field.is_empty() => format!("_{field}"),
            _ => field.to_string(),
        }
    }
}

impl Module {
    /// Adds an input stream with payload `T`.
    #[track_caller]
    pub fn stream_in<T: Shape>(&self, name: &str) -> StreamIn<T::Value> {
        self.stream_in_with(name, Naming::Underscore, |make| T::declare("", make))
    }

    /// Adds an input stream of plain bits.
    #[track_caller]
    pub fn stream_in_bits(&self, name: &str, width: u32) -> StreamIn<Signal> {
        self.stream_in_with(name, Naming::Underscore, |make| make("data", width))
    }

    /// Adds an input stream whose shape is known at run time: `declare` makes each field by calling its argument with name and width.
    #[track_caller]
    pub fn stream_in_with<V: Value>(
        &self,
        name: &str,
        naming: Naming,
        declare: impl FnOnce(&mut dyn FnMut(&str, u32) -> Signal) -> V,
    ) -> StreamIn<V> {
        let payload = self.stream_ports(name, naming, Direction::Input, declare);
        let valid = self.input(&format!("{name}{}", naming.suffix("valid")), 1);
        let ready = self.output_wire(&format!("{name}{}", naming.suffix("ready")), 1);
        note_parts(name, &[valid, ready]);
        self.default_to(ready, false);
        StreamIn { valid, payload, ready }
    }

    /// Adds an output stream with payload `T`, one item per clock, two deep, so that no path leads from ready back into the module.
    #[track_caller]
    pub fn stream_out<T: Shape>(&self, name: &str) -> StreamOut<T::Value> {
        self.stream_out_with(name, Naming::Underscore, |make| T::declare("", make))
    }

    /// Adds an output stream of plain bits; see [`stream_out`](Self::stream_out).
    #[track_caller]
    pub fn stream_out_bits(&self, name: &str, width: u32) -> StreamOut<Signal> {
        self.stream_out_with(name, Naming::Underscore, |make| make("data", width))
    }

    /// Adds an output stream whose shape is known at run time; see [`stream_in_with`](Self::stream_in_with) and [`stream_out`](Self::stream_out).
    #[track_caller]
    pub fn stream_out_with<V: Value>(
        &self,
        name: &str,
        naming: Naming,
        declare: impl FnOnce(&mut dyn FnMut(&str, u32) -> Signal) -> V,
    ) -> StreamOut<V> {
        let ports = self.stream_out_wires(name, naming, declare);
        self.double(name, ports)
    }

    /// Adds an output stream with payload `T` that sends at most every second clock, and costs half the registers.
    #[track_caller]
    pub fn stream_out_single<T: Shape>(&self, name: &str) -> StreamOut<T::Value> {
        self.stream_out_single_with(name, Naming::Underscore, |make| T::declare("", make))
    }

    /// Like [`stream_out_single`](Self::stream_out_single), for a shape that is known at run time.
    #[track_caller]
    pub fn stream_out_single_with<V: Value>(
        &self,
        name: &str,
        naming: Naming,
        declare: impl FnOnce(&mut dyn FnMut(&str, u32) -> Signal) -> V,
    ) -> StreamOut<V> {
        let StreamWires { valid, ready, payload } = self.stream_out_wires(name, naming, declare);
        let source = Location::caller();
        let clock = self.clock_of_stream(name);
        let full = self.reg(&format!("{name}_full"), clock, false);
        let held = payload
            .rebuild_named(&format!("{name}_held"), &mut |name, width| make_reg(name, clock, width, None, source));
        let (offer, item) = self.offer_wires(name, &held);
        note_parts(name, &[full]);
        note_parts(name, &held.leaves());
        when(valid & ready, || full.set(false));
        when(offer, || {
            full.set(true);
            held.set(item);
        });
        valid.set(full);
        payload.set(held);
        let can_take = self.can_take(name, !full);
        self.assert(clock, &format!("{name}_has_room"), offer.implies(can_take));
        StreamOut { can_take, offer, item, ready, contents: StreamContents { full, held, spare: None } }
    }

    /// Adds the ports of an output stream and nothing else: who calls this keeps the rule that an offered item stays until it is taken.
    #[track_caller]
    pub fn stream_out_wires<V: Value>(
        &self,
        name: &str,
        naming: Naming,
        declare: impl FnOnce(&mut dyn FnMut(&str, u32) -> Signal) -> V,
    ) -> StreamWires<V> {
        let payload = self.stream_ports(name, naming, Direction::Output, declare);
        let valid = self.output_wire(&format!("{name}{}", naming.suffix("valid")), 1);
        let ready = self.input(&format!("{name}{}", naming.suffix("ready")), 1);
        note_parts(name, &[valid, ready]);
        StreamWires { valid, ready, payload }
    }

    /// Adds the payload ports and notes the stream.
    #[track_caller]
    fn stream_ports<V: Value>(
        &self,
        name: &str,
        naming: Naming,
        direction: Direction,
        declare: impl FnOnce(&mut dyn FnMut(&str, u32) -> Signal) -> V,
    ) -> V {
        let source = Location::caller();
        let mut leaves = Vec::new();
        let payload = declare(&mut |field, width| {
            let suffix = naming.suffix(field);
            let port = format!("{name}{suffix}");
            leaves.push((suffix, width));
            let port = match direction {
                Direction::Input => self.input_at(&port, width, source),
                Direction::Output => self.output_at(&port, width, source),
            };
            note_parts(name, &[port]);
            port
        });
        if naming == Naming::Underscore {
            note_fields(name, &payload);
        }
        self.note_stream(StreamPort { name: name.into(), direction, naming, leaves });
        payload
    }

    #[track_caller]
    fn offer_wires<V: Value>(&self, name: &str, like: &V) -> (Signal, V) {
        let source = Location::caller();
        let offer = self.wire_of_width(&format!("{name}_offer"), 1);
        self.default_to(offer, false);
        let item = like.rebuild_named(&format!("{name}_item"), &mut |name, width| {
            new_node(NodeKind::Wire, width, Some(name.into()), source)
        });
        note_parts(name, &[offer]);
        note_parts(name, &item.leaves());
        self.dont_care(&item);
        (offer, item)
    }

    #[track_caller]
    fn can_take(&self, name: &str, value: Signal) -> Signal {
        let can_take = self.wire(&format!("{name}_can_take"), value);
        note_parts(name, &[can_take]);
        can_take
    }

    #[track_caller]
    fn double<V: Value>(&self, name: &str, ports: StreamWires<V>) -> StreamOut<V> {
        let StreamWires { valid, ready, payload } = ports;
        let source = Location::caller();
        let clock = self.clock_of_stream(name);
        let full = self.reg(&format!("{name}_full"), clock, false);
        let spare_full = self.reg(&format!("{name}_spare_full"), clock, false);
        let held = payload
            .rebuild_named(&format!("{name}_held"), &mut |name, width| make_reg(name, clock, width, None, source));
        let spare = payload
            .rebuild_named(&format!("{name}_spare"), &mut |name, width| make_reg(name, clock, width, None, source));
        let (offer, item) = self.offer_wires(name, &held);
        let free = self.wire(&format!("{name}_free"), !full | ready);
        note_parts(name, &[full, spare_full, free]);
        note_parts(name, &[held.leaves(), spare.leaves()].concat());
        when(free, || {
            full.set(spare_full | offer);
            spare_full.set(false);
            when(spare_full, || held.set(spare)).otherwise(|| held.set(item));
        })
        .else_when(offer, || {
            spare_full.set(true);
        });
        when(!spare_full, || spare.set(item));
        valid.set(full);
        payload.set(held);
        let can_take = self.can_take(name, !spare_full);
        self.assert(clock, &format!("{name}_has_room"), offer.implies(can_take));
        let contents = StreamContents { full, held, spare: Some((spare_full, spare)) };
        StreamOut { can_take, offer, item, ready, contents }
    }

    /// Joins an output stream of one instance to an input stream of another.
    #[track_caller]
    pub fn connect(&self, from: &InstanceHandle, output: &str, to: &InstanceHandle, input: &str) {
        let source = Location::caller();
        let (Some((a, a_valid, a_ready, a_leaves)), Some((b, b_valid, b_ready, b_leaves))) =
            (from.stream_ports(output, source), to.stream_ports(input, source))
        else {
            from.excuse();
            to.excuse();
            return;
        };
        if a.direction != Direction::Output || b.direction != Direction::Input || a.leaves != b.leaves {
            problem(
                source,
                format!(
                    "`{}.{output}` ({:?}, {}) cannot be joined to `{}.{input}` ({:?}, {}): join an output to an input of the same fields",
                    from.name(),
                    a.direction,
                    list(&a),
                    to.name(),
                    b.direction,
                    list(&b)
                ),
            );
            from.excuse();
            to.excuse();
            return;
        }
        b_valid.set(a_valid);
        a_ready.set(b_ready);
        for (to, from) in b_leaves.into_iter().zip(a_leaves) {
            to.set(from);
        }
    }

    /// Makes the stream `inner` of an instance a stream port `outer` of this module.
    #[track_caller]
    pub fn export(&self, instance: &InstanceHandle, inner: &str, outer: &str) {
        let source = Location::caller();
        let Some((stream, valid, ready, leaves)) = instance.stream_ports(inner, source) else {
            instance.excuse();
            return;
        };
        let enters = stream.direction == Direction::Input;
        let fields = stream.leaves.iter().zip(leaves).map(|((suffix, _), leaf)| (suffix.clone(), leaf, enters));
        let naming = stream.naming;
        let others = [(naming.suffix("valid"), valid, enters), (naming.suffix("ready"), ready, !enters)];
        for (suffix, inner, enters) in fields.chain(others) {
            let name = format!("{outer}{suffix}");
            let port = if enters { self.input(&name, inner.width()) } else { self.output_wire(&name, inner.width()) };
            // Bundles of the net on the port, behind the name of the instance and its stream, are bundles here.
            let before = instance.name().len() + 1 + stream.name.len();
            for length in bundles_of(inner).into_iter().filter_map(|length| length.checked_sub(before)) {
                note_bundle(port, outer.len() + length);
            }
            if enters {
                inner.set(port);
            } else {
                port.set(inner);
            }
        }
        self.note_stream(StreamPort { name: outer.into(), ..stream });
    }
}

impl StreamPort {
    /// The name of the valid port.
    pub fn valid(&self) -> String {
        format!("{}{}", self.name, self.naming.suffix("valid"))
    }

    /// The name of the ready port.
    pub fn ready(&self) -> String {
        format!("{}{}", self.name, self.naming.suffix("ready"))
    }
}

/// Notes that these nodes are parts of the stream of this name.
fn note_parts(name: &str, parts: &[Signal]) {
    for part in parts {
        note_bundle(*part, name.len());
    }
}

fn list(stream: &StreamPort) -> String {
    let field = |(name, width): &(String, u32)| match name.trim_start_matches('_') {
        "" => format!("{width} bits"),
        name => format!("{name}: {width}"),
    };
    stream.leaves.iter().map(field).collect::<Vec<_>>().join(", ")
}
