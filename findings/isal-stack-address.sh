#!/usr/bin/env bash
# isal 1.9.1 (PyPI, ISA-L of Intel) on x86-64: the same bytes compressed by level 1 or 2 in the same process differ
# between threads, once in some thousand blocks of 1 MiB. Without history, `.write_first_byte` in
# igzip/igzip_icf_body_h1_gr_bt.asm hashes for the third position what is in rcx, which is the address of the stream on
# the stack, not the data. So "2" is written into a slot of the table that depends on that address: if it is the slot of
# one of the first positions, copies of these bytes are found or not found. Both results are valid. Level 3 has other
# code.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

[[ $(uname -m) == x86_64 ]] || { echo "not to be had here: x86-64" >&2; exit 2; }
python isal==1.9.1

found=$(venv/bin/python - <<'PYTHON'
import ctypes
import random
import zlib

from isal import isal_zlib

STEP, SIZE, STACKS = 1 << 16, 1 << 20, 12
words = random.Random(2).choices(["to", "be", "or", "not", "that", "is", "the", "question"], k=80_000)
data = " ".join(words).encode()


def crc32c(value):
    """What the instruction crc32 makes of four bytes."""
    for _ in range(32):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
results = []


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def compress(_):
    results.append(isal_zlib.compress(data, level, 31))


def on_stack(base):
    attributes, thread = ctypes.create_string_buffer(256), ctypes.c_ulong()
    if libc.mmap(ctypes.c_void_p(base), ctypes.c_size_t(SIZE), 3, 0x104022, -1, ctypes.c_long(0)) != base:
        return b""  # something is there
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstack(attributes, ctypes.c_void_p(base), ctypes.c_size_t(SIZE))
    libc.pthread_create(ctypes.byref(thread), attributes, compress, None)
    libc.pthread_join(thread, None)
    libc.munmap(ctypes.c_void_p(base), ctypes.c_size_t(SIZE))
    return results.pop()


def is_near(base, slot):
    """Whether one of the highest 256 kB of a stack, in which the stream is, has an address that leads to a slot."""
    return any((crc32c((base + SIZE >> 16) - below & 0xFFFFFFFF) ^ slot) % (1 << 13) == 0 for below in range(4))


slot, bases, choice = crc32c(int.from_bytes(data[:4], "little")), [], random.Random(1)
while len(bases) < STACKS:
    base = choice.randrange(1 << 44, 1 << 46, STEP)
    if is_near(base, slot):
        bases.append(base)
for level in (1, 3):
    found = {isal_zlib.compress(data, level, 31), *map(on_stack, bases)} - {b""}
    right = all(zlib.decompress(each, 31) == data for each in found)
    print(f"level {level}:", "the same bytes" if len(found) == 1 else "other bytes", "and right" if right else "")
PYTHON
)
expect "level 1: other bytes and right
level 3: the same bytes and right" "$found"
