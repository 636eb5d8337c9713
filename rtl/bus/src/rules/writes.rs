//! The state of the writes of an AXI4 port.

use super::{address_exists, count, count_down, response_exists, Watch, NUMBER_BITS};
use crate::{Address, Axi4Config, WriteData, WriteResponse, LEN_BITS};
use rtl_hdl::{hw_bundle, lit, zero, Bits, Clock, Module, Shape, Signal};

hw_bundle! {
    /// What has happened on AW, W and B. Addresses and bursts of data meet by their numbers, whichever come first. What breaks a rule is kept.
    pub struct Writes {
        /// The number of the next address.
        pub addresses: Bits<NUMBER_BITS>,
        /// The number of the next burst of data, or of the one that is under way.
        pub bursts: Bits<NUMBER_BITS>,
        /// Writes of the watched id that wait for a response.
        pub unanswered: Bits<NUMBER_BITS>,
        /// The watched write waits for its response.
        pub inside: Bits<1>,
        /// Writes of its id that are answered before it.
        pub ahead: Bits<NUMBER_BITS>,
        /// Its beats minus one.
        pub len: Bits<LEN_BITS>,
        /// Beats of data with its number that have come.
        pub beats: Bits<BEATS_BITS>,
        /// Its last beat has come.
        pub complete: Bits<1>,
        /// An address that does not exist.
        pub address_wrong: Bits<1>,
        /// A last beat that is not the last, or another that is.
        pub last_wrong: Bits<1>,
        /// More is under way than numbers tell apart.
        pub overrun: Bits<1>,
        /// A response before its write.
        pub unasked: Bits<1>,
        /// A response that does not exist.
        pub response_wrong: Bits<1>,
    }
}

/// One more bit than a length has: beats are counted from 1.
const BEATS_BITS: u32 = LEN_BITS + 1;

impl Writes {
    /// The registers of this state, with nothing under way.
    #[track_caller]
    pub(crate) fn state(m: &Module, clock: Clock, name: &str) -> Writes {
        Writes::declare(name, &mut |name, width| m.reg(name, clock, zero(width)))
    }

    /// After an address was taken, if `taken`.
    #[track_caller]
    pub fn address(self, taken: Signal, address: &Address, config: Axi4Config, watch: Watch) -> Writes {
        let is_number = taken & self.addresses.eq(watch.number);
        let is_id = taken & address.id.eq(watch.id);
        let begins = is_number & is_id;
        // Data of this number that came before the numbers went round is not its data.
        let is_behind = (self.bursts - watch.number).bit(NUMBER_BITS - 1);
        let fresh = begins & is_behind;
        let beats = fresh.mux(lit(0u8, BEATS_BITS), self.beats);
        let complete = self.complete & !fresh;
        let len = address.len.zext(BEATS_BITS);
        let wrong = complete.mux(beats.ne(len + 1), beats.gt(len));
        Writes {
            addresses: count(self.addresses, taken),
            unanswered: count(self.unanswered, is_id),
            inside: self.inside | begins,
            ahead: begins.mux(self.unanswered, self.ahead),
            len: begins.mux(address.len, self.len),
            beats,
            complete,
            address_wrong: self.address_wrong | (taken & !address_exists(config, address)),
            last_wrong: self.last_wrong | (begins & wrong),
            overrun: self.overrun | (is_number & self.inside) | (is_id & self.unanswered.all()),
            ..self
        }
    }

    /// After a beat was taken, if `taken`.
    #[track_caller]
    pub fn data(self, taken: Signal, data: &WriteData, watch: Watch) -> Writes {
        let ours = taken & self.bursts.eq(watch.number);
        let ends = taken & data.last;
        let is_next = ends & (self.bursts + 1).eq(watch.number);
        let is_last = self.beats.eq(self.len.zext(BEATS_BITS));
        let counted = count(self.beats, ours & !self.beats.all());
        Writes {
            bursts: count(self.bursts, ends),
            beats: is_next.mux(lit(0u8, BEATS_BITS), counted),
            complete: (self.complete | (ours & data.last)) & !is_next,
            last_wrong: self.last_wrong | (ours & self.inside & data.last.ne(is_last)),
            overrun: self.overrun | (is_next & self.inside & self.complete),
            ..self
        }
    }

    /// After a response was taken, if `taken`.
    #[track_caller]
    pub fn response(self, taken: Signal, response: &WriteResponse, watch: Watch) -> Writes {
        let hit = taken & response.id.eq(watch.id);
        let ours = hit & self.inside & self.ahead.eq(0);
        let too_early = self.unanswered.eq(0) | (ours & !self.complete);
        Writes {
            unanswered: count_down(self.unanswered, hit),
            inside: self.inside & !ours,
            ahead: count_down(self.ahead, hit & self.inside & !ours),
            unasked: self.unasked | (hit & too_early),
            response_wrong: self.response_wrong | (taken & !response_exists(response.resp)),
            ..self
        }
    }

    /// Data is at most `limit` bursts ahead of addresses, or behind them.
    #[track_caller]
    pub(crate) fn lead_is_within(&self, limit: u32) -> Signal {
        (self.bursts - self.addresses + limit).le(2 * limit)
    }
}
