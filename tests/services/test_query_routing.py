"""Zero-cost statements, writes, templates with a known outcome, the model: in this order, and always an answer."""

import threading

import pytest

from augury.errors import UserError
from augury.predictors.query_routing import (
    QueryRouter,
    RoutingSettings,
    TemplateCache,
    TemplateCacheSettings,
)
from augury.predictors.sql_tokens import scan_texts


def make_router(predictor, clock=None, cache=None, history=(), **settings) -> QueryRouter:
    chosen = RoutingSettings(cache=TemplateCacheSettings(**(cache or {})), **settings)
    return QueryRouter(predictor, chosen, history, **({"clock": clock} if clock else {}))


@pytest.mark.parametrize(
    ("query", "group", "reason"),
    [
        ("show tables", "small", "zero_cost"),
        ("  /* tool */ SHOW TABLES", "small", "zero_cost"),
        ("insert into t select * from u", "large", "policy"),
        ("create table t as select * from u", "large", "policy"),
        ("describe t", "small", "model"),  # zero-cost by its form, but not safe by the log of this predictor
        ("drop table t", "large", "policy"),  # likewise
        ("select * from huge", "large", "model"),
        ("select * from t", "small", "model"),
        ("explode", "large", "fallback"),
        ("", "adhoc", "no_query"),
        (" \n", "adhoc", "no_query"),
    ],
)
def test_each_stage_decides_what_belongs_to_it(predictor, query, group, reason):
    decision = make_router(predictor).route({"query": query})
    assert (decision.group, decision.reason) == (group, reason)


def test_the_model_is_asked_only_for_what_the_other_stages_leave(predictor):
    router = make_router(predictor)
    for query in ("show tables", "insert into t select 1", "select 1 from t", ""):
        router.route({"query": query})
    assert [request["query"] for request in predictor.asked] == ["select 1 from t"]


def test_the_answer_of_the_model_is_part_of_the_decision(predictor):
    decision = make_router(predictor).route({"query": "select * from huge"})
    assert (decision.probability, decision.cpu_seconds) == (0.9, 12.0)
    assert make_router(predictor).route({"query": "show tables"}).probability is None


def test_groups_and_policy_are_settings(predictor):
    router = make_router(
        predictor, large_group="L", small_group="S", zero_cost_group="Z", default_group="D", writes="model"
    )
    queries = ("select * from huge", "select * from t", "show tables", "", "insert into t select 1", "explode")
    assert [router.route({"query": query}).group for query in queries] == ["L", "S", "Z", "D", "S", "L"]


def test_the_operating_point_is_the_predictors_own_or_a_chosen_one(predictor):
    query = {"query": "select * from t"}  # probability 0.0001
    assert make_router(predictor).route(query).group == "small"
    assert make_router(predictor, operating_point="cost_optimal").route(query).group == "small"
    assert make_router(predictor, operating_point="recall_98").route(query).group == "large"
    with pytest.raises(UserError, match=r"no operating point 'recal_98'\. Did you mean 'recall_98'"):
        make_router(predictor, operating_point="recal_98")


def test_an_execute_is_its_prepared_text(predictor):
    router = make_router(predictor)
    assert router.route({"query": "execute p", "prepared_query": "show tables"}).reason == "zero_cost"
    assert router.route({"query": "execute p", "prepared_query": "delete from t"}).reason == "policy"


def test_a_probability_that_is_no_number_is_no_answer(predictor, monkeypatch):
    broken = {"probability": float("nan"), "is_heavy": False, "cpu_seconds": 1.0}
    monkeypatch.setattr(predictor, "predict_one", lambda request: broken)
    decision = make_router(predictor).route({"query": "select * from t"})
    assert (decision.group, decision.reason) == ("large", "fallback")


# --- templates with a known outcome ---


def test_a_template_that_ran_out_of_resources_goes_large_at_once(predictor, clock):
    router = make_router(predictor, clock)
    router.learn({"query": "select * from t where a = 1"}, heavy=True, exhausted=True)
    decision = router.route({"query": "SELECT *\nFROM t WHERE a = 2 -- other literal"})
    assert (decision.group, decision.reason) == ("large", "cache")
    assert router.route({"query": "select * from other where a = 1"}).reason == "model"
    assert len(predictor.asked) == 1


def test_a_failure_counts_whatever_the_other_runs_were(predictor, clock):
    router = make_router(predictor, clock, {"light_runs": 1})
    query = {"query": "select * from t"}
    router.learn(query, heavy=True, exhausted=True)
    for _ in range(50):
        router.learn(query, heavy=False)
    assert router.route(query).group == "large"


def test_a_failure_is_forgotten_after_its_time_although_runs_go_on(predictor, clock):
    router = make_router(predictor, clock, {"ttl_seconds": 100})
    query = {"query": "select * from t"}
    router.learn(query, heavy=True, exhausted=True)
    for _ in range(9):
        clock.now += 11
        router.learn(query, heavy=False)
    assert router.route(query).reason == "cache"
    clock.now += 11
    assert router.route(query).reason == "model"


def test_heavy_and_light_need_enough_runs(predictor, clock):
    router = make_router(predictor, clock, {"heavy_runs": 2, "heavy_share": 0.5, "light_runs": 3})
    heavy, light, mixed = ({"query": f"select a from {table}"} for table in ("big", "tiny", "both"))
    verdicts = []
    for _ in range(3):
        router.learn(heavy, heavy=True)
        router.learn(light, heavy=False)
        verdicts.append((router.route(heavy), router.route(light)))
    assert [(one.reason, other.reason) for one, other in verdicts] == [
        ("model", "model"),
        ("cache", "model"),
        ("cache", "cache"),
    ]
    assert verdicts[-1][0].group == "large"
    assert verdicts[-1][1].group == "small"
    for outcome in (False, False, True, False):
        router.learn(mixed, heavy=outcome)
    assert router.route(mixed).reason == "model"


def test_outcomes_belong_to_the_catalog_and_schema_where_they_were_seen(predictor, clock):
    router = make_router(predictor, clock, {"light_runs": 1})
    router.learn({"query": "select * from t", "catalog": "Hive", "schema": "small"}, heavy=False)
    reasons = {
        place: router.route({"query": "select * from t", "catalog": place[0], "schema": place[1]}).reason
        for place in (("hive", "small"), ("HIVE", "Small"), ("hive", "large"), (None, None), ("hive", None))
    }
    assert reasons == {
        ("hive", "small"): "cache",
        ("HIVE", "Small"): "cache",
        ("hive", "large"): "model",
        (None, None): "model",
        ("hive", None): "model",
    }


def test_runs_counted_over_all_catalogs_can_only_say_heavy(clock):
    cache = TemplateCache(TemplateCacheSettings(light_runs=1), clock)
    cache.preload([("bad", 10.0, 9.0), ("good", 1000.0, 0.0)])
    assert cache.verdict("bad", "any", "where") == "heavy"
    assert cache.verdict("good", "any", "where") is None
    cache.record("bad", "hive", "small", heavy=False)  # a place of its own decides first
    assert cache.verdict("bad", "hive", "small") == "light"
    assert cache.verdict("bad", "hive", "large") == "heavy"


def test_outcomes_are_forgotten_after_their_time(clock):
    cache = TemplateCache(TemplateCacheSettings(ttl_seconds=60, heavy_runs=1), clock)
    cache.record("a", None, None, heavy=True)
    clock.now += 59
    assert cache.verdict("a", None, None) == "heavy"
    cache.record("a", None, None, heavy=True)  # seen again: the time starts anew
    clock.now += 59
    assert cache.verdict("a", None, None) == "heavy"
    clock.now += 1
    assert cache.verdict("a", None, None) is None
    assert len(cache) == 0


def test_the_least_recently_used_template_leaves_first(clock):
    cache = TemplateCache(TemplateCacheSettings(entries=2, heavy_runs=1), clock)
    cache.record("a", None, None, heavy=True)
    cache.record("b", None, None, heavy=True)
    assert cache.verdict("a", None, None) == "heavy"
    cache.record("c", None, None, heavy=True)
    assert len(cache) == 2
    assert [cache.verdict(name, None, None) for name in "abc"] == ["heavy", None, "heavy"]


def test_a_cache_that_is_off_learns_nothing(predictor, clock):
    router = make_router(predictor, clock, {"enabled": False})
    router.learn({"query": "select * from t"}, heavy=True, exhausted=True)
    assert router.route({"query": "select * from t"}).reason == "model"


def test_threads_share_a_router(predictor):
    router = make_router(predictor, cache={"entries": 10, "heavy_runs": 1})
    wrong = []

    def work(number: int) -> None:
        for turn in range(200):
            query = {"query": f"select a from t{'x' * ((number + turn) % 25)}"}
            router.learn(query, heavy=True)
            group = router.route(query).group
            expected = {"large", "small"}  # by the cache or, if it was pushed out, by the model
            if group not in expected or router.route({"query": "show tables"}).reason != "zero_cost":
                wrong.append(group)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(router.cache) <= 10


def test_the_history_of_the_predictor_is_known_from_the_start(predictor):
    query = {"query": "select * from t", "catalog": "hive"}
    template = scan_texts([query["query"]]).templates[0]
    assert make_router(predictor, history=[(template, 20.0, 15.0)]).route(query).reason == "cache"
    assert make_router(predictor, history=[(template, 20.0, 5.0)]).route(query).reason == "model"
    assert (
        make_router(predictor, history=[(template, 20.0, 15.0)], cache={"preload": False}).route(query).reason
        == "model"
    )
