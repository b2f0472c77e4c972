# Ends in another way each time it is started; the process runtime looks at how. Nothing else.

import sys

import kernel


def _fail():
    {}["a key that a caller chose"]


if kernel.incarnation() == 1:
    sys.exit(7)
elif kernel.incarnation() == 2:
    kernel.exit(9)
elif kernel.incarnation() == 4:
    _fail()
