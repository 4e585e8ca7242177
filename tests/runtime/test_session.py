"""Sessions: what a graph is fed, and what becomes of the errors."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from torchless import BundleNotFoundError, InputError, Session, SessionError, Settings

from .factories import save_graph

IDS = np.array([[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def adder(tmp_path):
    """``a + b`` in int32, ``a - b`` in int32."""
    return Session(
        save_graph(
            tmp_path / "adder.onnx",
            """(int32[n] a, int32[n] b) => (int32[n] total, int32[n] difference) {
                total = Add(a, b)
                difference = Sub(a, b)
            }""",
        )
    )


@pytest.fixture
def weigher(tmp_path):
    """A row of weights, one for each of three tokens: it fails on any other length."""
    graph = """(int64[batch, length] input_ids) => (float[batch, length] weighed) {
        numbers = Cast<to = 1>(input_ids)
        weighed = Mul(numbers, weights)
    }"""
    weights = {"weights": np.array([1, 10, 100], dtype=np.float32)}
    return Session(save_graph(tmp_path / "weigher.onnx", graph, weights))


def echo(tmp_path, inputs):
    """A graph that returns its inputs as they came; ``inputs`` as in ``int64[n] x``."""
    declared = [line.split() for line in inputs.split(";")]
    outputs = ", ".join(f"{kind} {name}_out" for kind, name in declared)
    nodes = "\n".join(f"{name}_out = Identity({name})" for _, name in declared)
    given = ", ".join(f"{kind} {name}" for kind, name in declared)
    return Session(save_graph(tmp_path / "echo.onnx", f"({given}) => ({outputs}) {{ {nodes} }}"))


def test_signature(adder):
    assert [(spec.name, spec.dtype, spec.shape) for spec in adder.inputs] == [
        ("a", "int32", ("n",)),
        ("b", "int32", ("n",)),
    ]
    assert [spec.name for spec in adder.outputs] == ["total", "difference"]
    assert adder.providers == ["CPUExecutionProvider"]


def test_feeds_are_found_by_name_and_cast(adder):
    found = adder.run({"b": np.array([1, 2], dtype=np.int64), "a": np.array([10.0, 20.0])})
    assert found["total"].tolist() == [11, 22]
    assert found["difference"].tolist() == [9, 18]
    assert found["total"].dtype == np.int32


def test_further_feeds_are_dropped(adder):
    found = adder.run({"a": np.array([1]), "b": np.array([1]), "token_type_ids": np.array(["x"])})
    assert found["total"].tolist() == [2]


def test_outputs_in_the_order_asked_for(adder):
    feeds = {"a": np.array([1]), "b": np.array([2])}
    assert list(adder.run(feeds, ["difference", "total"])) == ["difference", "total"]
    assert list(adder.run(feeds, ["total"])) == ["total"]
    assert list(adder.run(feeds)) == ["total", "difference"]


@pytest.mark.parametrize("dtype", ["float16", "float", "double", "int8", "uint8", "int32", "int64", "bool"])
def test_every_type_is_cast_to_what_is_declared(tmp_path, dtype):
    expected = {"float": "float32", "double": "float64"}.get(dtype, dtype)
    found = echo(tmp_path, f"{dtype}[n] x").run({"x": np.array([1, 0, 1])})["x_out"]
    assert found.dtype == expected
    assert found.tolist() == [1, 0, 1]


def test_strided_and_plain_values_are_fed_too(tmp_path):
    session = echo(tmp_path, "int64[n] x")
    assert session.run({"x": np.arange(10)[::3]})["x_out"].tolist() == [0, 3, 6, 9]
    assert session.run({"x": [1, 2]})["x_out"].tolist() == [1, 2]


def test_a_single_number_stays_one(tmp_path):
    assert echo(tmp_path, "int64 x").run({"x": np.array(7)})["x_out"].shape == ()


def test_a_missing_mask_is_ones_and_missing_types_are_zeros(tmp_path):
    session = echo(tmp_path, "int64[b,n] input_ids;float[b,n] attention_mask;int32[b,n] token_type_ids")
    found = session.run({"input_ids": IDS})
    assert found["attention_mask_out"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert found["attention_mask_out"].dtype == np.float32
    assert found["token_type_ids_out"].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_given_mask_is_kept(tmp_path):
    session = echo(tmp_path, "int64[b,n] input_ids;int64[b,n] attention_mask")
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    assert session.run({"input_ids": IDS, "attention_mask": mask})["attention_mask_out"].tolist() == mask.tolist()


def test_a_missing_input_is_named(adder):
    with pytest.raises(InputError, match=r"needs the input 'b'; it was given \['a'\]"):
        adder.run({"a": np.array([1])})


def test_a_mask_is_not_made_up_without_tokens(tmp_path):
    with pytest.raises(InputError, match="attention_mask"):
        echo(tmp_path, "int64[n] x;int64[n] attention_mask").run({"x": np.array([1])})


def test_an_unknown_output_is_named(adder):
    with pytest.raises(InputError, match=r"has no output \['loss'\]; it has \['total', 'difference'\]"):
        adder.run({"a": np.array([1]), "b": np.array([1])}, ["total", "loss"])


@pytest.mark.parametrize("value", [[[1], [2, 3]], ["one"], [None], [object()]])
def test_a_value_that_is_not_an_array_of_numbers(adder, value):
    with pytest.raises(InputError, match="input 'a'"):
        adder.run({"a": value, "b": np.array([1])})


def test_a_session_survives_a_failure(weigher):
    with pytest.raises(SessionError, match=r"weigher.onnx failed on inputs of shapes .*\(2, 2\)"):
        weigher.run({"input_ids": IDS[:, :2]})
    with pytest.raises(SessionError):
        weigher.run({"input_ids": IDS[0]})
    assert weigher.run({"input_ids": IDS})["weighed"].tolist() == [[1, 20, 300], [4, 50, 600]]


def test_a_missing_file(tmp_path):
    with pytest.raises(BundleNotFoundError, match="no graph at"):
        Session(tmp_path / "model.onnx")
    with pytest.raises(BundleNotFoundError):
        Session(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "text"])
def test_a_damaged_file(tmp_path, weigher, damage):
    whole = weigher.path.read_bytes()
    content = {"empty": b"", "half": whole[: len(whole) // 2], "garbage": bytes(range(256)), "text": b"version https"}
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content[damage])
    with pytest.raises(SessionError, match=r"cannot load .*damaged\.onnx"):
        Session(path)


def test_an_unsupported_type_is_named(tmp_path):
    graph = save_graph(tmp_path / "words.onnx", "(string[n] x) => (string[n] y) { y = Identity(x) }")
    with pytest.raises(SessionError, match=r"'x' has type tensor\(string\)"):
        Session(graph)


def test_pickling_opens_the_graph_again(weigher):
    copy = pickle.loads(pickle.dumps(weigher))
    assert copy.path == weigher.path
    assert copy.run({"input_ids": IDS})["weighed"].tolist() == [[1, 20, 300], [4, 50, 600]]


def test_pickling_keeps_the_settings(weigher):
    settings = Settings(threads=1, session_options={"inter_op_num_threads": 1})
    assert pickle.loads(pickle.dumps(Session(weigher.path, settings))).settings == settings


def test_threads_share_a_session(weigher):
    def once(number: int) -> list[list[float]]:
        return weigher.run({"input_ids": np.full((2, 3), number)})["weighed"].tolist()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(once, range(200)))
    assert found == [[[number, number * 10, number * 100]] * 2 for number in range(200)]


def test_a_path_may_be_a_string(weigher):
    assert Session(str(weigher.path)).path == Path(weigher.path)
