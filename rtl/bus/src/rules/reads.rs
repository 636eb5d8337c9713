//! The state of the reads of an AXI4 port.

use super::{address_exists, count, count_down, response_exists, Watch, NUMBER_BITS};
use crate::{Address, Axi4Config, ReadData, LEN_BITS};
use rtl_hdl::{hw_bundle, zero, Bits, Clock, Module, Shape, Signal};

hw_bundle! {
    /// What has happened on AR and R. What breaks a rule is kept.
    pub struct Reads {
        /// The number of the next address.
        pub addresses: Bits<NUMBER_BITS>,
        /// Reads of the watched id that wait for their last beat.
        pub unanswered: Bits<NUMBER_BITS>,
        /// The watched read waits for its last beat.
        pub inside: Bits<1>,
        /// Reads of its id that are answered before it.
        pub ahead: Bits<NUMBER_BITS>,
        /// Beats that it waits for behind the next.
        pub left: Bits<LEN_BITS>,
        /// An address that does not exist.
        pub address_wrong: Bits<1>,
        /// More is under way than numbers tell apart.
        pub overrun: Bits<1>,
        /// Data before its address.
        pub unasked: Bits<1>,
        /// A last beat that is not the last, or another that is.
        pub last_wrong: Bits<1>,
        /// A response that does not exist.
        pub response_wrong: Bits<1>,
    }
}

impl Reads {
    /// The registers of this state, with nothing under way.
    #[track_caller]
    pub(crate) fn state(m: &Module, clock: Clock, name: &str) -> Reads {
        Reads::declare(name, &mut |name, width| m.reg(name, clock, zero(width)))
    }

    /// After an address was taken, if `taken`.
    #[track_caller]
    pub fn address(self, taken: Signal, address: &Address, config: Axi4Config, watch: Watch) -> Reads {
        let is_number = taken & self.addresses.eq(watch.number);
        let is_id = taken & address.id.eq(watch.id);
        let begins = is_number & is_id;
        Reads {
            addresses: count(self.addresses, taken),
            unanswered: count(self.unanswered, is_id),
            inside: self.inside | begins,
            ahead: begins.mux(self.unanswered, self.ahead),
            left: begins.mux(address.len, self.left),
            address_wrong: self.address_wrong | (taken & !address_exists(config, address)),
            overrun: self.overrun | (is_number & self.inside) | (is_id & self.unanswered.all()),
            ..self
        }
    }

    /// After a beat was taken, if `taken`.
    #[track_caller]
    pub fn data(self, taken: Signal, data: &ReadData, watch: Watch) -> Reads {
        let hit = taken & data.id.eq(watch.id);
        let ours = hit & self.inside & self.ahead.eq(0);
        let ends = hit & data.last;
        Reads {
            unanswered: count_down(self.unanswered, ends),
            inside: self.inside & !(ours & data.last),
            ahead: count_down(self.ahead, ends & self.inside & !ours),
            left: count_down(self.left, ours & self.left.any()),
            unasked: self.unasked | (hit & self.unanswered.eq(0)),
            last_wrong: self.last_wrong | (ours & data.last.ne(self.left.eq(0))),
            response_wrong: self.response_wrong | (taken & !response_exists(data.resp)),
            ..self
        }
    }
}
