"""Threads that share a session: when each computes with one thread, and that answers are the same to rounding."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from torchless import Session, Settings
from torchless import session as sessions
from torchless.callers import PATIENCE, Callers
from torchless.environment import onnxruntime

from .factories import save_graph

RNG = np.random.default_rng(0)
WEIGHTS = {"w": RNG.standard_normal((64, 64), dtype=np.float32)}
FEEDS = [{"x": RNG.standard_normal((3, 64), dtype=np.float32)} for _ in range(2)]


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(sessions, "cpu_count", lambda: 2)


@pytest.fixture
def graph(tmp_path):
    return save_graph(tmp_path / "model.onnx", "(float[n, 64] x) => (float[n, 64] y) { y = MatMul(x, w) }", WEIGHTS)


@pytest.fixture
def opened(monkeypatch):
    """The threads of the sessions that ONNX Runtime opened, in order."""
    threads = []
    real = onnxruntime().InferenceSession

    def record(path, options, **named):
        threads.append(options.intra_op_num_threads)
        return real(path, options, **named)

    monkeypatch.setattr(onnxruntime(), "InferenceSession", record)
    return threads


def crowd(session, calls=PATIENCE):
    """Two callers of which one runs while the other calls again and again; returns what it gets."""
    with session._callers.session():  # a call that lasts until the others are done
        return [session.run(FEEDS[0])["y"] for _ in range(calls)]


def test_a_session_of_one_thread_is_opened_where_all_threads_are_taken_again_and_again(graph, tmp_path, opened):
    session = Session(graph, Settings(threads=2, optimized=str(tmp_path / "cache")))
    opened.clear()
    alone = [session.run(FEEDS[0])["y"] for _ in range(2 * PATIENCE)]
    crowd(session, PATIENCE - 1)
    assert opened == []
    answers = crowd(session, 2 * PATIENCE)
    assert opened == [1]
    for answer in answers:
        np.testing.assert_allclose(answer, alone[0], rtol=0, atol=1e-5)


def test_a_lone_caller_has_all_threads_and_others_one():
    many, one = object(), object()
    callers = Callers(many, 2, lambda: one)
    for _ in range(PATIENCE):
        with callers.session() as first, callers.session():
            assert first is many
    with callers.session() as first, callers.session() as second, callers.session() as third:
        assert (first, second, third) == (many, one, one)
    with callers.session() as again:
        assert again is many


def test_fewer_callers_than_threads_share_them():
    many, one = object(), object()
    callers = Callers(many, 3, lambda: one)
    for _ in range(2 * PATIENCE):
        with callers.session(), callers.session() as second:
            assert second is many
    for _ in range(PATIENCE):
        with callers.session(), callers.session(), callers.session() as third:
            pass
    assert third is one


def test_a_call_that_fails_is_over():
    callers = Callers("many", 2, lambda: "one")
    for _ in range(2 * PATIENCE):
        with pytest.raises(ValueError, match="bad input"), callers.session():
            raise ValueError("bad input")
    with callers.session() as session:
        assert session == "many"


def test_others_go_on_while_one_opens():
    opening, done = threading.Event(), threading.Event()

    def open_alone():
        opening.set()
        assert done.wait(10)
        return "one"

    callers = Callers("many", 2, open_alone)

    def second():
        for _ in range(PATIENCE):
            with callers.session() as session:
                pass
        return session

    with callers.session(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        assert opening.wait(10)
        with callers.session() as session:
            assert session == "many"
        done.set()
        assert waiting.result(10) == "one"


@pytest.mark.parametrize(
    "settings",
    [{"optimized": False, "threads": 2}, {"threads": 1}],
    ids=["as it is: a second copy of the weights", "one thread"],
)
def test_no_other_session_is_opened(graph, tmp_path, opened, settings):
    session = Session(graph, Settings(**{"optimized": str(tmp_path / "cache"), **settings}))
    opened.clear()
    crowd(session, 2 * PATIENCE)
    assert opened == []


def test_fewer_callers_than_processors_share_the_threads(graph, tmp_path, opened, monkeypatch):
    monkeypatch.setattr(sessions, "cpu_count", lambda: 3)
    session = Session(graph, Settings(threads=2, optimized=str(tmp_path / "cache")))
    opened.clear()
    crowd(session, 2 * PATIENCE)
    assert opened == []


def test_it_is_opened_ahead(graph, tmp_path, opened):
    session = Session(graph, Settings(threads=2, optimized=str(tmp_path / "cache")))
    opened.clear()
    session.prepare(1)
    assert opened == []
    session.prepare(2)
    session.prepare(2)
    assert opened == [1]
    with session._callers.session(), session._callers.session() as second:
        assert second is not session._session


def test_what_cannot_be_opened_is_left(graph, tmp_path, opened):
    session = Session(graph, Settings(threads=2, optimized=str(tmp_path / "cache")))
    opened.clear()
    expected = session.run(FEEDS[0])["y"]
    for kept in (tmp_path / "cache").glob("*/graph.onnx"):
        kept.unlink()
    for answer in crowd(session, 2 * PATIENCE):
        np.testing.assert_array_equal(answer, expected)
    assert opened == [1], "tried once"


def test_threads_set_by_hand_count(graph, tmp_path, opened):
    options = {"intra_op_num_threads": 2}
    session = Session(graph, Settings(session_options=options, optimized=str(tmp_path / "cache")))
    opened.clear()
    crowd(session)
    assert opened == [1]


def test_a_pickled_session_shares_again(graph, tmp_path, opened):
    session = Session(graph, Settings(threads=2, optimized=str(tmp_path / "cache")))
    crowd(session)
    again = pickle.loads(pickle.dumps(session))
    opened.clear()
    crowd(again)
    assert opened == [1]


def test_each_caller_gets_its_own_answers(graph, tmp_path):
    session = Session(graph, Settings(threads=2, optimized=str(tmp_path / "cache")))
    expected = [session.run(feeds)["y"] for feeds in FEEDS]

    def caller(index):
        return [session.run(FEEDS[index])["y"] for _ in range(200)]

    with session._callers.session(), ThreadPoolExecutor(2) as pool:
        found = list(pool.map(caller, range(2)))
    for answers, one in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.stack(answers), np.broadcast_to(one, (200, *one.shape)), rtol=0, atol=1e-5)
