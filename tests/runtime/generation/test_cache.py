"""The buffers of keys and values, and a decoder over them whose attention is a mean that can be worked out by hand."""

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from torchless import BundleError, InputError, OptionError, Session
from torchless.generation import cache, decoder
from torchless.generation.cache import Buffers, Entry, assign, check_fits, entries
from torchless.generation.decoder import DecoderState
from torchless.generation.device import DeviceMemory
from torchless.generation.host import HostMemory
from torchless.generation.spare import Spare
from torchless.manifest import TensorSpec

ENTRIES = [
    Entry("past_key_values.0.key", "present.0.key", 2, 4, "float32"),
    Entry("past_key_values.0.value", "present.0.value", 2, 3, "float16"),
]


def spec(name, shape, dtype="float32"):
    return TensorSpec(name, dtype, shape)


def test_entries_are_found_by_name():
    inputs = [
        spec("input_ids", ("rows", "length"), "int64"),
        spec("past_key_values.0.decoder.key", ("rows", 2, "capacity", 8)),
        spec("past_key_values.0.encoder.key", ("batch", 4, "encoder_length", 16), "float16"),
        spec("past_key_values.11.key", ("rows", 1, "capacity", 8)),
    ]
    assert entries(inputs) == [
        Entry("past_key_values.0.decoder.key", "present.0.decoder.key", 2, 8, "float32"),
        Entry("past_key_values.11.key", "present.11.key", 1, 8, "float32"),
    ]
    assert entries(inputs, "encoder") == [
        Entry("past_key_values.0.encoder.key", "present.0.encoder.key", 4, 16, "float16")
    ]


@pytest.mark.parametrize("shape", [("rows", "heads", "capacity", 8), ("rows", 2, "capacity", "head"), (1, 0, 5, 8)])
def test_entries_of_unknown_size(shape):
    with pytest.raises(BundleError, match=r"'past_key_values\.0\.key'.*no fixed heads"):
        entries([spec("past_key_values.0.key", shape)])


# 3 rows of 10 tokens: 2 * 4 numbers of 4 bytes and 2 * 3 numbers of 2 bytes for each.
NEEDED = 3 * 10 * (2 * 4 * 4 + 2 * 3 * 2)


@pytest.mark.parametrize("available", [NEEDED, None])
def test_a_cache_that_fits(monkeypatch, available):
    monkeypatch.setattr(cache, "available_memory", lambda: available)
    check_fits(ENTRIES, 3, 10)


def test_a_cache_that_does_not_fit_is_not_allocated(monkeypatch):
    monkeypatch.setattr(cache, "available_memory", lambda: NEEDED - 1)
    monkeypatch.setattr(np, "zeros", lambda *arguments, **options: pytest.fail("allocated"))
    with pytest.raises(OptionError, match="3 sequences of 10 tokens"):
        Buffers(ENTRIES, 3, 10)


def test_a_message_says_how_much_is_missing(monkeypatch):
    monkeypatch.setattr(cache, "available_memory", lambda: 3 << 29)
    huge = [Entry("past_key_values.0.key", "present.0.key", 1, 256, "float32")]
    with pytest.raises(OptionError, match=r"would take 2\.0 GiB and 1\.5 GiB are free: ask for fewer"):
        check_fits(huge, 2, 1 << 20)


def filled(rows, capacity):
    buffers = Buffers(ENTRIES, rows, capacity)
    for array in buffers.arrays:
        array[:] = np.arange(array.size, dtype=np.float64).reshape(array.shape) % 1000
    return buffers


def test_buffers_have_their_shapes_and_dtypes():
    buffers = Buffers(ENTRIES, 2, 5)
    assert [array.shape for array in buffers.arrays] == [(2, 2, 5, 4), (2, 2, 5, 3)]
    assert [array.dtype for array in buffers.arrays] == [np.float32, np.float16]


def test_expand_copies_what_is_used_in_the_order_of_the_sequences():
    buffers = filled(2, 5)
    wider = buffers.expand(3, np.array([1, 0]), np.array([3, 1]))
    assert (wider.rows, wider.capacity) == (6, 5)
    for old, new in zip(buffers.arrays, wider.arrays, strict=True):
        assert (new[:3, :, :3] == old[1, :, :3]).all()
        assert (new[3:, :, :1] == old[0, :, :1]).all()


def test_a_row_that_continues_another_copies_only_what_differs():
    """Rows of one input agree in their 4 tokens of the prompt."""
    wider = filled(1, 9).expand(3, np.array([0]), np.array([4]))
    for row in range(3):
        wider.arrays[0][row, :, 4:] = row
    wider.arrays[0][1, :, :4] = -1  # would be copied, were it not known to be the same
    wider.take_over(0, 1, 6)
    assert (wider.arrays[0][0, :, 4:6] == 1).all()
    assert (wider.arrays[0][0, :, 6:] == 0).all()
    assert not (wider.arrays[0][0, :, :4] == -1).any()


def test_what_two_rows_share_is_inherited():
    wider = filled(1, 9).expand(3, np.array([0]), np.array([2]))
    keys = wider.arrays[0]
    keys[:, :, 2:] = 0
    wider.take_over(0, 1, 5)  # 0 and 1 agree in 5 tokens, and both with 2 in 2
    wider.take_over(2, 0, 7)  # so 2 agrees with 1 in 5, with 0 in 7
    keys[1, :, :5], keys[1, :, 5:] = -1, -2
    wider.take_over(2, 1, 8)
    assert not (keys[2, :, :5] == -1).any()
    assert (keys[2, :, 5:8] == -2).all()


def test_two_rows_share_alike():
    wider = filled(1, 9).expand(2, np.array([0]), np.array([2]))
    wider.take_over(0, 1, 5)
    wider.arrays[0][0, :, :5] = -1
    wider.take_over(1, 0, 6)
    assert not (wider.arrays[0][1, :, :5] == -1).any()


def test_inputs_share_nothing():
    wider = filled(2, 6).expand(1, np.arange(2), np.array([3, 3]))
    wider.take_over(0, 1, 4)
    assert (wider.arrays[0][0, :, :4] == wider.arrays[0][1, :, :4]).all()


def test_what_was_forgotten_is_copied_again():
    """Rows of unequal length are shortened each to its own."""
    wider = filled(2, 9).expand(2, np.arange(2), np.array([8, 4]))
    wider.shorten(np.array([6, 6, 2, 2]))
    keys = wider.arrays[0]
    keys[0, :, 6:], keys[2, :, 2:] = -1, -2
    wider.take_over(1, 0, 8)
    wider.take_over(3, 2, 4)
    assert (keys[1, :, 6:8] == -1).all()
    assert (keys[3, :, 2:4] == -2).all()


@pytest.mark.parametrize(
    ("parents", "group", "rows"),
    [
        ([0, 1, 2], 3, [0, 1, 2]),
        ([2, 1, 0], 3, [2, 1, 0]),
        ([2, 2, 0], 3, [2, 1, 0]),
        ([1, 1, 1], 3, [1, 0, 2]),
        ([0, 0, 3, 2], 2, [0, 1, 3, 2]),
        ([1, 1, 2, 2], 2, [1, 0, 2, 3]),
        ([0], 1, [0]),
    ],
)
def test_as_few_rows_as_possible_move(parents, group, rows):
    assert assign(np.array(parents), group).tolist() == rows


def test_assigned_rows_are_a_permutation_that_keeps_every_continued_row():
    random = np.random.default_rng(0)
    for _ in range(200):
        parents = np.concatenate([start + random.integers(0, 4, 4) for start in (0, 4)])
        rows = assign(parents, 4)
        assert sorted(rows.tolist()) == list(range(8))
        assert (rows // 4 == np.arange(8) // 4).all()
        assert sum(rows == parents) == len(set(parents.tolist()))


# Every query is zero, so that each token attends alike to all before it and itself: logits are the mean of what their
# tokens and positions stand for.
GRAPH = """graph (
    int64[batch, length] input_ids, int64[batch, total] attention_mask, int64[batch, length] position_ids,
    int64 num_logits_to_keep,
    float[batch, 1, capacity, 8] "past_key_values.0.key", float[batch, 1, capacity, 8] "past_key_values.0.value"
) => (
    float[batch, kept, 8] logits,
    float[batch, 1, capacity, 8] "present.0.key", float[batch, 1, capacity, 8] "present.0.value"
) {
    axis = Constant<value_ints = [1]>()
    minus = Constant<value_int = -1>()
    zero = Constant<value_float = 0.0>()
    first_column = Constant<value_int = 0>()
    scalar = Constant<value_ints = [0]>()
    rows = ReduceSum<keepdims = 0>(attention_mask, axis)
    less = Add(rows, minus)
    lengths = Cast<to = 6>(less)
    width = Shape<start = 1, end = 2>(attention_mask)
    width_number = Squeeze(width, scalar)
    total = Cast<to = 6>(width_number)
    words = Gather(table, input_ids)
    places = Gather(positions, position_ids)
    value = Add(words, places)
    query = Mul(value, zero)
    mean, "present.0.key", "present.0.value" = com.microsoft.GroupQueryAttention<num_heads = 1, kv_num_heads = 1>(
        query, query, value, "past_key_values.0.key", "past_key_values.0.value", lengths, total
    )
    past = Gather<axis = 1>(position_ids, first_column)
    last_of_row = Sub(less, past)
    last = Unsqueeze(last_of_row, axis)
    most = Add(num_logits_to_keep, minus)
    back = Range(most, minus, minus)
    chosen = Sub(last, back)
    two = Constant<value_ints = [2]>()
    indices = Unsqueeze(chosen, two)
    logits = GatherND<batch_dims = 1>(mean, indices)
}"""
RANDOM = np.random.default_rng(1)
TABLE = RANDOM.standard_normal((20, 8)).astype(np.float32)
POSITIONS = RANDOM.standard_normal((40, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    header = '<ir_version: 10, opset_import: ["": 17, "com.microsoft": 1]>'
    model = onnx.parser.parse_model(f"{header} {GRAPH}")
    for name, value in {"table": TABLE, "positions": POSITIONS, "num_logits_to_keep": np.array(1)}.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    onnx.save(model, path)
    return Session(path)


@pytest.fixture(params=[HostMemory, DeviceMemory])
def memory(request, monkeypatch):
    """Where the decoder's state lies: NumPy arrays, or a device's memory, which is here the processor's.

    What was left in the memory before is not a number.
    """
    monkeypatch.setattr(decoder, "memory_class", lambda session: request.param)
    monkeypatch.setattr(Spare, "take", lambda self, count: np.full(count, 0xFF, dtype=np.uint8))


def wanted(tokens):
    """Logits after the last of some tokens."""
    return (TABLE[tokens] + POSITIONS[: len(tokens)]).mean(axis=0)


class Rows:
    """A decoder, and the tokens that its sequences should hold."""

    def __init__(self, session, prompts, capacity=40):
        self.rows = [list(prompt) for prompt in prompts]
        self.state = DecoderState(session, len(prompts), capacity)
        lengths = np.array([len(row) for row in self.rows])
        tokens = np.zeros((len(prompts), lengths.max()), dtype=np.int64)
        for row, prompt in enumerate(self.rows):
            tokens[row, : len(prompt)] = prompt
        self.check(self.state.prefill(tokens, lengths))

    def step(self):
        tokens = RANDOM.integers(0, 20, len(self.rows))
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            row.append(token)
        logits = self.state.step(tokens)
        self.check(logits)
        logits[:] = np.nan  # the caller may do as it likes

    def expand(self, copies):
        self.rows = [list(row) for row in self.rows for _ in range(copies)]
        self.state.expand(copies)

    def reorder(self, parents):
        self.rows = [list(self.rows[parent]) for parent in parents]
        self.state.reorder(np.array(parents))

    def rewind(self, count):
        for row in self.rows:
            del row[len(row) - count :]
        self.state.rewind(count)

    def check(self, logits):
        assert (self.state.rows, self.state.lengths.tolist()) == (len(self.rows), [len(row) for row in self.rows])
        np.testing.assert_allclose(logits, [wanted(row) for row in self.rows], atol=1e-5)


@pytest.mark.usefixtures("memory")
def test_steps(session):
    rows = Rows(session, [[3, 1, 4, 1, 5], [9, 2], [6]])
    for _ in range(4):
        rows.step()


@pytest.mark.usefixtures("memory")
def test_beams_by_hand(session):
    rows = Rows(session, [[3, 1, 4], [1]])
    rows.expand(2)
    rows.step()
    rows.reorder([1, 1, 3, 2])
    rows.step()
    rows.reorder([0, 0, 2, 2])
    rows.step()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("memory")
def test_any_order_of_calls(session, seed):
    random = np.random.default_rng(seed)
    rows = Rows(session, [random.integers(0, 20, length).tolist() for length in random.integers(1, 9, 3)])
    group = 1
    for _ in range(25):
        call = random.choice(["step", "step", "reorder", "rewind", "expand"])
        if call == "expand" and group < 6:
            copies = int(random.integers(1, 4))
            group *= copies
            rows.expand(copies)
        elif call == "reorder":
            count = len(rows.rows)
            rows.reorder((np.arange(count) // group * group + random.integers(0, group, count)).tolist())
        elif call == "rewind":
            rows.rewind(int(random.integers(0, min(map(len, rows.rows)))))
        if max(map(len, rows.rows)) < 40:
            rows.step()


@pytest.mark.usefixtures("memory")
def test_several_tokens_at_once(session):
    rows = Rows(session, [[3, 1, 4]])
    logits = rows.state.extend(np.array([7, 8, 9])).copy()
    np.testing.assert_allclose(logits, [wanted([3, 1, 4, 7, 8, 9][:end]) for end in (4, 5, 6)], atol=1e-5)
    rows.rows[0] += [7, 8, 9]
    rows.rewind(2)
    rows.step()
    np.testing.assert_allclose(rows.state.extend(np.array([2]))[0], wanted([*rows.rows[0], 2]), atol=1e-5)


def test_a_reorder_that_changes_nothing_copies_nothing(session, monkeypatch):
    rows = Rows(session, [[3, 1, 4], [1]])
    rows.expand(2)
    monkeypatch.setattr(Buffers, "take_over", lambda *arguments: pytest.fail("copied"))
    rows.reorder([0, 1, 2, 3])
    rows.reorder([1, 0, 3, 2])  # two sequences that change places take their rows along
    rows.step()


@pytest.mark.usefixtures("memory")
def test_no_room(session):
    rows = Rows(session, [[3, 1, 4], [1]], capacity=4)
    rows.step()
    with pytest.raises(InputError, match="no room for 1 more tokens: the cache was made for 4"):
        rows.state.step(np.array([1, 2]))
    with pytest.raises(InputError, match="no room for 5 more"):
        DecoderState(session, 1, 4).prefill(np.ones((1, 5), dtype=np.int64))


@pytest.mark.usefixtures("memory")
def test_other_rows_than_sequences(session):
    state = DecoderState(session, 2, 9)
    with pytest.raises(InputError, match="3 rows of tokens for 2 sequences"):
        state.prefill(np.ones((3, 2), dtype=np.int64))
    state.prefill(np.ones((2, 2), dtype=np.int64))
    with pytest.raises(InputError, match="only one sequence can be extended"):
        state.extend(np.array([1, 2]))
