"""What an app may hold, by recipe and policy: its first capabilities, and a route for each rule that is in its mask."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
from make import CONTRACT, ROOT

from nexus.policy.apps import app_capabilities
from nexus.policy.evaluate import EVERY_ACTION, Evaluator, load_evaluator
from nexus.recipe.check import load_system
from nexus.recipe.model import System

INDEX = 21
ROUTES = 1 << CONTRACT.number("action.route")
FIRST = ["CONSOLE", "NOTIFICATION", "INIT"]
CALL = CONTRACT.number("right.call")


@lru_cache
def world() -> tuple[System, Evaluator]:
    system = load_system("default", ROOT, CONTRACT)
    return system, load_evaluator(system, CONTRACT, ROOT)


def names(app: str, mask: int) -> list[str]:
    return [cap.name for cap in app_capabilities(*world(), CONTRACT, app, mask, INDEX)]


@pytest.mark.parametrize("mask", [0, EVERY_ACTION & ~ROUTES, 1 << CONTRACT.number("action.rng_entropy")])
def test_app_without_the_action_route_has_what_it_starts_with(mask: int) -> None:
    assert names("app:dev.entropy", mask) == FIRST


def test_app_has_the_routes_that_a_rule_gives_it_and_no_other_app() -> None:
    assert names("app:dev.entropy", ROUTES) == [*FIRST, "rngd", "keystored", "logd:append"]
    assert names("app:dev.entropi", ROUTES) == [*FIRST, "keystored", "logd:append"]


def test_rule_without_a_way_gives_nothing() -> None:
    """Policy lets every app go to init; the root can't hand that out, since the recipe lists no such route."""
    system, evaluator = world()
    assert evaluator.decide("app:dev.entropy", "route", "init").allow
    narrowed = replace(system, app_routes=())
    found = app_capabilities(narrowed, evaluator, CONTRACT, "app:dev.entropy", EVERY_ACTION, INDEX)
    assert [cap.name for cap in found] == FIRST


def test_gate_that_the_image_closes_takes_the_route_away() -> None:
    system = replace(world()[0], gates=())
    closed = load_evaluator(system, CONTRACT, ROOT)
    found = app_capabilities(system, closed, CONTRACT, "app:dev.entropy", EVERY_ACTION, INDEX)
    assert [cap.name for cap in found] == [*FIRST, "keystored", "logd:append"]


def test_what_is_held_is_badged_for_the_holder_and_can_not_be_passed_on() -> None:
    system, evaluator = world()
    held = {cap.name: cap for cap in app_capabilities(system, evaluator, CONTRACT, "app:x", EVERY_ACTION, INDEX)}
    shift = CONTRACT.number("badge.facet_shift")
    append = held["logd:append"]
    assert system.endpoints[append.object] == system.process("logd").index
    assert (append.rights, append.badge) == (CALL, CONTRACT.number("facet.logd.append") << shift | INDEX)
    assert held["keystored"].badge == INDEX
    assert (held["INIT"].rights, held["INIT"].badge) == (CALL, CONTRACT.number("badge.any_app"))
    assert {held[name].object for name in ("CONSOLE", "NOTIFICATION")} == {INDEX}
    assert all(not cap.rights & CONTRACT.number("right.grant") for cap in held.values())
