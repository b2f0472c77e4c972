# Commands about entropy and the device key: rng, key, sign. What they show is what policy lets the shell have; nothing is kept.

import commands
import contract
import names
import shown

import nexus


def rng(words):
    """Fresh entropy, as hex.

    rng [BYTES]
    rng 32
    """
    if len(words) > 1:
        raise commands.Usage()
    shown.print_hex(nexus.entropy(commands.number(words[0], 1, contract.LIMIT_ENTROPY_BURST) if words else 16))


def key(words):
    """The public half of the device key; make one, or destroy it.

    key [make|destroy]
    key make
    """
    if len(words) > 1 or (words and words[0] not in ("make", "destroy")):
        raise commands.Usage()
    if words == ["destroy"]:
        nexus.destroy_key()
        print("destroyed")
    else:
        shown.print_hex(nexus.make_key() if words else nexus.pubkey())


def sign(words):
    """The device's signature of a text, as hex.

    sign PURPOSE TEXT
    sign sample "hello world"
    """
    if len(words) < 2:
        raise commands.Usage()
    if words[0] not in names.PURPOSES:
        raise commands.Usage("purposes: " + " ".join(names.PURPOSES))
    shown.print_hex(nexus.sign(words[0], " ".join(words[1:]).encode()))
