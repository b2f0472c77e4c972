# Takes all memory that it can have, in every way: at once, slowly, by growing, by garbage; then once more with nobody to catch it.

import gc


def slowly():
    held = []
    while True:
        held.append(bytearray(256))


def at_once():
    return bytearray(1 << 40)


def doubling():
    text = "hoard"
    while True:
        text += text


def linked():
    last = None
    while True:
        last = (last, [last], {1: last})


def garbage():
    for size in range(1, 1 << 14, 7):
        bytearray(size)
    raise MemoryError


for way in (slowly, at_once, doubling, linked, garbage):
    try:
        way()
    except MemoryError:
        gc.collect()
print("hoarded")
slowly()
