"""How a training with more than one thread divides its work. Pure functions: no TensorFlow."""

LEAST_PART = 32
"""Images in a part of a batch: batch normalisation wants so many at once."""
WORTH_SHARING = 250e6
"""FLOPs of a part below which threads that share its operations are in each other's way: on two cores, two threads
trained batches of 32 images of 8x8 pixels 0.43 times as fast as one, and batches of 64 of 28x28 pixels 1.16 times."""


def branches_for(batch_size: int, threads: int) -> int:
    """Into how many parts a batch is best split on so many threads; each has at least `LEAST_PART` images."""
    return max(1, min(threads, batch_size // LEAST_PART))


def threads_for(batch_size: int, flops: int, threads: int) -> int:
    """How many of `threads` the parts of a batch are best trained on.

    Args:
        batch_size: Images in a batch.
        flops: Of the network for one image, forward.
        threads: That there are.
    """
    branches = branches_for(batch_size, threads)
    return threads if flops * batch_size / branches >= WORTH_SHARING else branches
