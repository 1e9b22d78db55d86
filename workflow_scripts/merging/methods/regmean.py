"""RegMean: linear layers merged so that their outputs stay near those of the sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.arithmetic import weighted_sum
from workflow_scripts.merging.grams import FreeGrams, Grams, MeasuredGrams
from workflow_scripts.merging.method import Examples, Method, Text, Wanted, inner_method, supervision_of
from workflow_scripts.merging.pieces import Context, Piece, Shape
from workflow_scripts.merging.streaming import Sources, Tensor

USES_WEIGHTS = True
INNER = ("anchor",)
RIDGE = 0.1  # with free statistics or an anchor


@dataclass(frozen=True)
class InputStatistics:
    """The sources' Gram matrices, and the merge that the solution is drawn to, with its first pass."""

    grams: Grams
    anchor: Method | None
    anchor_state: Any

    def close(self) -> None:
        """Close what was opened."""
        self.grams.close()
        if hasattr(self.anchor_state, "close"):
            self.anchor_state.close()


def regmean(
    piece: Piece,
    *,
    statistics: Annotated[
        Literal["measured", "free"],
        Field(
            description="Gram matrices of the layers' inputs on sentences, or τᵀτ/‖τ‖² of the task vectors: no data."
        ),
    ] = "measured",
    alpha: Annotated[
        float, Field(ge=0, le=1, description="Factor of the off-diagonal elements of a measured G.")
    ] = 0.9,
    progressive: Annotated[
        bool, Field(description="Measure a layer in a model whose layers below are merged already; not beforehand.")
    ] = False,
    text: Text = "sources",
    examples: Examples = 256,
    ridge: Annotated[
        float | None,
        Field(
            ge=0, description="ε in units of the mean diagonal of Σ wᵢGᵢ; null: 0.1 with `free` or an anchor, else 0."
        ),
    ] = None,
    anchor: Annotated[
        str | None, Field(description="Method whose merge the solution is drawn to, `tsv_m` for one; null: to 0.")
    ] = None,
    anchor_parameters: Annotated[dict[str, Any] | None, Field(description="Its parameters.")] = None,
) -> np.ndarray:
    """Return, for a linear layer, (Σ wᵢτᵢGᵢ + ε·τ_A)(Σ wᵢGᵢ + εI)⁻¹, and Σ wᵢτᵢ for everything else.

    ``statistics: measured``: Gᵢ = XᵢᵀXᵢ / n is the Gram matrix of the layer's inputs in source i, its off-diagonal
    elements times ``alpha``. ``free``: Gᵢ = τᵢᵀτᵢ/‖τᵢ‖²_F, for the matrices of the encoder's layers; with ridge → 0 the
    exact minimiser of WUDI's objective. ε = ridge·tr(Σ wᵢGᵢ)/d; τ_A is the anchor's merge, 0 without one. Where few
    sentences or few directions determine the solution, it is long without a ridge; an anchor keeps what they leave
    open. ``progressive``: layers are merged in order, and Gᵢ is what a layer of source i sees when its sentences come
    through the merged layers below (RegMean++); that is measured for each merge, and costs half a pass per layer. The
    equations are solved in float64. The solution is linear in Wᵢ, so it is taken of τᵢ: the same, with less
    rounding.

    Parameters
    ----------
    piece : Piece
        ``state``: `InputStatistics`; a matrix is a whole tensor.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Jin et al. 2022 (arXiv 2212.09849); free statistics: arXiv 2604.01329, 2603.02945, objective: WUDI, 2503.08099;
    progressive: arXiv 2508.03121; anchor: arXiv 2605.12843. Without a ridge, an input feature that is 0 in all sources
    says nothing about its weights: they are merged as Σ wᵢτᵢ.
    """
    state: InputStatistics = piece.state
    if not state.grams.covers(piece.tensor):
        return weighted_sum(piece.tau, piece.weights)
    left, right = _equations(piece, state.grams)
    trace = np.trace(left)
    strength = (RIDGE if statistics == "free" or anchor else 0.0) if ridge is None else ridge
    if strength and trace > 0:
        epsilon = strength * trace / len(left)
        left[np.diag_indices_from(left)] += epsilon
        if state.anchor is not None:
            towards = state.anchor(replace(piece, tau=piece.tau.copy(), state=state.anchor_state))
            right += epsilon * towards.reshape(piece.tensor.shape).T
    _fill_silent(left, right, piece)
    return np.linalg.solve(left, right).T.astype(np.float32).reshape(-1)


def _equations(piece: Piece, grams: Grams) -> tuple[np.ndarray, np.ndarray]:
    """Return Σ wᵢGᵢ, shape (in, in), and Σ wᵢGᵢτᵢᵀ, shape (in, out), in float64."""
    outputs, inputs = piece.tensor.shape
    left, right = np.zeros((inputs, inputs)), np.zeros((inputs, outputs))
    for source, (weight, values) in enumerate(zip(piece.weights, piece.tau, strict=True)):
        tau = values.reshape(outputs, inputs).astype(np.float64)
        gram = weight * grams.gram(source, piece.tensor, tau)
        left += gram
        right += gram @ tau.T
    return left, right


def _fill_silent(left: np.ndarray, right: np.ndarray, piece: Piece) -> None:
    """Make the equations of input features that are 0 in all sources those of the weighted mean."""
    silent = np.diagonal(left) == 0
    if silent.any():
        left[silent, silent] = 1
        matrices = piece.tau.reshape(-1, *piece.tensor.shape)[:, :, silent].astype(np.float64)
        right[silent] = np.tensordot(piece.weights, matrices, 1).T


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> InputStatistics:
    """Open the measurements, and make the anchor's first pass."""
    free = parameters["statistics"] == "free"
    grams: Grams = FreeGrams(context) if free else MeasuredGrams(context, parameters["alpha"])
    if parameters["anchor"] is None:
        return InputStatistics(grams, None, None)
    anchor = inner_method(parameters, "anchor")
    anchor.check_sources(len(context.names))
    return InputStatistics(grams, anchor, anchor.prepare(sources, context))


def shape(tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Shape:
    """Return ``"tensor"`` for what may be a linear layer's weight."""
    matrix = len(tensor.shape) == 2 and tensor.rows is None
    return "tensor" if matrix and context.layout.part(tensor.name) != "embedding" else "elementwise"


def measurement(parameters: Mapping[str, Any]) -> Wanted | None:
    """Return what has to be measured on every source."""
    if parameters["statistics"] == "free" or parameters["progressive"]:
        return None
    return Wanted("gram", {"examples": parameters["examples"]}, parameters["text"])


def texts(parameters: Mapping[str, Any], target: str, sources: Sequence[str]) -> list[tuple[str, str]]:
    """Return the sentences that pass through what is merged so far: each source's own."""
    return [(source, "validation") for source in sources] if parameters["progressive"] else []


def measure(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    entry: Mapping[str, Any],
    base: str,
    max_length: int,
    seed: int,
    folder: Path,
) -> dict[str, Path]:
    """Measure the Gram matrices along with the merge; see `progressive.measure_upwards`."""
    if not parameters["progressive"]:
        return {}
    from workflow_scripts.merging.progressive import measure_upwards

    return measure_upwards("regmean", parameters, inputs, entry, base, max_length, seed, folder)


def supervision(parameters: Mapping[str, Any]) -> str:
    """Return what the method sees of the target."""
    return "none" if parameters["statistics"] == "free" else supervision_of(parameters["text"])


def needs_base(parameters: Mapping[str, Any]) -> bool:
    """Return whether the anchor needs θ₀."""
    return parameters["anchor"] is not None and inner_method(parameters, "anchor").needs_base


def check(parameters: Mapping[str, Any]) -> None:
    """Raise an `XlmergeError` if the anchor does not work on pieces or has no weight, or nothing can be measured."""
    if parameters["progressive"] and (parameters["statistics"], parameters["text"]) != ("measured", "sources"):
        raise XlmergeError("regmean: `progressive` needs `statistics: measured` and `text: sources`")
    if parameters["anchor"] is None:
        return
    if inner_method(parameters, "anchor").combines:
        raise XlmergeError(f"regmean: the anchor cannot be {parameters['anchor']}, which is made of other merges")
    if parameters["ridge"] == 0:
        raise XlmergeError("regmean: an anchor has no effect with `ridge: 0`")
