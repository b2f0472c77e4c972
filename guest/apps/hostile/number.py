# One operation of the interpreter after the other, each of which takes longer than any request may: products of larger and larger numbers.

while True:
    value = 3
    try:
        while True:
            value *= value
    except MemoryError:
        continue
