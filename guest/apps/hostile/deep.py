# Recursion where the interpreter looks after it: Python's own, then C that follows data which is nested too deep.


def python(levels):
    return python(levels - 1) + 1 if levels else 0


def nested(kind):
    value = kind()
    for _ in range(2000):
        value = [value] if kind is list else (value,)
    return value


class Odd:
    def __init__(self, inner):
        self.inner = inner

    def __lt__(self, other):
        return self.inner < other

    def __repr__(self):
        return repr(self.inner)

    def __hash__(self):
        return hash(self.inner)

    def __call__(self, *args):
        return self.inner(*args)


def odd(bottom):
    for _ in range(2000):
        bottom = Odd(bottom)
    return bottom


def sorting(levels):
    return sorted([2, 1, 3], key=lambda value: (sorting(levels - 1), value)[1]) if levels else 0


WAYS = (
    lambda: python(1 << 20),
    lambda: repr(nested(list)),
    lambda: nested(list) == nested(list),
    lambda: nested(tuple) < nested(tuple),
    lambda: hash(nested(tuple)),
    lambda: repr(odd(1)),
    lambda: hash(odd(1)),
    lambda: odd(1) < 2,
    lambda: odd(len)([]),
    lambda: sorting(1 << 20),
    lambda: "%s" % (nested(list),),
    lambda: sum(nested(list), nested(list)),
)

for way in WAYS:
    try:
        way()
    except (RuntimeError, MemoryError, TypeError):
        continue
print("deep")
python(1 << 20)
