"""Compact vocabularies: the same numbers from a fraction of the embedding."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from workflow_scripts.models.base import build_base
from workflow_scripts.models.checkpoints import Vocabulary, load_model
from workflow_scripts.models.predict import one_length_batches, predict
from workflow_scripts.models.tokens import tokenise

TEXTS = ["schalte das licht ein", "play some music", "", "wetter", "turn the light off please", "une ampoule", "licht"]


@pytest.fixture(scope="module")
def tokenizer(tiny_base):
    return AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture(scope="module")
def encoded(tokenizer):
    return tokenise(tokenizer, TEXTS, 32)


# --- token ids


def test_tokenise_adds_special_tokens_and_cuts(tokenizer, encoded):
    assert len(encoded) == len(TEXTS)
    assert encoded[2] == [0, 2]  # <s> </s>
    for tokens, short in zip(encoded, tokenise(tokenizer, TEXTS, 4), strict=True):
        assert tokens[0] == 0 and tokens[-1] == 2
        assert short == (tokens if len(tokens) <= 4 else [*tokens[:3], 2])
    assert tokenise(tokenizer, [], 32) == []


def test_a_vocabulary_is_what_the_texts_use_and_the_special_tokens(tokenizer, encoded):
    vocabulary = Vocabulary.of(tokenizer, encoded)
    used = {token for text in encoded for token in text}
    assert vocabulary.ids.tolist() == sorted(used | {0, 1, 2, 3})
    assert vocabulary.ids[vocabulary.pad] == tokenizer.pad_token_id
    assert vocabulary.ids.dtype == np.int64


def test_compact_ids_point_at_the_original_ones(tokenizer, encoded):
    vocabulary = Vocabulary.of(tokenizer, encoded)
    for tokens in encoded:
        assert vocabulary.ids[vocabulary.encode(tokens)].tolist() == tokens
    assert vocabulary.encode([]) == []


@pytest.mark.parametrize("token", [4, 7, 1000])
def test_a_token_outside_is_an_error(token):
    vocabulary = Vocabulary(np.array([0, 1, 2, 3, 5, 6]), 1)
    with pytest.raises(KeyError):
        vocabulary.encode([0, token, 2])


# --- the compact model


def full_model(base):
    return AutoModelForSequenceClassification.from_pretrained(base).eval()


def assert_bit_equal(base, tokenizer, texts):
    encoded = tokenise(tokenizer, texts, 32)
    vocabulary = Vocabulary.of(tokenizer, encoded)
    compact = load_model(base, vocabulary)
    assert compact.get_input_embeddings().weight.shape[0] == len(vocabulary.ids)
    expected = predict(full_model(base), encoded, 64)
    found = predict(compact, [vocabulary.encode(tokens) for tokens in encoded], 64)
    assert len(np.unique(expected.round(4), axis=0)) == len(expected), "all sentences look alike"
    assert found.tobytes() == expected.tobytes()


def test_logits_are_bit_equal_to_the_full_models(tiny_base, tokenizer):
    assert_bit_equal(tiny_base, tokenizer, TEXTS)


def roberta(folder, vocabulary):
    """Build a base of XLM-R's architecture, whose positions start after the padding token's id."""
    place = vocabulary.index
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", place("<s>")), ("</s>", place("</s>"))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, type_vocab_size=1, initializer_range=0.5, pad_token_id=place("<pad>"),
        bos_token_id=place("<s>"), eos_token_id=place("</s>"),
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder / "encoder")
    fast.save_pretrained(folder / "encoder")
    build_base(str(folder / "encoder"), None, ["x", "y"], 0, folder / "base")
    return folder / "base", fast


WORDS = ["a", "b", "c", "d", "e"]


def test_logits_of_xlm_r_are_bit_equal(tmp_path):
    base, tokenizer = roberta(tmp_path, ["<s>", "<pad>", "</s>", "<unk>", *WORDS])
    assert_bit_equal(base, tokenizer, ["b d", "c", "d b e"])


def test_logits_are_bit_equal_where_the_padding_id_moves(tmp_path):
    base, tokenizer = roberta(tmp_path, ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<s>", "</s>", *WORDS])
    assert_bit_equal(base, tokenizer, ["b d", "c", "d b e"])


# --- the forward loop


def test_batches_hold_one_length_and_keep_to_the_budget():
    encoded = [[0] * n for n in (3, 5, 3, 3, 9, 5, 3, 3)]
    batches = list(one_length_batches(encoded, 10))
    # ⌊10/3⌋ = 3 sentences of 3 tokens, 2 of 5; the one of 9 alone
    assert batches == [[0, 2, 3], [6, 7], [1, 5], [4]]


def test_a_sentence_above_the_budget_is_a_batch_of_its_own():
    assert list(one_length_batches([[0] * 12, [0] * 12], 10)) == [[0], [1]]


def test_prediction_agrees_with_a_padded_and_masked_batch(tiny_base, tokenizer, encoded):
    model = full_model(tiny_base)
    longest = max(map(len, encoded))
    ids = torch.tensor([tokens + [1] * (longest - len(tokens)) for tokens in encoded])
    mask = torch.tensor([[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens in encoded])
    with torch.inference_mode():
        expected = model(input_ids=ids, attention_mask=mask).logits.numpy()
    assert max(map(len, one_length_batches(encoded, 4096))) > 1, "no two sentences of one length"
    for budget in (1, 16, 4096):
        np.testing.assert_allclose(predict(model, encoded, budget), expected, atol=1e-5)
