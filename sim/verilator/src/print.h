// Verilator prints through this, so that what a failed assertion says reaches the message of the model that stops. `library_source` in
// `shim.rs` defines it.
#pragma once

int flashdock_print(const char* format, ...) __attribute__((format(printf, 1, 2)));

#define VL_PRINTF flashdock_print
