"""Which calls are decode steps: they have a kernel of their own, and results of tuning of their own."""

DECODE_ROWS = 16
"""Up to this many queries the kernel for few rows is the quicker one; on GPUs, one that packs the heads of a group."""
