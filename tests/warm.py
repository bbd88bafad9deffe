"""Python processes that start with torch, transformers and other large libraries loaded.

Importing them takes several seconds of CPU, and the suite starts many processes. A server imports
them once, and each process of a test is then a fork of it: a real process with a pid, signals and
an exit status of its own. It imports `distillery` itself, so a missing import still shows.

    python tests/warm.py serve SOCKET PYTHON
    python -SE tests/warm.py call SOCKET -m distillery --help

What follows `call SOCKET` is what would follow `python`: `-m MODULE`, `-c CODE` or a script, and
arguments. Environment, folder, open files and exit status are those of the caller. PYTHON
is a program that does such a call: the processes find it in `sys.executable`, so that those they
start are warm too.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
from typing import Any

MOST = 100  # files that a process is given, and the number of none of them
LIBRARIES = (
    "accelerate.commands.launch",
    "matplotlib.pyplot",
    "onnxruntime",
    "pyarrow.parquet",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "tokenizers",
    "torch.utils.tensorboard",
    "tqdm",
    "transformers.models.bert.modeling_bert",
    "transformers.pipelines",
    "transformers.trainer",
)


class Process:
    """A process of the server, with the part of `subprocess.Popen` that the tests use.

    It leads a process group of its own, which is killed when the caller ends before it.

    streams: number in the new process -> file descriptor here.
    """

    def __init__(
        self,
        path: str,
        args: list[str],
        streams: dict[int, int],
        environment: dict[str, str] | None = None,
    ) -> None:
        self.args = args
        self.returncode: int | None = None
        request = {
            "args": args,
            "streams": list(streams),
            "environment": dict(os.environ if environment is None else environment),
            "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes longer to import than all else here
        }
        message = json.dumps(request).encode()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(path)
        socket.send_fds(self._server, [len(message).to_bytes(4, "big")], [*streams.values()])
        self._server.sendall(message)
        self._answers = self._server.makefile()
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """The exit status, negative where a signal ended it; None while it runs."""
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the exit status; TimeoutError after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._server], [], [], timeout)[0]:
                raise TimeoutError(f"{self.args} still runs after {timeout} seconds")
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._server.close()
        return self.returncode


def call(path: str, args: list[str]) -> int:
    """Runs a process as if it were this one; gives its exit status as a shell does."""
    process = Process(path, args, {number: number for number in _inherited()})
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(process.pid, number))
    status = process.wait()
    return 128 - status if status < 0 else status


def _inherited() -> list[int]:
    """The standard streams and other files that a shell has opened for this process."""
    numbers = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):  # the one that lists them is closed by now
            if os.get_inheritable(int(name)):
                numbers.append(int(name))
    return numbers


def serve(path: str, python: str) -> list[str]:
    """Starts processes until standard input ends. Returns in each of them, with its arguments."""
    import gc
    import importlib

    for name in LIBRARIES:
        importlib.import_module(name)
    sys.executable = python
    gc.freeze()  # so that no collection in a fork copies every page of the libraries
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)
    guards: set[int] = set()
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if listener not in ready:
            os._exit(0)
        guards -= {guard for guard in guards if os.waitpid(guard, os.WNOHANG)[0]}
        connection, _ = listener.accept()
        guard = os.fork()
        if guard == 0:
            listener.close()
            return _guard(connection)
        guards.add(guard)
        connection.close()


def _guard(connection: socket.socket) -> list[str]:
    """Forks the process that a caller asks for, which returns its arguments; waits for it, and
    kills it where the caller is gone first."""
    length, streams, _, _ = socket.recv_fds(connection, 4, MOST)
    with connection.makefile("rb") as message:
        request = json.loads(message.read(int.from_bytes(length, "big")))
    ended, alive = os.pipe()  # no other process holds the second end
    pid = os.fork()
    if pid == 0:
        os.close(ended)
        connection.close()
        fcntl.fcntl(alive, fcntl.F_DUPFD_CLOEXEC, 2 * MOST)  # out of the way of the streams
        os.close(alive)
        _become(request, streams)
        return list(request["args"])
    os.close(alive)
    os.setpgid(pid, pid)  # here too, so that the group exists before the caller knows of it
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{pid}\n".encode())
    if ended not in select.select([ended, connection], [], [])[0]:
        os.killpg(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        connection.sendall(f"{status}\n".encode())
    finally:
        os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Takes over the streams, environment and folder of the caller."""
    os.setpgid(0, 0)
    moved = [fcntl.fcntl(stream, fcntl.F_DUPFD_CLOEXEC, MOST) for stream in streams]
    for stream in streams:
        os.close(stream)
    for number, stream in zip(request["streams"], moved, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(args: list[str]) -> None:
    """Does what `python ARGS` does."""
    import runpy
    from pathlib import Path

    sys.orig_argv = [sys.executable, *args]
    if args[0] == "-u":
        args = args[1:]
    more = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [str(Path.cwd()), *filter(None, more)]
    if args[0] == "-c":
        sys.argv = ["-c", *args[2:]]
        exec(compile(args[1], "<string>", "exec"), {"__name__": "__main__"})
    elif args[0] == "-m":
        sys.argv = ["-m", *args[2:]]
        runpy.run_module(args[1], run_name="__main__", alter_sys=True)
    else:
        assert not args[0].startswith("-"), f"{args[0]} is no option of python known here"
        sys.argv = args
        sys.path[0] = str(Path(args[0]).resolve().parent)
        runpy.run_path(args[0], run_name="__main__")


def _exit_after(args: list[str]) -> None:
    """Runs `python ARGS` and exits as it does, as forks of `multiprocessing` do: without the
    destructors of libraries, which may wait for threads that no fork has."""
    import atexit
    import threading
    import traceback

    status: object = 0
    try:
        run(args)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _exit_after(serve(*sys.argv[2:]))
    else:
        sys.exit(call(sys.argv[2], sys.argv[3:]))
