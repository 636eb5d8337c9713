// The C++ side of `library.rs`: one instance of a Verilated top, its ports in an array of 64-bit words.
//
// A port takes as many words as its width needs, least significant word first. Inputs and outputs share the array; clocks are not
// in it, because `step` drives them.
#pragma once

#include "flashdock_print.h"

#include "verilated.h"
#if VM_TRACE_VCD
#include "verilated_vcd_c.h"
#endif
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#define FLASHDOCK_EXPORT extern "C" __attribute__((visibility("default")))

// What a library says about one of its models. `Entry` in `library.rs` is its twin.
struct FlashdockModel {
    const char* name;
    void* (*create)(int32_t reset_mode, int32_t seed);
    void (*destroy)(void* instance);
    // These return false when the model has stopped; `message` then says why.
    bool (*settle)(void* instance, uint64_t* words);
    bool (*step)(void* instance, uint64_t* words, uint64_t clocks, uint64_t count);
    bool (*trace_open)(void* instance, const char* path);
    void (*trace_close)(void* instance);
    const char* (*message)(const void* instance);
    // Writes what has been counted; false if the model does not count, or the file cannot be written.
    bool (*coverage_write)(void* instance, const char* path);
};

namespace flashdock {

#if VM_COVERAGE
// Verilator 5.48 counts a change of bit n of a signal of more than 64 bits for the bits n + 32, n + 64, ... as well. This counts
// each bit for itself, and the generated code calls it in place of Verilator's.
inline void count_toggles(int width, uint32_t* counts, WDataInP now, WDataInP before) {
    for (int bit = 0; bit < width; ++bit) {
        const EData word = now[VL_BITWORD_E(bit)] >> VL_BITBIT_E(bit);
        const EData changed = word ^ before[VL_BITWORD_E(bit)] >> VL_BITBIT_E(bit);
        counts[2 * bit + (word & 1)] += changed & 1;
    }
}
#define VL_COV_TOGGLE_CHG_ST_W flashdock::count_toggles
#endif

// Thrown by the hooks for $stop, $fatal and failed assertions, through the generated code, up to the calls below.
struct Stopped {
    std::string message;
};

template <class T>
inline void put(T& port, const uint64_t* words) {
    port = static_cast<T>(*words);
}
template <std::size_t Words>
inline void put(VlWide<Words>& port, const uint64_t* words) {
    std::memcpy(port.data(), words, Words * sizeof(EData));
}
template <class T>
inline void get(const T& port, uint64_t* words) {
    *words = port;
}
template <std::size_t Words>
inline void get(const VlWide<Words>& port, uint64_t* words) {
    // An odd number of 32-bit words leaves the upper half of the last one as it was made: zero.
    std::memcpy(words, port.data(), Words * sizeof(EData));
}

// `Ports` has three static functions, generated from the port list: `inputs`, `outputs` and `clocks`; and it says whether inputs must settle
// before an edge.
template <class Top, class Ports>
struct Instance {
    // Half a clock in units of the waveform (1 ns): 250 MHz, the core clock of the device.
    static constexpr uint64_t HALF_CLOCK = 2;

    VerilatedContext context;
    std::unique_ptr<Top> top;
#if VM_TRACE_VCD
    std::unique_ptr<VerilatedVcdC> waveform;
#endif
    std::string message;

    Instance(int32_t reset_mode, int32_t seed) {
        context.randReset(reset_mode);
        context.randSeed(seed);
        context.traceEverOn(VM_TRACE_VCD);
        top = std::make_unique<Top>(&context);
        Ports::clocks(*top, ~uint64_t{0}, false);
    }

    bool tracing() const {
#if VM_TRACE_VCD
        return waveform && waveform->isOpen();
#else
        return false;
#endif
    }

    void dump() {
#if VM_TRACE_VCD
        waveform->dump(context.time());
#endif
    }

    void settle(uint64_t* words) {
        Ports::inputs(*top, words);
        top->eval();
        Ports::outputs(*top, words);
    }

    void step(uint64_t* words, uint64_t clocks, uint64_t count) {
        Ports::inputs(*top, words);
        for (uint64_t i = 0; i < count; ++i) {
            // What the edge sees: inputs settled, and resets that take effect at once taken. Without those, an edge settles them itself.
            if (Ports::SETTLES_FIRST || tracing()) top->eval();
            if (tracing()) dump();
            context.timeInc(HALF_CLOCK);
            Ports::clocks(*top, clocks, true);
            top->eval();
            if (tracing()) dump();
            context.timeInc(HALF_CLOCK);
            Ports::clocks(*top, clocks, false);
            top->eval();
        }
        Ports::outputs(*top, words);
    }

    // Runs `work`; an instance that has stopped does nothing any more.
    template <class Work>
    static bool guarded(void* instance, Work work) {
        Instance& self = *static_cast<Instance*>(instance);
        if (!self.message.empty()) return false;
        try {
            work(self);
            return true;
        } catch (const Stopped& stopped) {
            self.message = stopped.message;
        } catch (const std::exception& error) {
            self.message = error.what();
        }
        return false;
    }

    static FlashdockModel entry(const char* name) {
        FlashdockModel model;
        model.name = name;
        model.create = [](int32_t reset_mode, int32_t seed) -> void* { return new Instance{reset_mode, seed}; };
        model.destroy = [](void* instance) {
            Instance* const self = static_cast<Instance*>(instance);
            guarded(self, [](Instance& live) { live.top->final(); });
            trace_close(self);
            delete self;
        };
        model.settle = [](void* instance, uint64_t* words) {
            return guarded(instance, [&](Instance& self) { self.settle(words); });
        };
        model.step = [](void* instance, uint64_t* words, uint64_t clocks, uint64_t count) {
            return guarded(instance, [&](Instance& self) { self.step(words, clocks, count); });
        };
        model.trace_open = trace_open;
        model.trace_close = trace_close;
        model.message = [](const void* instance) { return static_cast<const Instance*>(instance)->message.c_str(); };
        model.coverage_write = coverage_write;
        return model;
    }

    static bool trace_open(void* instance, const char* path) {
#if VM_TRACE_VCD
        Instance& self = *static_cast<Instance*>(instance);
        if (self.tracing()) self.waveform->close();
        self.waveform = std::make_unique<VerilatedVcdC>();
        self.top->trace(self.waveform.get(), 99);
        self.waveform->open(path);
        return self.waveform->isOpen();
#else
        (void)instance;
        (void)path;
        return false;
#endif
    }

    // Also for an instance that has stopped: what led there is counted.
    static bool coverage_write(void* instance, const char* path) {
#if VM_COVERAGE
        try {
            static_cast<Instance*>(instance)->context.coveragep()->write(path);
            return true;
        } catch (const Stopped&) {
            return false;
        }
#else
        (void)instance;
        (void)path;
        return false;
#endif
    }

    static void trace_close(void* instance) {
#if VM_TRACE_VCD
        Instance& self = *static_cast<Instance*>(instance);
        if (self.tracing()) self.waveform->close();
#else
        (void)instance;
#endif
    }
};

}  // namespace flashdock
