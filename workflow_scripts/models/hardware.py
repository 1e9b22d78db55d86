"""What the machine can do."""

import torch


def has_bfloat16() -> bool:
    """Tell whether the GPU, or without one the CPU, multiplies bfloat16 natively."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())
