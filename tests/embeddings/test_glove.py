import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.strategies import booleans, lists, none, sampled_from
from hypothesis.strategies import integers as whole_numbers
from scipy import sparse

from embeddings import glove, label_sentences, train_glove
from embeddings.glove import count_pairs, fit_glove

VOCABULARY = ["no finding", "b", "c", "d"]
SENTENCES = [["b", "c"], ["b", "c", "d"], ["c"], ["d", "b"], ["no finding", "d"], ["no finding", "c", "b"]]
FEW = {"dimensions": 6, "steps": 50}


@pytest.fixture(params=["every pair seen", "few pairs seen"])
def way(request, monkeypatch):
    """Takes each of the two ways to evaluate a step, whatever the counts."""
    monkeypatch.setattr(glove, "DENSE_BELOW", {"every pair seen": 10**9, "few pairs seen": 0}[request.param])
    monkeypatch.setattr(glove, "PAIRS_AT_ONCE", 5)


@pytest.fixture(scope="module")
def label_counts():
    """Counts of 26 correlated labels, head to tail, pairs that are seen once or never among them."""
    rng = np.random.default_rng(3)
    score = rng.normal(size=(20_000, 3)) @ rng.normal(size=(3, 26)) + rng.normal(size=(20_000, 26))
    values = score > [np.quantile(score[:, j], 1 - p) for j, p in enumerate(np.geomspace(0.4, 0.002, 26))]
    names = [f"label {j}" for j in range(26)]
    return count_pairs(label_sentences(values, names), names)


@pytest.fixture
def small_blocks(monkeypatch):
    """Deals a vocabulary of ten into four blocks."""
    monkeypatch.setattr(glove, "TOKENS_AT_ONCE", 3)


def random_counts(seed=0, size=10):
    """Symmetric counts with a diagonal, a third of the pairs never seen: float64 [size, size]."""
    rng = np.random.default_rng(seed)
    upper = np.triu(np.ceil(np.exp(rng.normal(2, 2, (size, size)))) * (rng.random((size, size)) < 2 / 3))
    return upper + upper.T


@given(
    sentences=lists(lists(sampled_from(VOCABULARY), max_size=6), min_size=1, max_size=5).filter(any),
    window=none() | whole_numbers(1, 7),
    distance_weighting=booleans(),
)
def test_pairs_are_counted_as_two_loops_count_them(sentences, window, distance_weighting):
    expected = np.zeros((4, 4))
    for sentence in sentences:
        for p, first in enumerate(sentence):
            for q, second in enumerate(sentence):
                if p != q and (window is None or abs(p - q) <= window):
                    weight = 1 / abs(p - q) if distance_weighting else 1
                    expected[VOCABULARY.index(first), VOCABULARY.index(second)] += weight
    counts = count_pairs(sentences, VOCABULARY, window, distance_weighting).toarray()
    if distance_weighting:
        np.testing.assert_allclose(counts, expected, rtol=1e-12)
    else:
        np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(counts, counts.T)


def plain_glove(counts, words, contexts, word_biases, context_biases, x_max, alpha, learning_rate, steps):
    """Eq. 8 and its gradients pair by pair in float64, minimized by AdaGrad; the losses before each step and after."""
    parameters = [np.array(p, dtype=np.float64) for p in (words, contexts, word_biases, context_biases)]
    history = [np.zeros_like(p) for p in parameters]
    losses = []
    for step in range(steps + 1):
        w, c, b, d = parameters
        gradients = [np.zeros_like(p) for p in parameters]
        losses.append(0.0)
        for i, j in np.argwhere(counts > 0):
            weight = min(1.0, counts[i, j] / x_max) ** alpha
            error = w[i] @ c[j] + b[i] + d[j] - np.log(counts[i, j])
            losses[-1] += weight * error**2
            for gradient, at, value in zip(gradients, (i, j, i, j), (c[j], w[i], 1.0, 1.0), strict=True):
                gradient[at] += weight * error * value
        if step < steps:
            for parameter, gradient, squares in zip(parameters, gradients, history, strict=True):
                squares += gradient**2
                moved = gradient != 0
                parameter[moved] -= learning_rate * gradient[moved] / np.sqrt(squares[moved])
    return parameters, losses


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_fitting_equals_the_plain_equations(kind):
    counts = np.array([[0, 3, 120, 1], [3, 4, 0, 0], [120, 0, 0, 0.5], [1, 0, 0.5, 0]])
    settings = {"x_max": 100.0, "alpha": 0.75, "learning_rate": 0.05}
    start = fit_glove(kind(counts), dimensions=3, steps=0, seed=5, **settings)
    result = fit_glove(kind(counts), dimensions=3, steps=30, seed=5, **settings)
    (words, contexts, word_biases, context_biases), losses = plain_glove(
        counts, start.words, start.contexts, start.word_biases, start.context_biases, steps=30, **settings
    )
    np.testing.assert_allclose(result.losses, losses, rtol=1e-4)
    np.testing.assert_allclose(result.words, words, atol=1e-4)
    np.testing.assert_allclose(result.contexts, contexts, atol=1e-4)
    np.testing.assert_allclose(result.word_biases, word_biases, atol=1e-4)
    np.testing.assert_allclose(result.context_biases, context_biases, atol=1e-4)
    np.testing.assert_allclose(result.vectors, words + contexts, atol=1e-4)
    np.testing.assert_allclose(
        result.log_counts, words @ contexts.T + word_biases[:, None] + context_biases[None], atol=1e-3
    )


def test_the_default_fit_of_26_labels_reconstructs_their_log_counts(label_counts):
    result = fit_glove(label_counts)
    seen = label_counts.toarray() > 0
    assert result.vectors.shape == (26, 300)
    assert result.losses[-1] < 1e-6
    np.testing.assert_allclose(result.log_counts[seen], np.log(label_counts.toarray()[seen]), atol=1e-3)


@pytest.mark.usefixtures("way")
def test_the_residuals_give_the_gradient_of_the_loss():
    counts, rng = random_counts(), np.random.default_rng(1)
    words, contexts = rng.normal(size=(2, 10, 6)).astype(np.float32)
    words[:, 5] = contexts[:, 4] = 1
    weighted, loss = glove._residuals(sparse.csr_array(counts), 100.0, 0.75)(words, contexts)
    w, c = (torch.tensor(values[:, :4], dtype=torch.float64, requires_grad=True) for values in (words, contexts))
    b, d = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (words[:, 4], contexts[:, 5]))
    seen, table = torch.tensor(counts > 0), torch.tensor(counts)
    squares = (w @ c.T + b[:, None] + d - table.log())[seen] ** 2
    expected = (torch.clamp(table[seen] / 100, max=1) ** 0.75 * squares).sum()
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-5)
    word_gradient, context_gradient = 2 * (weighted @ contexts), 2 * (weighted.T @ words)
    np.testing.assert_allclose(word_gradient[:, :5], np.c_[w.grad, b.grad], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(context_gradient[:, [0, 1, 2, 3, 5]], np.c_[c.grad, d.grad], rtol=1e-4, atol=1e-4)


def test_the_order_of_the_vocabulary_does_not_matter_to_the_fit():
    counts, order = random_counts(), np.random.default_rng(1).permutation(10)
    fits = [fit_glove(table, dimensions=100, steps=1000) for table in (counts, counts[order][:, order])]
    seen = counts[order][:, order] > 0
    np.testing.assert_allclose(fits[1].log_counts[seen], fits[0].log_counts[order][:, order][seen], atol=1e-3)


@pytest.mark.usefixtures("way", "small_blocks")
def test_blocks_reach_the_optimum_of_whole_steps():
    counts = random_counts()
    result = fit_glove(sparse.csr_array(counts), dimensions=100, steps=1000)
    assert result.losses[-1] < 1e-6
    np.testing.assert_allclose(result.log_counts[counts > 0], np.log(counts[counts > 0]), atol=1e-3)


@pytest.mark.usefixtures("way")
def test_blocks_start_as_a_whole_step_does_and_hold_every_pair_once(monkeypatch):
    counts = random_counts()
    whole = fit_glove(counts, dimensions=4, steps=0, seed=2)
    monkeypatch.setattr(glove, "TOKENS_AT_ONCE", 3)
    blocks = fit_glove(counts, dimensions=4, steps=0, seed=2)
    np.testing.assert_array_equal(blocks.vectors, whole.vectors)
    np.testing.assert_allclose(blocks.losses, whole.losses, rtol=1e-5)
    seen = counts > 0
    squares = (whole.log_counts[seen].astype(np.float64) - np.log(counts[seen])) ** 2
    np.testing.assert_allclose(blocks.losses, [np.sum(np.minimum(1, counts[seen] / 100) ** 0.75 * squares)], rtol=1e-5)


def test_blocks_lower_the_loss_sooner_than_whole_steps(monkeypatch):
    counts = random_counts(size=60)
    whole = fit_glove(counts, dimensions=30, steps=50).losses
    monkeypatch.setattr(glove, "TOKENS_AT_ONCE", 10)
    assert fit_glove(counts, dimensions=30, steps=50).losses[-1] < 0.7 * whole[-1]


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_at_most_so_many_and_leave_tokens_without_pairs_alone(monkeypatch):
    counts = random_counts()
    counts[4] = counts[:, 4] = 0
    monkeypatch.setattr(glove, "MOST_BLOCKS", 2)
    assert len(glove._blocks(sparse.csr_array(counts), 100.0, 0.75)) == 4
    start, end, again = (fit_glove(counts, dimensions=4, steps=steps).vectors for steps in (0, 20, 20))
    assert [i for i in range(10) if (start[i] == end[i]).all()] == [4]
    np.testing.assert_array_equal(end, again)


def test_counts_are_left_as_they_were():
    counts = sparse.csr_array((np.array([2.0, 0.0, 3.0, 4.0]), [1, 1, 0, 0], [0, 2, 4]), shape=(2, 2))
    before = counts.copy()
    fit_glove(counts, dimensions=2, steps=2)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(counts, name), getattr(before, name))


def test_rare_tokens_leave_the_sentences_before_pairs_are_counted():
    sentences = [["a", "rare", "b"], ["b", "a"], ["c", "b"], ["c", "once"]]
    vectors = train_glove(sentences, window=1, min_count=2, **FEW)
    assert vectors.index_to_key == ["b", "a", "c"]
    kept = [["a", "b"], ["b", "a"], ["c", "b"], ["c"]]
    expected = train_glove(kept, window=1, vocabulary=["b", "a", "c"], **FEW)
    np.testing.assert_array_equal(vectors.vectors, expected.vectors)


def test_distance_weighting_reaches_the_fit():
    sentences = [["a", "b", "c"], ["c", "a"]]
    expected = fit_glove(count_pairs(sentences, ["a", "c", "b"], 2, True), **FEW)
    vectors = train_glove(sentences, window=2, distance_weighting=True, **FEW)
    np.testing.assert_array_equal(vectors.vectors, expected.vectors)


def test_labels_with_the_same_company_are_nearer_than_labels_with_other_company():
    sentences = [["a", "x"], ["b", "x"], ["a", "y"], ["b", "y"], ["c", "z"], ["c", "w"], ["c", "x"]] * 10
    vectors = train_glove(sentences, dimensions=50, steps=2000)
    assert vectors.similarity("a", "b") > vectors.similarity("a", "c") + 0.1


def test_the_same_seed_gives_the_same_vectors_and_leaves_the_global_random_state_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not move
    first, again, other = (train_glove(SENTENCES, seed=seed, **FEW).vectors for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_vectors_stand_in_the_order_of_the_vocabulary_and_else_by_frequency():
    assert train_glove(SENTENCES, vocabulary=VOCABULARY, **FEW).index_to_key == VOCABULARY
    by_frequency = train_glove(iter(SENTENCES), **FEW)
    assert by_frequency.index_to_key == ["b", "c", "d", "no finding"]
    assert by_frequency.vectors.dtype == np.float32 and by_frequency.vectors.shape == (4, 6)


def test_labels_without_company_keep_their_random_start_and_are_named():
    sentences, vocabulary = [*SENTENCES, ["lonely"]], [*VOCABULARY, "lonely", "never seen"]
    with pytest.warns(UserWarning, match=r"2 of 6 tokens .* random start: 'lonely', 'never seen'") as caught:
        start, end = (train_glove(sentences, vocabulary=vocabulary, dimensions=6, steps=n).vectors for n in (0, 50))
    assert [warning.filename for warning in caught] == [__file__] * 2  # one from each training
    np.testing.assert_array_equal(end[4:], start[4:])
    assert end[4:].all() and (end[:4] != start[:4]).all()


@pytest.mark.filterwarnings("ignore:2 of 2 tokens:UserWarning")
def test_labels_that_never_meet_keep_their_random_start():
    start, end = (train_glove([["a"], ["b"]], dimensions=6, steps=n).vectors for n in (0, 50))
    np.testing.assert_array_equal(end, start)


@pytest.mark.parametrize(
    ("sentences", "options", "message"),
    [
        ([], {}, "no token"),
        ([[]], {"vocabulary": ["a"]}, "no token"),
        (["Edema"], {}, "got a string"),
        ([["a", "b"]], {"vocabulary": ["a"]}, "'b', which the vocabulary lacks"),
        ([["a", "b"]], {"vocabulary": ["a", "b", "a"]}, r"repeats \['a'\]"),
        ([["a", "b"]], {"window": 0}, "window"),
        ([["a", "b"]], {"min_count": 0}, "min_count must be at least 1, and 1 where a vocabulary is given, got 0"),
        ([["a", "b"]], {"min_count": 2, "vocabulary": ["a", "b"]}, "min_count must be at least 1, and 1 where"),
        ([["a", "b"]], {"min_count": 2}, "no token stands min_count = 2 times"),
        (["Edema"], {"min_count": 2}, "got a string"),
        ([["a", "b"]], {"dimensions": 0}, "dimensions must be > 0, got 0"),
        ([["a", "b"]], {"x_max": -1}, "x_max"),
        ([["a", "b"]], {"alpha": -1}, "alpha"),
        ([["a", "b"]], {"steps": -1}, "steps"),
        ([["a", "b"]], {"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_bad_input_is_refused_with_its_name(sentences, options, message):
    with pytest.raises(ValueError, match=message):
        train_glove(sentences, **options)


@pytest.mark.parametrize("counts", [np.ones((2, 3)), np.array([[0, -1], [1, 0]]), np.array([[0, np.nan], [1, 0]])])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        fit_glove(counts)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_diverging_fit_is_an_error():
    with pytest.raises(ValueError, match="diverges at learning_rate 1e\\+30"):
        fit_glove(np.array([[0, 5], [5, 0]]), learning_rate=1e30, steps=5)
