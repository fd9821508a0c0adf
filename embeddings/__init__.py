"""Vectors for labels and words. This package knows nothing of images, models or label tables."""

from embeddings.baselines import one_hot_vectors, random_vectors
from embeddings.corpus import label_sentences
from embeddings.descriptions import label_descriptions
from embeddings.glove import train_glove
from embeddings.label_texts import LabelTexts, read_label_texts
from embeddings.neighbours import agreement, map_2d, nearest, pmi
from embeddings.projection import project
from embeddings.reports import read_reports, report_sentences, report_vectors
from embeddings.store import load_vectors, save_vectors
from embeddings.text_encoder import encode_texts, name_texts, text_vectors

__all__ = [
    "LabelTexts",
    "agreement",
    "encode_texts",
    "label_descriptions",
    "label_sentences",
    "load_vectors",
    "map_2d",
    "name_texts",
    "nearest",
    "one_hot_vectors",
    "pmi",
    "project",
    "random_vectors",
    "read_label_texts",
    "read_reports",
    "report_sentences",
    "report_vectors",
    "save_vectors",
    "text_vectors",
    "train_glove",
]
