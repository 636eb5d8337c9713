//! NVMe wire formats, registers, opcodes, status codes and limits.
