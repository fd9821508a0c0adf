"""Vectors for labels and words. This package knows nothing of images, models or label tables."""

from embeddings.corpus import label_sentences
from embeddings.glove import train_glove
from embeddings.store import load_vectors, save_vectors

__all__ = ["label_sentences", "load_vectors", "save_vectors", "train_glove"]
