"""Loaded first by the server that workers are forked from: from then on it ends with its parent, and they with it.

Left alone, it looks whether that is still there only once TensorFlow is loaded, and then only when nothing stops it;
and a worker would end with the server only once it has loaded what it is to do.
"""

import os

from archsearch.search.executors.processes import end_with_parent

_SERVER = os.getpid()


def _end_with_server() -> None:
    if os.getppid() == _SERVER:  # not what a user's code forks from a worker
        end_with_parent()


end_with_parent()
os.register_at_fork(after_in_child=_end_with_server)
