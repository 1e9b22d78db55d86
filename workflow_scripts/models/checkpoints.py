"""θ₀ and task vectors on disk, and models put together from them.

A task vector file is a safetensors file that holds θ − θ₀: only the tensors that changed, and of the token embedding
only the rows that changed (`{name}` holds their values, `{name}.rows` their positions).

A job's model holds only the embedding rows that its texts use, a compact vocabulary. Cutting the embedding is exact: a
forward pass gives the same bits, and training the same up to the summation order of the gradient norm, as long as
weight decay never touches the embedding.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of_files, verify, verify_file
from workflow_scripts.core.errors import XlmergeError

ROWS = ".rows"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SMALL_PAD = 16
State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Vocabulary:
    """The kept token ids.

    Attributes
    ----------
    ids : ndarray of int64, shape (V,)
        Original ids, ascending; row i of a compact embedding is row ``ids[i]`` of the full one.
    pad : int
        The padding token's compact id.
    """

    ids: np.ndarray
    pad: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, encoded: Iterable[Sequence[int]]) -> "Vocabulary":
        """Return the vocabulary of tokenised texts plus the tokenizer's special tokens."""
        used = {token for text in encoded for token in text}
        return cls.keeping(used, tokenizer.all_special_ids, tokenizer.pad_token_id)

    @classmethod
    def keeping(cls, used: Iterable[int], special: Iterable[int], pad: int) -> "Vocabulary":
        """Return the vocabulary of used token ids, special ones and the padding token among these."""
        kept = {*used, *special}
        if pad < SMALL_PAD:  # RoBERTa's kin count positions from the padding id: it must not move
            kept |= set(range(pad))
        ids = np.array(sorted(kept), np.int64)
        return cls(ids, int(np.searchsorted(ids, pad)))

    def encode(self, tokens: Sequence[int] | np.ndarray) -> list[int]:
        """Return compact ids.

        Raises
        ------
        KeyError
            If a token is not in the vocabulary.
        """
        positions = np.searchsorted(self.ids, tokens)
        if len(tokens) and not np.array_equal(self.ids[np.minimum(positions, len(self.ids) - 1)], tokens):
            raise KeyError("a token is not in the compact vocabulary")
        return positions.tolist()


@dataclass
class TaskVector:
    """θ − θ₀ in memory.

    Attributes
    ----------
    dense : dict of str to Tensor
        Changed tensors.
    rows : dict of str to tuple of (Tensor of int64, shape (r,); Tensor, shape (r, H))
        Positions (original token ids) and values of the changed rows of an embedding.
    """

    dense: State
    rows: dict[str, tuple[torch.Tensor, torch.Tensor]]


def embedding_name(model: PreTrainedModel) -> str:
    """Return the name of the token embedding's weight."""
    weight = model.get_input_embeddings().weight
    return next(name for name, parameter in model.named_parameters() if parameter is weight)


def skeleton(base: str | Path) -> PreTrainedModel:
    """Return a saved base's model without weights: its class, config and parameter names."""
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(base))


def base_state(base: str | Path, vocabulary: Vocabulary, embedding: str) -> State:
    """Return θ₀'s tensors, the embedding cut to the vocabulary; nothing else of it is read."""
    with _open(Path(base) / "model.safetensors") as file:
        state = {name: file.get_tensor(name) for name in file.keys() if name != embedding}  # noqa: SIM118
        state[embedding] = file.get_tensor(embedding)[torch.from_numpy(vocabulary.ids)]
    return state


def _open(path: Path) -> Any:
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise XlmergeError(f"{path} cannot be read ({error}); delete it and rerun") from None


def verify_base(folder: str | Path, digest_file: str | Path) -> str:
    """Return θ₀'s digest if its folder is what the digest file says; see `core.digests.verify`."""
    return verify(folder, base_digest(folder), digest_file)


def base_digest(folder: str | Path) -> str:
    """Return the content digest of θ₀: config, weights and tokenizer."""
    shards = sorted(p.name for p in Path(folder).glob("model-*-of-*.safetensors"))
    weights = ["model.safetensors"] if (Path(folder) / "model.safetensors").exists() else shards
    names = ("config.json", *weights, "tokenizer.json")
    return digest_of_files(*(p for n in names if (p := Path(folder) / n).exists()))


def load_model(base: str | Path, vocabulary: Vocabulary) -> PreTrainedModel:
    """Return the model θ₀ with a compact embedding, in evaluation mode.

    Parameters
    ----------
    base : path
        θ₀'s Hugging Face folder.
    vocabulary : Vocabulary
        The token ids to keep.
    """
    empty = skeleton(base)
    state = base_state(base, vocabulary, embedding_name(empty))
    config = empty.config
    config.vocab_size, config.pad_token_id = len(vocabulary.ids), vocabulary.pad
    with torch.random.fork_rng():
        model = type(empty).from_pretrained(None, config=config, state_dict=state, dtype=torch.float32)
    for module in model.modules():  # batches without a mask hold no padding; looking for it costs a synchronisation
        if isinstance(module, PreTrainedModel):
            module.warn_if_padding_and_no_attention_mask = lambda *_: None
    return model.eval()


def set_task_vector(model: PreTrainedModel, base: str | Path, vocabulary: Vocabulary, task_vector: TaskVector) -> None:
    """Set a model made by `load_model` to θ₀ + τ; rows of tokens outside the vocabulary are not needed and left out."""
    embedding = embedding_name(model)
    state = base_state(base, vocabulary, embedding)
    _add(state, task_vector, vocabulary, embedding)
    model.load_state_dict(state, strict=False)


def changed_tokens(task_vector: TaskVector, base: str | Path) -> list[int]:
    """Return the token ids whose embedding a task vector changes."""
    embedding = embedding_name(skeleton(base))
    if embedding in task_vector.dense:
        return torch.nonzero(task_vector.dense[embedding].ne(0).any(1)).flatten().tolist()
    return task_vector.rows[embedding][0].tolist() if embedding in task_vector.rows else []


def _add(state: State, task_vector: TaskVector, vocabulary: Vocabulary, embedding: str) -> None:
    for name, delta in task_vector.dense.items():
        kept = delta[torch.from_numpy(vocabulary.ids)] if name == embedding else delta
        state[name] = state[name] + kept.float()
    for name, (rows, values) in task_vector.rows.items():
        keep = torch.from_numpy(np.isin(rows.numpy(), vocabulary.ids))
        positions = torch.from_numpy(np.searchsorted(vocabulary.ids, rows[keep].numpy()))
        state[name] = state[name].index_add(0, positions, values[keep].float())


def task_vector_of(model: PreTrainedModel, base: str | Path, vocabulary: Vocabulary) -> TaskVector:
    """Return θ − θ₀ of a trained model with a compact embedding.

    Raises
    ------
    XlmergeError
        If a weight is not finite.
    """
    embedding = embedding_name(model)
    start = base_state(base, vocabulary, embedding)
    result = TaskVector({}, {})
    for name, before in start.items():
        delta = model.get_parameter(name).detach().float().cpu() - before
        if not torch.isfinite(delta).all():
            raise XlmergeError(f"the trained weight {name} is not finite: lower `finetune.learning_rate`")
        if name == embedding:
            changed = delta.ne(0).any(1)
            if changed.any():
                result.rows[name] = (torch.from_numpy(vocabulary.ids)[changed], delta[changed].contiguous())
        elif delta.ne(0).any():
            result.dense[name] = delta.contiguous()
    return result


def save_task_vector(task_vector: TaskVector, path: str | Path, storage: str, metadata: dict[str, Any]) -> str:
    """Write a task vector and return the file's digest.

    Parameters
    ----------
    storage : {"float32", "bfloat16", "float16"}
    metadata : dict
        At least ``base``: the digest of θ₀; loading against another base is an error.
    """
    dtype = DTYPES[storage]
    tensors = {name: delta.to(dtype) for name, delta in task_vector.dense.items()}
    for name, (rows, values) in task_vector.rows.items():
        tensors[name] = values.to(dtype)
        tensors[name + ROWS] = rows.to(torch.int32)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"xlmerge": json.dumps(metadata, sort_keys=True)})
        return digest_of_files(temporary)


def load_task_vector(path: str | Path, base: str, digest_file: str | Path | None = None) -> TaskVector:
    """Read a task vector.

    Parameters
    ----------
    path : path
    base : str
        Digest of the θ₀ that it will be added to.
    digest_file : path, optional
        If given, the file's bytes are verified against it.

    Raises
    ------
    XlmergeError
        If the file is damaged or belongs to another base.
    """
    if digest_file is not None:
        verify_file(path, digest_file)
    with _open(Path(path)) as file:
        require_base(path, file.metadata(), base)
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    rows = {name: (tensors[name + ROWS].long(), tensors[name]) for name in names if name + ROWS in tensors}
    dense = {n: t for n, t in tensors.items() if n not in rows and not n.endswith(ROWS)}
    return TaskVector(dense, rows)


def verify_task_vector(path: str | Path, digest_file: str | Path, base: str) -> dict[str, Any]:
    """Return a task vector's metadata; damage or another base is an error, see `verify` and `require_base`."""
    verify_file(path, digest_file)
    with _open(Path(path)) as file:
        return require_base(path, file.metadata(), base)


def require_base(path: str | Path, metadata: dict[str, str] | None, base: str) -> dict[str, Any]:
    """Return what a task vector's file says of it; raise an `XlmergeError` if it was taken against another base."""
    stated = dict(json.loads((metadata or {}).get("xlmerge", "{}")))
    if stated.get("base") != base:
        raise XlmergeError(
            f"{path} is a task vector against the base {stated.get('base')}, not {base}: retrain or use its base"
        )
    return stated
