# What a service may rely on in its interpreter, tried in the machine: root process of system test-runtime. Each case prints its
# name when it held; tests/os/test_runtime.py compares the whole transcript. Ends by an exception that nobody catches, whose
# text must not reach the console.

import binascii
import builtins
import gc
import struct
import sys

import caps
import contract
import crypto
import kernel
import micropython
import served
import spawned

_ABSENT_MODULES = ("io", "machine", "math", "os", "random", "time", "uctypes", "vfs")
_ABSENT_BUILTINS = ("compile", "eval", "exec", "execfile", "input", "open")
_BLOCKS = 300


def _raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return error.args[0] if error.args else True
    return None


# What the image does not hold can't be imported or made at run time.
def test_nothing_compiles_or_reaches_out():
    for name in _ABSENT_MODULES:
        assert _raises(ImportError, __import__, name)
    assert not [name for name in _ABSENT_BUILTINS if hasattr(builtins, name)]
    assert sys.path == ["/rom"]


def _deeper(n):
    return _deeper(n + 1) + 1


def test_endless_recursion_is_an_exception():
    assert _raises(RuntimeError, _deeper, 0)
    assert _raises(RuntimeError, _deeper, 0)  # and the stack is usable again


def _hoard():
    kept = []
    while True:
        kept.append(bytearray(1000))


def test_memory_that_ran_out_comes_back():
    assert _raises(MemoryError, _hoard)
    gc.collect()
    assert len(bytearray(8000)) == 8000


# Only this frame's registers and stack, and its callers', hold the blocks while others are allocated and collected.
def _held(depth):
    block = bytes([depth % 256]) * (depth % 50 + 1)
    if depth % 8 == 0:
        gc.collect()
    below = _held(depth - 1) if depth else 0
    return below + sum(block)


def test_collector_keeps_what_is_held():
    expected = sum(depth % 256 * (depth % 50 + 1) for depth in range(21))
    for _ in range(5):
        assert _held(20) == expected
    chain = None
    for number in range(_BLOCKS):
        chain = (number, chain, str(number))
    gc.collect()
    for number in range(_BLOCKS - 1, -1, -1):
        assert chain[0] == number and chain[2] == str(number)
        chain = chain[1]


def _many(a, b, c, d, e, f, g, h, deep):
    i = j = k = m = n = o = p = a + b + c + d + e + f + g + h
    return _many(a, b, c, d, e, f, g, h, deep - 1) if deep else i + j + k + m + n + o + p


# Neither calls nor messages take heap, so a service's answer does not depend on how full it is.
def test_calls_allocate_nothing():
    deadline = kernel.time() + contract.LIMIT_TICK_HZ
    micropython.heap_lock()
    total = _many(1, 2, 3, 4, 5, 6, 7, 8, 20)
    kernel.console("no heap needed")
    kernel.supervise(caps.SUPERVISE_LEAVER, contract.SUP_RESUME)
    bits = kernel.wait(caps.NOTIFICATION, deadline)
    micropython.heap_unlock()
    assert total == 36 * 7 and bits


def test_numbers_are_whole():
    top = 2**64 - 1
    assert struct.unpack("<Q", struct.pack("<Q", top))[0] == top
    assert top * top // top == top
    assert int.from_bytes(top.to_bytes(8, "little"), "little") == top
    assert "%.3f" % (10 / 3) == "3.333"
    assert f"{top:016x}" == "f" * 16
    assert binascii.hexlify(b"\x00\xff") == b"00ff"


def test_kernel_refuses_with_its_status():
    assert len(kernel.buffer) == contract.IPC_DATA_BYTES
    kernel.buffer[0:3] = b"abc"
    assert bytes(kernel.buffer[0:3]) == b"abc"
    assert _raises(kernel.Error, kernel.notify, 12345) == contract.E_BAD_HANDLE
    assert _raises(kernel.Error, kernel.notify, caps.CONSOLE) == contract.E_BAD_TYPE
    assert _raises(kernel.Error, kernel.wait, caps.NOTIFICATION, kernel.time() + 1000) == contract.E_DEADLINE
    assert kernel.info(caps.CONSOLE) == (contract.OBJ_CONSOLE, contract.RIGHT_USE, 0)


def test_arguments_are_checked_before_the_kernel_is_asked():
    assert _raises(ValueError, kernel.call, caps.NOTIFICATION, contract.IPC_DATA_BYTES + 1, 0)
    assert _raises(ValueError, kernel.call, caps.NOTIFICATION, 0, 0, 0, contract.IPC_MAX_CAPS + 1)
    assert _raises(OverflowError, kernel.notify, -1)
    assert _raises(OverflowError, kernel.notify, 2**64)
    assert _raises(TypeError, kernel.notify, "1")
    assert _raises(TypeError, kernel.notify)
    assert _raises(ValueError, kernel.device_read, 2)
    assert _raises(ValueError, kernel.device_read, 0x1000)


def test_clocks_run():
    before, used = kernel.time(), kernel.cpu_time()
    for _ in range(1000):
        pass
    assert kernel.time() > before and kernel.cpu_time() > used
    assert kernel.incarnation() == 1
    assert kernel.bring_up() is True


_KEY = binascii.unhexlify("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")  # RFC 8032, TEST 2
_SIGNATURE = binascii.unhexlify(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_signatures_are_verified():
    assert crypto.verify(_KEY, b"\x72", _SIGNATURE)
    assert not crypto.verify(_KEY, b"\x73", _SIGNATURE)
    assert not crypto.verify(_KEY, b"\x72", _SIGNATURE[:-1])
    assert not crypto.verify(_KEY + b"\x00", b"\x72", _SIGNATURE)


def _verify_ever_deeper(depth):
    assert crypto.verify(_KEY, b"\x72", _SIGNATURE)
    return _verify_ever_deeper(depth + 1) + 1


# C takes its stack unasked: below the last check of Python's there has to be enough for the deepest function.
def test_deepest_c_function_fits_at_any_depth():
    assert _raises(RuntimeError, _verify_ever_deeper, 0)


def test_hashes_are_right():
    assert binascii.hexlify(crypto.sha256(b"abc"))[:16] == b"ba7816bf8f01cfea"
    assert binascii.hexlify(crypto.sha512(b"abc"))[:16] == b"ddaf35a193617aba"
    assert binascii.hexlify(crypto.blake2b(b"abc", 64))[:16] == b"ba80a53f981c4d0d"
    assert len(crypto.blake2b(b"")) == 32
    assert _raises(ValueError, crypto.blake2b, b"", 65)


def test_boxes_open_only_unchanged():
    key, nonce = bytes(range(32)), bytes(12)
    boxed = crypto.seal(key, nonce, b"plain", b"extra")
    assert len(boxed) == 5 + 16
    assert crypto.open(key, nonce, boxed, b"extra") == b"plain"
    assert crypto.open(key, nonce, boxed, b"Extra") is None
    assert crypto.open(key, nonce, boxed[:-1] + b"\x00", b"extra") is None
    assert crypto.open(key, nonce, b"", b"") is None
    assert _raises(ValueError, crypto.seal, key[:-1], nonce, b"", b"")


def test_wipe_leaves_nothing():
    secret = bytearray(b"secret")
    crypto.wipe(secret)
    assert secret == bytes(6)
    assert _raises(TypeError, crypto.wipe, b"read-only")


# Lines of the other process's end: exit status by sys.exit, kernel.exit, falling off the end, an uncaught exception.
def test_each_way_to_leave_has_its_status():
    for status in (7, 9, 0, 1):
        if status != 7:  # that one ran already
            kernel.supervise(caps.SUPERVISE_LEAVER, contract.SUP_RESTART)
            kernel.wait(caps.NOTIFICATION, kernel.time() + contract.LIMIT_TICK_HZ)
        told = kernel.supervise(caps.SUPERVISE_LEAVER, contract.SUP_STATUS)
        assert told[0] == contract.STATE_STOPPED
        assert told[1:3] == (contract.FAULT_EXIT, status)


# The other build of the interpreter compiles what is typed, and starts its prompt anew.
def test_shell_runtime_has_a_prompt():
    kernel.supervise(caps.SUPERVISE_PROMPT, contract.SUP_RESUME)
    kernel.wait(caps.NOTIFICATION, kernel.time() + 5 * contract.LIMIT_TICK_HZ)
    assert kernel.supervise(caps.SUPERVISE_PROMPT, contract.SUP_STATUS)[1:3] == (contract.FAULT_EXIT, 0)


def test_printing_is_by_lines():
    print("one", end="")
    print(" line")
    print("two\nlines")
    kernel.console("before")
    print("left over", end="")
    kernel.console("after")
    print("x" * (contract.LIMIT_LINE_BYTES + 3))


_ALONE = (
    test_nothing_compiles_or_reaches_out,
    test_endless_recursion_is_an_exception,
    test_memory_that_ran_out_comes_back,
    test_collector_keeps_what_is_held,
    test_calls_allocate_nothing,
    test_numbers_are_whole,
    test_kernel_refuses_with_its_status,
    test_arguments_are_checked_before_the_kernel_is_asked,
    test_clocks_run,
    test_signatures_are_verified,
    test_deepest_c_function_fits_at_any_depth,
    test_hashes_are_right,
    test_boxes_open_only_unchanged,
    test_wipe_leaves_nothing,
)
_LAST = (
    test_each_way_to_leave_has_its_status,
    test_shell_runtime_has_a_prompt,
    test_printing_is_by_lines,
)
for _case in _ALONE + served.CASES + spawned.CASES + _LAST:
    _case()
    kernel.console("held " + _case.__name__)
raise ValueError("a caller's bytes\nkernel: forged")
