"""Transformer layers written out in float64, one head after the other; a mask is the places left out."""

import numpy as np
import torch


def drawn(module, seed=0):
    """The module in float64 and evaluation mode, every weight drawn anew, so that no zero or one hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return module.eval()


def weights(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


def linear(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(x, w, name):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(queries, tokens, w, name, heads):
    """Queries [Q, W] look among tokens [S, W]."""
    inputs = zip(
        (queries, tokens, tokens),
        np.split(w[f"{name}.in_proj_weight"], 3),
        np.split(w[f"{name}.in_proj_bias"], 3),
        strict=True,
    )
    query, key, value = (x @ weight.T + bias for x, weight, bias in inputs)
    size = queries.shape[1] // heads
    gathered = np.empty_like(query)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(query)):
            fit = np.exp([query[i, part] @ key[j, part] / np.sqrt(size) for j in range(len(key))])
            gathered[i, part] = sum(f * value[j, part] for j, f in enumerate(fit / fit.sum()))
    return linear(gathered, w, f"{name}.out_proj")


def feed_forward(x, w, name):
    return linear(np.maximum(linear(x, w, f"{name}.linear1"), 0), w, f"{name}.linear2")


def encoder_layer(x, w, name, heads):
    """Normalises first: [S, W] -> [S, W]."""
    normal = layer_norm(x, w, f"{name}.norm1")
    x = x + attention(normal, normal, w, f"{name}.self_attn", heads)
    return x + feed_forward(layer_norm(x, w, f"{name}.norm2"), w, name)


def decoder_layer(x, tokens, w, name, heads):
    """Normalises first: queries [Q, W] and tokens [S, W] -> [Q, W]."""
    normal = layer_norm(x, w, f"{name}.norm1")
    x = x + attention(normal, normal, w, f"{name}.self_attn", heads)
    x = x + attention(layer_norm(x, w, f"{name}.norm2"), tokens, w, f"{name}.multihead_attn", heads)
    return x + feed_forward(layer_norm(x, w, f"{name}.norm3"), w, name)


def sines(height, width, features):
    """Positions [h * w, D], feature by feature."""
    found = np.empty((height, width, features))
    half = features // 2
    for row, column, feature in np.ndindex(found.shape):
        place = row if feature < half else column
        i = feature % half
        angle = place / 10000 ** (2 * (i // 2) / half)
        found[row, column, feature] = np.sin(angle) if i % 2 == 0 else np.cos(angle)
    return found.reshape(-1, features)
