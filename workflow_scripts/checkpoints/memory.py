"""How much memory a merge will take, roughly."""

from collections.abc import Sequence

from workflow_scripts.merging.method import Method, Step, load_method
from workflow_scripts.merging.pieces import Context
from workflow_scripts.merging.streaming import PIECE, Tensor

PROCESS = 450 << 20  # bytes: Python, torch and transformers' config classes, the heap that the engine keeps
WORKING = 6  # copies of a piece that a method makes, and double precision


def expected_memory(steps: Sequence[Step], context: Context) -> int:
    """Return the expected peak memory in bytes."""
    largest = max((_largest_piece(load_method(s.method, s.parameters), s, context) for s in steps), default=0)
    return PROCESS + 4 * largest * (len(context.names) + WORKING)


def _largest_piece(method: Method, step: Step, context: Context) -> int:
    """Return the elements of the largest piece that a method asks for."""
    if method.combines:
        return max(_largest_piece(inner, step, context) for inner in method.inner.values())
    tensors = [Tensor(n, context.layout.shapes[n], None, 0) for n in step.tensors or ()]
    asked = {t.name: method.shape(t, context) for t in tensors}
    whole = [t.size for t in tensors if asked[t.name] == "tensor"]
    rows = [t.width if len(t.shape) > 1 else t.size for t in tensors if asked[t.name] == "rows"]
    return max([PIECE, *whole, *rows])
