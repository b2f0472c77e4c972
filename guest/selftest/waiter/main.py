# Asks the keeper something that it answers later. Its exit status tells process runtime whether the answer was the one to its own
# question; it prints nothing.

import sys

import caps
import client
import contract

WORDS = b"of the waiter"

answer = client.call(caps.KEEPER, contract.OP_KEEPER_PARK, WORDS, client.deadline(contract.EDGE_DEADLINE_KEEPER_ALL))
sys.exit(contract.WAITER_ANSWERED if bytes(answer) == WORDS else contract.WAITER_MISLED)
