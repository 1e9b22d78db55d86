"""Similarity measures beyond URIEL, REAL and NXN, against hand-computed cases and independent references."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from tests.unit.helpers import Rows, write_vector
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.similarity.context import MeasureContext
from workflow_scripts.similarity.measures.embedding import embedding
from workflow_scripts.similarity.measures.random import random
from workflow_scripts.similarity.measures.subword_overlap import subword_overlap
from workflow_scripts.similarity.measures.task_vector_cosine import task_vector_cosine
from workflow_scripts.similarity.measures.transfer_profile import transfer_profile

LOCALES = ["a", "b", "c", "d", "e"]
TEXTS = {"a": ["turn on the light", "play music"], "b": ["play the music now"], "c": ["what is the weather"]}


def test_random_similarities_belong_to_their_pair():
    full, part = random(MeasureContext(LOCALES, {})), random(MeasureContext(["d", "b"], {}))
    assert part[0, 1] == full[3, 1] and part[1, 0] == full[1, 3] != full[3, 1]
    assert len(np.unique(full)) == 25 and full.min() > 0 and full.max() < 1
    assert not np.array_equal(full, random(MeasureContext(LOCALES, {}, seed=1)))
    assert not np.array_equal(full, random(MeasureContext(LOCALES, {}), draw=1))


def test_transfer_profiles_leave_out_the_two_models_themselves():
    accuracy = np.random.default_rng(0).uniform(0, 1, (5, 5))
    found = transfer_profile(MeasureContext(LOCALES, {}, accuracy))
    others = [0, 2, 4]
    assert found[1, 3] == found[3, 1] == pytest.approx(pearsonr(accuracy[others, 1], accuracy[others, 3])[0])
    assert (np.diagonal(found) == 1).all()
    accuracy[1, 3] = accuracy[3, 3] = 77  # the models of the pair have no part in it
    assert transfer_profile(MeasureContext(LOCALES, {}, accuracy))[1, 3] == found[1, 3]


def test_transfer_profiles_need_some_spread():
    flat = np.random.default_rng(0).uniform(0, 1, (5, 5))
    flat[:, 2] = 0.5
    with pytest.raises(XlmergeError, match="equally well on the validation data of c"):
        transfer_profile(MeasureContext(LOCALES, {}, flat))


def test_cosines_of_task_vectors_by_hand_without_the_head(tmp_path):
    vectors = [
        {"w": [3.0, 0.0], "e": Rows([0], [[4.0]]), "head": [9.0]},
        {"w": [1.0, 2.0], "e": Rows([0, 2], [[2.0], [4.0]]), "head": [-9.0]},
    ]
    paths = [write_vector(tmp_path / f"{i}.safetensors", v) for i, v in enumerate(vectors)]
    found = task_vector_cosine(MeasureContext(LOCALES[:2], {}, models=paths, head=frozenset({"head"})))
    assert found[0, 1] == found[1, 0] == pytest.approx((3 + 8) / (5 * 5))
    np.testing.assert_allclose(np.diagonal(found), 1)


def test_a_model_that_only_trained_its_head_has_no_direction(tmp_path):
    paths = [write_vector(tmp_path / f"{i}.safetensors", v) for i, v in enumerate([{"w": [1.0]}, {"head": [1.0]}])]
    with pytest.raises(XlmergeError, match="nothing but the head of b"):
        task_vector_cosine(MeasureContext(LOCALES[:2], {}, models=paths, head=frozenset({"head"})))


def test_subword_overlap_counts_types(tiny_base):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    types = [{t for text in TEXTS[n] for t in tokenizer.tokenize(text)} for n in "abc"]
    found = subword_overlap(MeasureContext(list("abc"), {}, base=tiny_base, texts=TEXTS))
    for i, first in enumerate(types):
        for j, second in enumerate(types):
            assert found[i, j] == pytest.approx(len(first & second) / len(first | second))


def test_embeddings_are_token_means_with_the_mean_over_locales_removed(tiny_base):
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny_base), AutoModel.from_pretrained(tiny_base).eval()
    means = []
    with torch.no_grad():
        for name in "abc":
            sentences = [model(**tokenizer(t, return_tensors="pt")).last_hidden_state[0].mean(0) for t in TEXTS[name]]
            means.append(torch.stack(sentences).mean(0).numpy())
    centred = np.stack(means) - np.mean(means, 0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    found = embedding(MeasureContext(list("abc"), {}, base=tiny_base, texts=TEXTS))
    np.testing.assert_allclose(found, unit @ unit.T, atol=1e-4)
    with pytest.raises(XlmergeError, match="three or more locales"):
        embedding(MeasureContext(["a", "b"], {}, base=tiny_base, texts=TEXTS))
