"""GloVe: vectors whose products give the logarithm of how often two tokens stand together."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from gensim.models import KeyedVectors
from scipy import sparse

# Up to this many matrix entries per seen pair the full matrix is the faster way; measured with 500 to 10,000 tokens.
DENSE_BELOW = 20
PAIRS_AT_ONCE = 1024  # their vectors stay in the cache

# From words and contexts to the weighted residuals of the pairs, as a [V, V] matrix, and the loss.
Residuals = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray | sparse.csr_array, float]]


@dataclass(frozen=True, eq=False)
class GloveResult:
    """A fitted GloVe model; row i belongs to row and column i of the counts.

    Attributes:
        words, contexts: float32 [V, dimensions].
        word_biases, context_biases: float32 [V].
        losses: float64 [steps + 1], eq. 8 of the paper: of the random start, then after each step.
    """

    words: np.ndarray
    contexts: np.ndarray
    word_biases: np.ndarray
    context_biases: np.ndarray
    losses: np.ndarray

    @property
    def vectors(self) -> np.ndarray:
        """The vectors of the tokens, word + context as in section 4.2 of the paper: float32 [V, dimensions]."""
        return self.words + self.contexts

    @property
    def log_counts(self) -> np.ndarray:
        """What the model holds for the logarithm of the counts, pairs never seen included: float32 [V, V]."""
        return self.words @ self.contexts.T + self.word_biases[:, None] + self.context_biases


def train_glove(
    sentences: Iterable[Sequence[str]],
    *,
    dimensions: int = 300,
    x_max: float = 100.0,
    alpha: float = 0.75,
    learning_rate: float = 0.05,
    steps: int = 20_000,
    seed: int = 0,
    window: int | None = None,
    vocabulary: Sequence[str] | None = None,
) -> KeyedVectors:
    """GloVe vectors of the tokens, in the order of the vocabulary.

    A token that never stands beside another one keeps its random start, and a warning names it.

    Args:
        sentences: lists of tokens.
        window: how many places apart two tokens of a sentence may stand to count as a pair; None: the whole sentence.
            Each pair counts once, whatever the distance, because the order of labels means nothing.
        vocabulary: the tokens to return, also those that no sentence holds. Default: every token of the sentences, the
            most frequent first.
        dimensions, x_max, alpha, learning_rate, steps, seed: see fit_glove.
    Raises: ValueError on sentences without tokens, a token outside the vocabulary, a repeated token in the vocabulary,
        a window below 1, and as fit_glove.
    """
    tokenized = list(sentences)
    if vocabulary is None:
        frequency = Counter(chain.from_iterable(tokenized))
        vocabulary = sorted(frequency, key=lambda token: (-frequency[token], token))
    counts = count_pairs(tokenized, vocabulary, window)
    alone = np.flatnonzero(counts.sum(axis=0) == 0)
    if len(alone):
        shown = ", ".join(repr(vocabulary[i]) for i in alone[:20]) + (", ..." if len(alone) > 20 else "")
        warnings.warn(
            f"{len(alone)} of {len(vocabulary)} tokens never stand beside another one, so their vectors stay the "
            f"random start: {shown}",
            stacklevel=2,
        )
    result = fit_glove(
        counts, dimensions=dimensions, x_max=x_max, alpha=alpha, learning_rate=learning_rate, steps=steps, seed=seed
    )
    vectors = KeyedVectors(dimensions, dtype=np.float32)
    vectors.add_vectors(list(vocabulary), result.vectors)
    return vectors


def count_pairs(
    sentences: Sequence[Sequence[str]], vocabulary: Sequence[str], window: int | None = None
) -> sparse.csr_array:
    """How often two tokens stand together in a sentence: symmetric float64 [V, V], V the size of the vocabulary.

    A token makes no pair with itself, but it does with its repetition.

    Raises: as train_glove.
    """
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1, or None for the whole sentence, got {window}")
    place = {token: i for i, token in enumerate(vocabulary)}
    if len(place) < len(vocabulary):
        raise ValueError(f"the vocabulary repeats {[t for t, n in Counter(vocabulary).items() if n > 1][:5]}")
    if any(isinstance(sentence, str) for sentence in sentences):
        raise ValueError("a sentence is a list of tokens, got a string")
    try:
        tokens = np.array([place[token] for sentence in sentences for token in sentence], dtype=np.int64)
    except KeyError as error:
        raise ValueError(f"the sentences hold {error.args[0]!r}, which the vocabulary lacks") from None
    if not len(tokens):
        raise ValueError("the sentences hold no token")
    lengths = np.array([len(sentence) for sentence in sentences])
    size = len(vocabulary)
    if window is None:
        ends = np.concatenate([[0], np.cumsum(lengths)])
        occurrences = sparse.csr_array((np.ones(len(tokens)), tokens, ends), shape=(len(lengths), size))
        with_itself = sparse.diags_array(np.bincount(tokens, minlength=size).astype(np.float64))
        pairs = occurrences.T @ occurrences - with_itself
    else:
        sentence_of = np.repeat(np.arange(len(lengths)), lengths)
        pairs = sparse.csr_array((size, size))
        for distance in range(1, min(window, lengths.max() - 1) + 1):
            same = sentence_of[:-distance] == sentence_of[distance:]
            ahead = (tokens[:-distance][same], tokens[distance:][same])
            once = sparse.coo_array((np.ones(same.sum()), ahead), shape=(size, size))
            pairs = pairs + once + once.T
    pairs = sparse.csr_array(pairs)
    pairs.eliminate_zeros()
    return pairs


def fit_glove(
    counts: np.ndarray | sparse.sparray,
    *,
    dimensions: int = 300,
    x_max: float = 100.0,
    alpha: float = 0.75,
    learning_rate: float = 0.05,
    steps: int = 20_000,
    seed: int = 0,
) -> GloveResult:
    """Fits `w_i . w~_j + b_i + b~_j` to `log counts[i, j]` by AdaGrad, all nonzero counts in every step.

    The default steps bring 26 labels at 300 dimensions below a loss of 1e-8, where the fit is exact for all purposes.

    Args:
        counts: [V, V], not negative, not necessarily whole; a zero is a pair never seen and takes no part.
        x_max: the weight of a pair is `min(1, count / x_max) ** alpha`. The paper's 100 serves labels as well: the
            logarithm of a count x is uncertain by about `x ** -0.5`, a tenth at 100, so that only pairs too rare to
            be measured weigh less.
        seed: of the random start, uniform within `0.5 / sqrt(dimensions)`; the same seed gives the same vectors.
    Source: Pennington et al. 2014, eq. 8 and 9.
    Raises: ValueError on counts that are not square, negative or not finite, on settings that are not positive, and if
        the fit diverges.
    """
    pairs = _checked_counts(counts)
    for name, value in {"dimensions": dimensions, "x_max": x_max, "learning_rate": learning_rate}.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}")
    if alpha < 0 or steps < 0:
        raise ValueError(f"alpha and steps must be >= 0, got {alpha} and {steps}")
    residuals = _residuals(pairs, x_max, alpha)
    parameters = _random_start(pairs.shape[0], dimensions, seed)
    losses = _adagrad(parameters, residuals, learning_rate, steps)
    if not np.isfinite(losses[-1]):
        raise ValueError(f"the fit diverges at learning_rate {learning_rate}; take a smaller one")
    words, contexts = parameters
    return GloveResult(
        words[:, :dimensions], contexts[:, :dimensions], words[:, dimensions], contexts[:, dimensions + 1], losses
    )


def _checked_counts(counts: np.ndarray | sparse.sparray) -> sparse.coo_array:
    pairs = sparse.coo_array(
        sparse.csr_array(counts, dtype=np.float64)
    )  # by way of csr, which adds up repeated entries
    if pairs.ndim != 2 or pairs.shape[0] != pairs.shape[1]:
        raise ValueError(f"counts have shape {pairs.shape}, expected [V, V]")
    pairs.eliminate_zeros()
    if not np.isfinite(pairs.data).all() or (pairs.data < 0).any():
        raise ValueError("counts must be finite and >= 0")
    return pairs


def _random_start(size: int, dimensions: int, seed: int) -> np.ndarray:
    """Words and contexts with their biases: float32 [2, V, dimensions + 2].

    The last two columns are (b, 1) for words and (1, b~) for contexts, so that one product gives the whole model.
    """
    rng = np.random.default_rng(seed)
    parameters = ((rng.random((2, size, dimensions + 2)) - 0.5) / np.sqrt(dimensions)).astype(np.float32)
    parameters[0, :, dimensions + 1] = parameters[1, :, dimensions] = 1
    return parameters


def _residuals(pairs: sparse.coo_array, x_max: float, alpha: float) -> Residuals:
    """The function that a step evaluates: on the full matrix where enough pairs were seen, else on those alone."""
    rows, columns = pairs.coords
    targets = np.log(pairs.data).astype(np.float32)
    weights = (np.minimum(1, pairs.data / x_max) ** alpha).astype(np.float32)

    def seen_only(words: np.ndarray, contexts: np.ndarray) -> tuple[sparse.csr_array, float]:
        difference = -targets
        for start in range(0, len(rows), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            difference[part] += np.einsum("pd,pd->p", words[rows[part]], contexts[columns[part]])
        weighted = weights * difference
        return sparse.csr_array((weighted, (rows, columns)), shape=pairs.shape), float(np.vdot(weighted, difference))

    if pairs.nnz * DENSE_BELOW < pairs.shape[0] * pairs.shape[1]:
        return seen_only
    all_targets, all_weights = np.zeros((2, *pairs.shape), dtype=np.float32)
    all_targets[rows, columns], all_weights[rows, columns] = targets, weights

    def full_matrix(words: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, float]:
        difference = words @ contexts.T
        difference -= all_targets
        weighted = all_weights * difference
        return weighted, float(np.vdot(weighted, difference))

    return full_matrix


def _adagrad(parameters: np.ndarray, residuals: Residuals, learning_rate: float, steps: int) -> np.ndarray:
    """Minimizes in place; the loss of the start and after each step, float64 [steps + 1]."""
    words, contexts = parameters
    gradient, scratch = np.empty_like(parameters), np.empty_like(parameters)
    # Not 0, which would divide 0 by 0 where a token has no pair; small against any gradient that matters.
    history = np.full_like(parameters, 1e-12)
    losses = np.empty(steps + 1)
    for step in range(steps):
        weighted, losses[step] = residuals(words, contexts)
        gradient[0] = weighted @ contexts
        gradient[1] = weighted.T @ words
        gradient[0, :, -1] = gradient[1, :, -2] = 0  # the columns of ones
        history += np.square(gradient, out=scratch)
        gradient /= np.sqrt(history, out=scratch)
        gradient *= learning_rate
        parameters -= gradient
    losses[steps] = residuals(words, contexts)[1]
    return losses
