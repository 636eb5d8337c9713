//! The host port: in which order writes leave, and what is under way when a life ends.

use crate::{lives_of, watched, CALM_CLOCKS};
use nvme_hw::host_port::HostPort;
use nvme_hw::Config;
use nvme_properties::Order;
use rtl_hdl::{block_fn, cat, lit, zero, Block, Module, Signal};
use rtl_prim::one_hot;

const CONFIG: Config = Config { functions: 1, ..Config::SMALL };
const LINE_ENTRIES: u32 = 4;
/// Bits of a number of writes.
const WRITE_BITS: u32 = 8;

/// How many bits are set.
fn ones(bits: Signal) -> Signal {
    let ones = (0..bits.width()).map(|i| bits.bit(i).zext(WRITE_BITS));
    ones.reduce(|a, b| a + b).expect("there are bits")
}

/// Data, completions and interrupts.
pub fn order() -> impl Block {
    block_fn("host_port_order", |m: &Module| {
        HostPort::new(CONFIG).build(m);
        let clock = m.found_clock();
        let checker = m.instance("order", &Order);
        let bit = |name: &str| m.found(name);

        // From the controller to the checker.
        let comes = |stream: &str| bit(&format!("{stream}_valid")) & bit(&format!("{stream}_ready"));
        let in_line = ones(bit("line_entries"));
        let leave = bit("entry_is_lone").mux(lit(1u8, WRITE_BITS), in_line);
        checker.port("watch").set(m.input("watch", 1));
        checker.port("data_comes").set(comes("data_write"));
        checker.port("data_leaves").set(bit("choose_data"));
        checker.port("completion_comes").set(comes("posted"));
        checker.port("completions_leave").set(bit("choose_entry").mux(leave, lit(0u8, WRITE_BITS)));
        checker.port("interrupt_comes").set(comes("message"));
        checker.port("interrupt_leaves").set(bit("choose_message"));

        // What is assumed: no life ends, and entries of one line come with their places.
        m.assume(clock, "no_life_ends", !bit("dropping").any());
        m.assume(clock, "places_of_a_line_are_taken_once", {
            let place = one_hot(bit("posted_held_address").bits(4..6), LINE_ENTRIES);
            bit("entry_joins").implies(!(bit("line_entries") & place).any())
        });

        // How the state of the checker is that of the block.
        let assert = |name: &str, condition: Signal| m.assert(clock, name, condition);
        let number = |condition: Signal| condition.zext(WRITE_BITS);
        let [posted, line] = ["posted_full", "line_full"].map(bit);
        let lined = line.mux(in_line, lit(0u8, WRITE_BITS));
        assert("no_life_has_ended", !bit("dropping_held").any());
        assert("a_line_has_entries", line.implies(bit("line_entries").any()));
        assert("data_is_held", checker.port("data").eq(number(bit("data_write_full"))));
        assert("completions_are_held", checker.port("completions").eq(number(posted) + lined));
        assert("interrupts_are_held", checker.port("interrupts").eq(number(bit("message_full"))));
        assert("heads_pass_who_waits", bit("head_passed").implies(posted | line));
        let inside = checker.port("watched_completion");
        let ahead = checker.port("watched_completion_ahead");
        let is_lined = ahead.lt(lined);
        let data_before = checker.port("watched_completion_data").any();
        assert("the_watched_completion_is_held", inside.implies(is_lined | (posted & ahead.eq(lined))));
        assert(
            "data_before_it_is_held",
            (inside & data_before).implies({
                let is_next = is_lined | !line;
                bit("data_write_full")
                    & checker.port("watched_completion_data").eq(1)
                    & (!is_next | !bit("head_passed"))
            }),
        );
        let interrupt = checker.port("watched_interrupt");
        assert("the_watched_interrupt_is_held", {
            interrupt.implies(bit("message_full") & !checker.port("watched_interrupt_ahead").any())
        });
        let before = checker.port("watched_interrupt_completions");
        assert("completions_before_it_are_held", before.le(checker.port("completions")));
    })
}

/// Fewer reads than this are under way, and bits of a sum of accesses.
const READS_MAX: u32 = 512;
const SUM_BITS: u32 = 12;

/// What the blocks inside offer.
const OFFERS: [&str; 6] = ["fetch_read", "list_read", "data_read", "data_write", "posted", "message"];

/// The end of a life, beside blocks that offer nothing from then on. Their reads count until the last beat has come, since `quiet` is about writes.
pub fn lives() -> impl Block {
    block_fn("host_port_lives", |m: &Module| {
        HostPort::new(CONFIG).build(m);
        let clock = m.found_clock();
        let bit = |name: &str| m.found(name);
        let number = |bits: Signal| bits.zext(SUM_BITS);
        let taken = |stream: &str| bit(&format!("{stream}_valid")) & bit(&format!("{stream}_ready"));
        let channel = |name: &str| bit(&format!("host_{name}valid")) & bit(&format!("host_{name}ready"));
        let in_channel = |name: &str| {
            let [full, spare] = ["full", "spare_full"].map(|part| number(bit(&format!("host_{name}_{part}"))));
            full + spare
        };

        // Reads that came from inside and whose last beat has not come.
        let reads = m.reg("reads_inside", clock, zero(SUM_BITS));
        let readers = &OFFERS[..3];
        let come = readers.iter().map(|stream| number(taken(stream))).reduce(|a, b| a + b).expect("there are readers");
        let read_ends = channel("r") & bit("host_rlast");
        let refusal_ends = bit("beat_leaves") & bit("refusing") & bit("last_refused");
        reads.set(reads + come - number(read_ends) - number(refusal_ends));
        let offers = OFFERS.map(|stream| bit(&format!("{stream}_valid")));
        let (checker, calm) = lives_of(m, !cat(&offers).any() & !reads.any(), lit(1u8, 1));
        for (name, happens) in [
            ("read", bit("host_arvalid")),
            ("read_taken", channel("ar")),
            ("read_end", read_ends),
            ("write", bit("host_awvalid")),
            ("write_taken", channel("aw")),
            ("write_end", channel("b")),
        ] {
            checker.port(name).set(happens);
        }
        let [reads_taken, writes_taken] = ["reads", "writes"].map(|name| checker.port(name));

        // What is assumed of the bus and the blocks inside.
        m.assume(clock, "answers_follow_accesses", {
            bit("host_rvalid").implies(reads_taken.any()) & bit("host_bvalid").implies(writes_taken.any())
        });
        m.assume(clock, "reads_are_few", reads.lt(READS_MAX));
        let is_ours = |item: &str| m.found(&format!("{item}_function")).eq(0);
        m.assume(clock, "functions_exist", cat(&OFFERS.map(is_ours)).all());
        // Whose an answered write is, is read where it was written: that is asserted of any row, so it may be assumed of the one that is read.
        let row = watched(m, "watched_row", WRITE_BITS);
        let [next, oldest] = ["next_write", "oldest_write"].map(bit);
        let is_of_function = |row: Signal| m.found_memory("writes").lookup(row).bit(1);
        m.assume(clock, "answered_writes_are_of_the_function", is_of_function(oldest) | next.eq(oldest));

        // How the state of the checker is that of the block.
        let assert = |name: &str, condition: Signal| m.assert(clock, name, condition);
        assert("writes_are_of_the_function", (row - oldest).lt(next - oldest).implies(is_of_function(row)));
        let held = ["data_write", "posted", "message"].map(|stream| bit(&format!("{stream}_full")));
        let held_reads = ["fetch_read", "list_read", "data_read"].map(|stream| number(bit(&format!("{stream}_full"))));
        let kept = ["data_write", "posted", "message"]
            .map(|stream| (bit(&format!("{stream}_full")), format!("{stream}_held")));
        for (full, item) in kept.into_iter().chain([(bit("line_full"), "line".into())]) {
            assert(&format!("{item}_is_of_the_function"), full.implies(is_ours(&item)));
        }
        let writes = bit("writes_of_f0");
        assert("writes_are_counted", {
            writes.eq(next - oldest) & number(writes).eq(number(writes_taken) + in_channel("aw"))
        });
        assert("writes_end_before_their_count", writes.all().implies(bit("writes_are_many")));
        let [first, second, third] = held_reads;
        assert("reads_are_counted", {
            reads.eq(first + second + third + number(bit("refusing")) + in_channel("ar") + number(reads_taken))
        });
        assert("channels_fill_in_order", {
            bit("host_aw_spare_full").implies(bit("host_aw_full"))
                & bit("host_ar_spare_full").implies(bit("host_ar_full"))
        });
        let waits = cat(&held).any() | bit("line_full");
        let quiet = bit("quiet_held");
        assert("no_write_is_in_flight_when_quiet", quiet.implies(!writes.any() & !bit("line_full")));
        assert("nothing_waits_when_calm", (quiet & calm.any()).implies(!waits));
        let over = calm.eq(CALM_CLOCKS) | checker.port("over");
        assert("nothing_waits_between_lives", over.implies(!waits & !writes.any() & !reads.any()));
    })
}
