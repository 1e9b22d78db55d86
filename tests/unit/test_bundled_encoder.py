"""The bundled encoder is multilingual-e5-small: XLM-R's tokens, and translations near each other."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from workflow_scripts.models.base import encoder_folder

pytestmark = pytest.mark.real_encoder


@pytest.fixture(scope="module")
def folder():
    return encoder_folder("bundled_encoder")


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


LONG = (
    'This is a very long text with a lot of weird characters, such as: . , ~ ? ( ) " [ ] ! : - . Also we will add words'
)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        # the first two are fairseq's own encodings with XLM-R's vocabulary, as its ports are tested with
        ("Hello World!", [0, 35378, 6661, 38, 2]),
        (
            LONG,
            [0, 3293, 83, 10, 4552, 4989, 7986, 678, 10, 5915, 111, 179459, 124850, 4, 6044, 237, 12, 6, 5, 6, 4, 6780,
             705, 15, 1388, 44, 378, 10114, 711, 152, 20, 6, 5, 22376, 642, 1221, 15190, 34153, 2],
        ),
        ("Schalte das Licht im Wohnzimmer ein", [0, 117319, 67, 381, 49300, 566, 214539, 599, 2]),
        ("打开客厅的灯", [0, 6, 55308, 6477, 34431, 43, 36480, 2]),
        ("ปิดไฟห้องครัว", [0, 6, 34031, 21128, 27163, 116880, 2]),
        ("", [0, 2]),
    ],
)  # fmt: skip
def test_tokens_are_those_of_xlm_r(tokenizer, text, ids):
    assert tokenizer(text)["input_ids"] == ids


def test_special_tokens(tokenizer):
    ids = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
    assert ids == (0, 1, 2, 3)
    assert tokenizer.decode(tokenizer("Guten Morgen")["input_ids"], skip_special_tokens=True) == "Guten Morgen"


MEANINGS = [  # English, German, French, Chinese
    ["turn on the light in the kitchen", "schalte das Licht in der Küche ein", "allume la lumière dans la cuisine", "打开厨房的灯"],
    ["what is the weather like tomorrow", "wie wird das Wetter morgen", "quel temps fera-t-il demain", "明天天气怎么样"],
    ["play the next song", "spiele das nächste Lied", "joue la chanson suivante", "播放下一首歌"],
    ["set a timer for ten minutes", "stelle einen Timer auf zehn Minuten", "mets un minuteur de dix minutes", "设置十分钟的计时器"],
]  # fmt: skip


def test_translations_are_nearer_than_other_sentences(folder, tokenizer):
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    sentences = [f"query: {text}" for group in MEANINGS for text in group]
    vectors = []
    with torch.inference_mode():
        for sentence in sentences:
            hidden = model(input_ids=torch.tensor([tokenizer(sentence)["input_ids"]])).last_hidden_state[0]
            vectors.append(torch.nn.functional.normalize(hidden.mean(0), dim=0))
    cosine = torch.stack(vectors) @ torch.stack(vectors).T
    meaning = torch.arange(len(sentences)) // len(MEANINGS[0])
    same = (meaning[:, None] == meaning).fill_diagonal_(False)
    other = meaning[:, None] != meaning
    assert cosine[same].mean() > cosine[other].mean() + 0.08
    # every sentence's nearest neighbour is a translation of it
    nearest = cosine.fill_diagonal_(-1).argmax(1)
    assert (meaning[nearest] == meaning).all()
    assert cosine[same].min() > cosine[other].mean()
