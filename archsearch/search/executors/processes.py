"""Child processes that find TensorFlow imported and not started, and leave the terminal alone."""

import atexit
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from typing import TYPE_CHECKING, Any

from archsearch.files import scratch
from archsearch.training.environment import ONE_THREAD, TENSORFLOW, environment, stderr_to

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

SERVER_LOST = 255
"""The exit code that multiprocessing gives to a child whose server can no longer say how it ended."""
PAUSES = (0.0, 0.1, 1.0)
"""Seconds to wait before a server that has died is asked again: a large process takes a moment to end."""
EXIT_SECONDS = 1.0
"""At most, between the last that is heard of a process that ends by itself, and its exit code."""
ANSWER_SECONDS, LOADING_SECONDS = 20, 120
"""How long a server may take to answer, and to load TensorFlow first; one that is stopped, or hangs, is killed then."""


def start(work: Callable[..., None], arguments: tuple[Any, ...], name: str) -> tuple[BaseProcess, Connection]:
    """Starts `work(connection, *arguments)` in a child, which Ctrl-C does not reach; it dies with this process.

    Returns:
        The child, and our end of the connection.
    """
    context = _context()
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(work, theirs, arguments), name=name, daemon=True)
    with environment(TENSORFLOW | ONE_THREAD | _compiled()), stderr_to(os.devnull):
        _start(process)
    theirs.close()
    return process, ours


def end(process: BaseProcess, grace: float = 0.0) -> None:
    """Kills a child that has not ended after `grace` seconds, and returns once it has.

    Only the server can say so: one that does not is killed, too.
    """
    process.join(grace)
    process.kill()
    process.join(ANSWER_SECONDS)
    if process.is_alive():
        _kill_server()
        process.join()


def _start(process: BaseProcess) -> None:
    """Starts it, though the server may be killed while it is asked: as soon as that is over there is another one."""
    for pause in PAUSES:
        try:
            return _start_in_time(process)
        except (EOFError, OSError):
            time.sleep(pause)
    return _start_in_time(process)


_answered: set[int | None] = set()
"""Process numbers of servers that have loaded TensorFlow."""


def _start_in_time(process: BaseProcess) -> None:
    """Starts it; raises EOFError or OSError if the server has died, by our hand if it does not answer."""
    started = Event()
    patience = ANSWER_SECONDS if _server_pid() in _answered else LOADING_SECONDS

    def watch() -> None:
        # In steps: the time in which all processes of this search, or the machine, were stopped is none of its own.
        silent = stopped = 0
        while not started.wait(1.0):
            silent, stopped = silent + 1, stopped + _is_stopped(_server_pid())
            if silent >= patience or stopped >= ANSWER_SECONDS:
                _kill_server()
                return

    Thread(target=watch, daemon=True).start()
    try:
        if "forkserver" in multiprocessing.get_all_start_methods():
            with _without_ctrl_c():
                forkserver.ensure_running()
        process.start()
    finally:
        started.set()
    _answered.add(_server_pid())


def _is_stopped(pid: int | None) -> bool:
    """Whether a process is known to be stopped, as by SIGSTOP; see proc_pid_stat(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def _server_pid() -> int | None:
    server: Any = forkserver._forkserver
    pid: int | None = server._forkserver_pid
    return pid


@atexit.register
def _kill_server() -> None:
    """Its children die with it; the next start finds that it has gone, and starts another one.

    At the end it would see by itself that nobody needs it any more, unless it is stopped.
    """
    if (pid := _server_pid()) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _child(work: Callable[..., None], connection: Connection, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is our parent's to answer, under Windows too
    end_with_parent()
    _let_server_end()
    work(connection, *arguments)


def end_with_parent() -> None:
    """Has the kernel kill this process as soon as its parent is gone, even if it hangs or is stopped by then.

    Of a worker that is the server; of the server, the thread that has started it. See prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _let_server_end() -> None:
    """The server ends when nobody holds the other end of a pipe any more, of which every child is given a copy, for
    servers of its own.
    """
    server: Any = forkserver._forkserver
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None


@cache
def _compiled() -> dict[str, str]:
    """Has children find what others have compiled, as long as this process lives."""
    folder = tempfile.mkdtemp(prefix="compiled-", dir=scratch())
    if " " in folder:  # the flags know no quotes
        return {}
    where = f"--tf_xla_persistent_cache_directory={folder}"
    return {"TF_XLA_FLAGS": f"{where} --tf_xla_persistent_cache_device_types=CPU,XLA_CPU_JIT"}


def configure_tensorflow(threads: int, branches: int = 1) -> None:
    """What a child does first: `threads` of the CPU, and no work on a graph that a short training never wins back.

    Args:
        threads: In all.
        branches: Operations that run side by side and share the threads.
    """
    import tensorflow as tf

    # Rewriting graphs takes a tenth of a second, and on a CPU no step is faster for it.
    if not tf.config.list_physical_devices("GPU"):
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    tf.config.threading.set_intra_op_parallelism_threads(max(1, threads // branches))
    tf.config.threading.set_inter_op_parallelism_threads(branches)


def how_ended(process: BaseProcess) -> str:
    """How a child that has ended did so, as the end of a sentence: with an exit code, or killed by a signal."""
    code = process.exitcode or 0
    if code >= 0:
        lost = ", as it does when the server that it was forked from is killed" if code == SERVER_LOST else ""
        return f"ended with exit code {code}{lost}"
    hint = "; out of memory is the usual reason" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Holds SIGINT back for a while; a server that is started meanwhile, and its workers, never get it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # Left to the server's start, this would let SIGINT through again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _context() -> "ForkServerContext | SpawnContext":
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # It would end with another thread than the main one, too, and others may have workers by then.
    ends = ["archsearch.search.executors.server"] if current_thread() is main_thread() else []
    context.set_forkserver_preload([*ends, "archsearch.training.crossval"])
    return context
