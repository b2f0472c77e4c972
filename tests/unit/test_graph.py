"""The call graph: ranks rise along every edge or a circle is named, and a deadline covers exactly the queue ahead."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.load import Contract
from nexus.recipe.graph import READY, Deadlines, find_cycle, ranks, reaches
from nexus.recipe.model import APPS, Edge

NAMES = tuple("abcdefg")
EDGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda p: Edge(*p)),
    max_size=12,
)
APP_SLOTS = 3
SECOND = 10_000_000


def timed(
    services: dict[str, dict[str, int]], deadlines: dict[str, dict[str, int]], impatient: dict[str, str] | None = None
) -> Contract:
    """A contract with these operations (seconds each) and deadlines; `impatient` is a caller by server."""
    return Contract(
        {
            "wire.toml": {"op": {name: dict.fromkeys(times, 1) for name, times in services.items()}},
            "limits.toml": {
                "limit": {"app_slots": APP_SLOTS},
                "edge_impatient": {server: {caller: 1} for server, caller in (impatient or {}).items()},
                "service_time": {
                    name: {op: time * SECOND for op, time in times.items()} for name, times in services.items()
                },
                "edge_deadline": {
                    name: {key: time * SECOND for key, time in times.items()} for name, times in deadlines.items()
                },
            },
        },
        "",
    )


@given(EDGES)
def test_rank_rises_along_every_edge_or_a_circle_is_named(edges: list[Edge]) -> None:
    cycle = find_cycle(NAMES, edges)
    if not cycle:
        found = ranks(NAMES, edges)
        assert all(found[edge.caller] < found[edge.server] for edge in edges)
        assert min(found.values()) == 1
        return
    assert cycle[0] == cycle[-1]
    assert len(cycle) > 2
    assert all(Edge(*step) in edges for step in pairwise(cycle))


@given(EDGES, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_reaches_is_the_transitive_closure(edges: list[Edge], start: str, goal: str) -> None:
    closure = {(name, name) for name in NAMES} | {(edge.caller, edge.server) for edge in edges}
    for middle in NAMES:
        closure |= {(a, d) for a, b in closure for c, d in closure if b == c == middle}
    assert reaches(start, goal, edges) == ((start, goal) in closure)


def test_rank_is_the_longest_way_up() -> None:
    edges = [Edge("a", "b"), Edge("b", "c"), Edge("a", "c")]
    assert ranks("abc", edges) == {"a": 1, "b": 2, "c": 3}


def test_queue_is_every_other_caller_once_with_its_longest_operation() -> None:
    contract = timed({"s": {"quick": 1, "slow": 5}}, {"s": {"all": 20}})
    edges = [Edge("a", "s"), Edge("b", "s", "quick"), Edge("b", "s", "slow"), Edge("c", "s", "quick")]
    sums = Deadlines(contract, edges)
    assert sums.need(edges[0]) == (5 + 5 + 1) * SECOND
    assert sums.need(edges[1]) == (1 + 5 + 1) * SECOND, "one's own longer request is not ahead of oneself"
    assert sums.deadline(edges[0]) == 20 * SECOND
    assert not sums.missing


def test_calls_that_the_server_itself_makes_count_for_everybody_in_the_queue() -> None:
    contract = timed({"s": {"work": 1}, "log": {"append": 2}}, {"s": {"all": 99}, "log": {"all": 99}})
    edges = [Edge("a", "s"), Edge("b", "s"), Edge("s", "log", "append"), Edge("b", "log", "append")]
    sums = Deadlines(contract, edges)
    assert sums.need(edges[2]) == 4 * SECOND
    assert sums.need(edges[0]) == 2 * (1 + 4) * SECOND


def test_deadline_of_one_caller_goes_before_that_of_all() -> None:
    contract = timed({"s": {"work": 1}}, {"s": {"all": 5, "my_client": 7}})
    sums = Deadlines(contract, [])
    assert sums.deadline(Edge("my-client", "s")) == 7 * SECOND
    assert sums.deadline(Edge("other", "s")) == 5 * SECOND


def test_ready_is_timed_for_init_but_ahead_of_nobody() -> None:
    contract = timed({"s": {"work": 1}, "all": {"ready": 30}}, {"s": {"all": 5}, "all": {"ready": 40}})
    edges = [Edge("init", "s", READY), Edge("a", "s")]
    sums = Deadlines(contract, edges)
    assert (sums.need(edges[0]), sums.deadline(edges[0])) == (31 * SECOND, 40 * SECOND)
    assert sums.need(edges[1]) == SECOND


def test_ready_of_somebody_impatient_has_to_cover_its_own_time_alone() -> None:
    contract = timed({"s": {"work": 1}, "all": {"ready": 30}}, {"s": {"all": 5}, "all": {"ready": 40}}, {"all": READY})
    edges = [Edge("init", "s", READY), Edge("a", "s"), Edge("b", "s")]
    assert Deadlines(contract, edges).need(edges[0]) == 30 * SECOND


def test_apps_are_as_many_callers_as_can_run() -> None:
    contract = timed({"s": {"quick": 1, "slow": 5}}, {"s": {"all": 99}})
    apps = [Edge(APPS, "s", "quick"), Edge(APPS, "s", "slow")]
    edges = [Edge("a", "s", "quick"), *apps]
    sums = Deadlines(contract, edges)
    assert sums.need(edges[0]) == (1 + APP_SLOTS * 5) * SECOND
    assert sums.need(apps[0]) == (1 + (APP_SLOTS - 1) * 5 + 1) * SECOND, "the others may ask for what takes longest"
    assert sums.need(apps[1]) == (5 + (APP_SLOTS - 1) * 5 + 1) * SECOND


def test_apps_rank_below_whomever_they_call_and_are_called_by_nobody() -> None:
    edges = [Edge(APPS, "b"), Edge("a", "b")]
    assert ranks("ab", edges) == {"a": 1, "b": 2}
    assert ranks("b", edges[:1]) == {"b": 1}
    assert find_cycle("ab", edges) == []


def test_impatient_caller_waits_as_long_as_it_says_and_its_server_no_longer() -> None:
    """Five callers of `s`, which asks `t`, before which seven others may stand."""
    t_callers = [Edge(name, "t") for name in NAMES]
    edges = [Edge("x", "s"), Edge("y", "s"), Edge("s", "t"), *t_callers]
    times: tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]] = (
        {"s": {"work": 1}, "t": {"work": 10}},
        {"s": {"all": 99}, "t": {"all": 99, "s": 15}},
    )
    patient, impatient = Deadlines(timed(*times), edges), Deadlines(timed(*times, {"t": "s"}), edges)
    assert patient.need(edges[2]) == 80 * SECOND
    assert patient.need(edges[0]) == 2 * (1 + 80) * SECOND
    assert impatient.need(edges[2]) == 10 * SECOND, "its own request has to fit"
    assert impatient.need(edges[0]) == 2 * (1 + 15) * SECOND
    assert impatient.need(t_callers[0]) == 80 * SECOND, "others find it in the queue all the same"


def test_time_that_is_not_stated_is_named() -> None:
    contract = timed({"s": {"work": 1}}, {})
    sums = Deadlines(contract, [Edge("a", "s")])
    assert sums.deadline(Edge("a", "s")) == 0
    assert sums.missing == {"[edge_deadline.s] all"}


def test_program_without_operations_can_not_be_summed() -> None:
    assert not Deadlines(timed({"s": {"work": 1}}, {}), []).stated("pong")
