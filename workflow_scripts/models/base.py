"""θ₀: the pretrained encoder plus one seeded classification head, the start of every fine-tune of a run."""

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import model_info, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from workflow_scripts.core import registry
from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.downloads import drop_damaged, shared
from workflow_scripts.core.errors import XlmergeError, did_you_mean
from workflow_scripts.core.paths import user_cache

ENCODER_FORMAT = 1  # raise it when a built-in encoder's folder changes


def build_base(name: str, revision: str | None, labels: list[str], head_seed: int, folder: str | Path) -> str | None:
    """Write θ₀ and its tokenizer as a Hugging Face folder.

    Parameters
    ----------
    name : str
        A built-in encoder, a local folder, or a hub id.
    revision : str or None
        Branch, tag or commit of a hub id.
    labels : list of str
        Ordered; they become ``id2label``.
    head_seed : int
        Seed of the head (and of a pooler that the checkpoint lacks).
    folder : path
        Made atomically.

    Returns
    -------
    str or None
        The commit that a hub id's files were taken from.

    Raises
    ------
    XlmergeError
        If the encoder cannot be found or its weights do not match its architecture.
    """
    source, asks_hub = encoder_folder(name), False
    if not Path(source).is_dir():
        if snapshot := _snapshot(source, revision):
            drop_damaged(snapshot)
        asks_hub = hub_has(source, revision)
    model = _load(source, revision, labels, derive_seed("head", head_seed), asks_hub)
    tokenizer = _tokenizer(source, revision, asks_hub)
    tokenizer.model_max_length = min(tokenizer.model_max_length, _positions(model))
    with atomic_path(folder) as temporary:
        model.save_pretrained(temporary, max_shard_size="1TB")  # one file: it is read tensor by tensor
        tokenizer.save_pretrained(temporary)
    snapshot = None if Path(source).is_dir() else _snapshot(source, revision)
    return snapshot.name if snapshot else None


def _snapshot(name: str, revision: str | None) -> Path | None:
    """Return the folder that the hub's cache has for a hub id; it is called by its commit."""
    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:  # a path
        return None
    return Path(config).parent if isinstance(config, str) else None


def hub_has(name: str, revision: str | None = None) -> bool:
    """Ask the hub for a model, once, where the libraries try for a minute; False if only the hub's cache has it.

    Raises
    ------
    XlmergeError
        If the hub has no such model, or it cannot be reached and its cache has none.
    """
    try:
        model_info(name, revision=revision, timeout=10)
    except RepositoryNotFoundError:
        problem = "the hub has no such model that you may read: check the spelling"
    except RevisionNotFoundError:
        problem = f"the hub has it, but no revision {revision!r}"
    except HFValidationError:
        problem = "it cannot be the name of a model on the hub either"
    except Exception as error:  # no network: each version of the hub's client has errors of its own
        problem = (
            f"the hub cannot be reached ({error}): check the spelling, or run `hf download {name}` where there is a "
            "network and copy that machine's hub cache (HF_HOME)"
        )
    else:
        return True
    if _snapshot(name, revision) is None:
        near = did_you_mean(name, registry.names("encoder"))
        raise XlmergeError(f"{name!r} is neither a folder nor a built-in encoder; {problem}{near}")
    return False


def encoder_folder(name: str) -> str:
    """Return what transformers should load for a base's name; a built-in encoder is verified, or built."""
    if name not in registry.names("encoder"):
        folder = Path(name).expanduser()
        return str(folder) if folder.is_dir() else name
    return str(shared(user_cache() / f"{name}-v{ENCODER_FORMAT}", registry.load("encoder", name).build))


def _load(source: str, revision: str | None, labels: list[str], seed: int, asks_hub: bool) -> PreTrainedModel:
    id2label = dict(enumerate(labels))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            model, report = AutoModelForSequenceClassification.from_pretrained(
                source,
                revision=revision,
                num_labels=len(labels),
                id2label=id2label,
                label2id={v: k for k, v in id2label.items()},
                dtype=torch.float32,
                local_files_only=not asks_hub,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
        except (OSError, ValueError) as error:
            raise _unusable(source, error) from error
        except (pickle.UnpicklingError, EOFError, RuntimeError, SafetensorError) as error:
            if type(error) is RuntimeError and "PytorchStreamReader" not in str(error):
                raise
            raise _damaged_weights(source) from None  # torch's own words advise to let the file run
    _check(report, model, source)
    return model


def _tokenizer(source: str, revision: str | None, asks_hub: bool) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, local_files_only=not asks_hub)
    except (OSError, ValueError, ImportError) as error:
        raise _unusable(source, error) from error
    if tokenizer.pad_token_id is None:
        raise XlmergeError(f"base {source!r} has no padding token: name one in its tokenizer_config.json")
    return tokenizer


def _unusable(source: str, error: Exception) -> XlmergeError:
    return XlmergeError(
        f"base {source!r} cannot be loaded as an encoder: {error}\nGive a folder with config.json, weights and "
        "tokenizer, or the hub id of such a model."
    )


def _damaged_weights(source: str) -> XlmergeError:
    pickled = Path(source).is_dir() and not list(Path(source).glob("*.safetensors"))
    return XlmergeError(
        f"base {source!r}: its pickled weights (`pytorch_model.bin`) are damaged, or hold code, which is never run. "
        "Get the checkpoint again, as `model.safetensors`"
        if pickled
        else f"base {source!r}: its weights are damaged; get the checkpoint again"
    )


def _positions(model: PreTrainedModel) -> int:
    """Return how many tokens an encoder has positions for; RoBERTa's kin count from behind the padding token's id."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return sys.maxsize  # relative or rotary positions


def _check(report: dict[str, set[str]], model: PreTrainedModel, source: str) -> None:
    """Refuse a checkpoint that leaves part of the encoder at random; heads and poolers may be new."""
    prefix = f"{model.base_model_prefix}."
    missing = sorted(k for k in report["missing_keys"] if k.startswith(prefix) and not re.search(r"\bpooler\b", k))
    mismatched = sorted(str(k) for k in report["mismatched_keys"])
    if missing or mismatched:
        raise XlmergeError(
            f"base {source!r} does not match its own config: missing {missing[:5]}, of another shape {mismatched[:5]}. "
            "Check config.json against the weights, or give a bare encoder without a head of another size."
        )
