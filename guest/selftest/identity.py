# Who is who, by the recipe: places and service ids of the processes that proofs speak of. Used by proofs; knows no message.

import struct

import caps

OWN = caps.INDEX
PEER = caps.SUBJECTS.index("selftest-peer")


# Dense index of a process by its id name.
def index(name):
    return caps.SUBJECTS.index(name)


def service_id(place):
    return struct.unpack_from("<Q", caps.SUBJECT_IDS, 8 * place)[0]
