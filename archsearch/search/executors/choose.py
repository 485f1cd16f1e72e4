"""Which executor a search runs on, and with how many workers."""

import logging
import os

from archsearch.errors import InputError
from archsearch.search.config import MOST_WORKERS_A_CORE, SearchConfig, cores
from archsearch.search.executors.base import Executor
from archsearch.search.executors.gpus import gpus, tensorflow_sees_one
from archsearch.search.executors.local import LocalExecutor
from archsearch.training.environment import VISIBLE

logger = logging.getLogger(__name__)

UNUSABLE = (
    "found a GPU that TensorFlow cannot use; it needs CUDA's libraries: pip install 'tensorflow[and-cuda]', "
    f"or {VISIBLE}=-1 to do without the GPU"
)


def executor_for(config: SearchConfig) -> Executor:
    """The executor that `config` asks for, ready for jobs.

    Raises:
        InputError: There is no GPU, or no cluster, that could run them.
    """
    if config.executor == "ray":
        from archsearch.search.executors.ray import RayExecutor  # an extra

        return RayExecutor(
            config.workers, config.cpus_per_trial or 1.0, config.gpus_per_trial or 0.0, config.trial_timeout
        )
    return local_executor(config.workers, config.workers_per_gpu, config.trial_timeout)


def local_executor(workers: int | None, per_gpu: int | None = None, timeout: float | None = None) -> LocalExecutor:
    """An executor on this machine and its GPUs.

    Raises:
        InputError: `per_gpu` is given and there is no GPU that TensorFlow can use, or there are far more workers than
            cores.
    """
    devices = gpus(os.environ.get(VISIBLE))
    if devices and not tensorflow_sees_one():
        if per_gpu is not None:
            raise InputError(f"workers-per-gpu: {UNUSABLE}")
        logger.warning("%s; until then, candidates train on the CPU", UNUSABLE)
        devices = ()
    wanted, most = workers or workers_for(len(devices), per_gpu, cores()), MOST_WORKERS_A_CORE * cores()
    if wanted > most:
        raise InputError(f"workers: found {wanted}, expected at most {most} on a machine of {cores()} cores")
    return LocalExecutor(wanted, timeout, devices)


def workers_for(devices: int, per_gpu: int | None, cores: int) -> int:
    """How many workers suit a machine.

    Args:
        devices: GPUs.
        per_gpu: Workers that share one; None is one for each.
        cores: Of the CPU, which count where there is no GPU.
    """
    if per_gpu is not None and not devices:
        raise InputError(
            f"workers-per-gpu: found no GPU; nvidia-smi -L lists those there are, and {VISIBLE} hides some"
        )
    return devices * (per_gpu or 1) or cores
