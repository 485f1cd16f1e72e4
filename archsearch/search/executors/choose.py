"""Which executor a search runs on."""

from archsearch.search.config import SearchConfig, cores
from archsearch.search.executors.base import Executor
from archsearch.search.executors.local import LocalExecutor


def executor_for(config: SearchConfig) -> Executor:
    """The executor that `config` asks for, ready for jobs.

    Raises:
        InputError: There is no cluster that could run them.
    """
    if config.executor == "ray":
        from archsearch.search.executors.ray import RayExecutor  # an extra

        return RayExecutor(
            config.workers, config.cpus_per_trial or 1.0, config.gpus_per_trial or 0.0, config.trial_timeout
        )
    return LocalExecutor(config.workers or cores(), config.trial_timeout)
