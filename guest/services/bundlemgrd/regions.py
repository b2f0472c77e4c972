# The memory regions that bundles lie in, by number. Used by keeper.py and staging.py. A region is written by bundlemgrd alone until it is
# sealed; what is sealed is only read, until nobody uses it and it is emptied. Knows nothing of what lies in one.

import caps
import contract
import kernel

COUNT = caps.REGION_COUNT


def handle(number):
    return caps.REGION_0 + number


# A view to write into: zeros. None for one that is sealed.
def open(number):
    try:
        return kernel.region_map(handle(number), True)
    except kernel.Error as error:
        if error.args[0] != contract.E_SEALED:
            raise
        return None


# A view to read of what can't be written any more.
def seal(number):
    kernel.region_seal(handle(number))
    return kernel.region_map(handle(number), False)


# After a restart: the view of one that is sealed, else None.
def reopen(number):
    if open(number) is not None:
        kernel.region_unmap(handle(number))
        return None
    return kernel.region_map(handle(number), False)


# Whether it is empty again; not as long as somebody else holds it or an app runs from it.
def free(number):
    try:
        kernel.region_free(handle(number))
    except kernel.Error as error:
        if error.args[0] != contract.E_STATE:
            raise
        return False
    return True
