# Recursion in C that the interpreter does not look after: iterators of iterators. The page below the stack ends it.


def one(value):
    return value


def run(make, levels):
    chain = iter([1, 2, 3])
    for _ in range(levels):
        chain = make(chain)
    return next(chain)


for make in (lambda it: map(one, it), lambda it: zip(it), lambda it: enumerate(it), lambda it: filter(None, it)):
    for levels in (100, 500):
        try:
            run(make, levels)
        except (RuntimeError, MemoryError, TypeError):
            continue
print("bottom")
run(lambda it: zip(it), 900)
