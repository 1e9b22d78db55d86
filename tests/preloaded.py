"""A process that has the heavy libraries loaded and forks Snakemake and its jobs: tests do not wait for imports.

Whoever asks it (`run`) gets what a new Python would do: arguments, folder, environment, output and exit code are
the same, and who dies takes with it what it asked for. It holds no module of the project: each fork imports those
that it finds. Libraries read some variables while they are loaded, such as where the hub's cache is: runs that need
others, and tests that kill processes, start the true command.
"""

import contextlib
import gc
import importlib
import json
import logging
import os
import runpy
import select
import signal
import site
import socket
import subprocess
import sys
import traceback
import warnings
from typing import Any, NoReturn

LIBRARIES = (
    "snakemake.cli", "snakemake.profiles", "snakemake.script", "snakemake.report.html_reporter",
    "snakemake.storage", "snakemake_executor_plugin_slurm", "argparse_dataclass",
    "nbformat", "rich._emoji_codes", "smart_open", "urllib3.util.retry", "torch", "torch._dynamo", "transformers",
    "transformers.trainer", "transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert", "transformers.models.bloom.modeling_bloom",
    "transformers.models.xlm_roberta.modeling_xlm_roberta", "tokenizers.trainers", "sentencepiece", "accelerate",
    "peft", "datasets", "safetensors.numpy", "safetensors.torch", "lang2vec.lang2vec", "numpy", "pandas",
    "pyarrow.parquet", "pyarrow.pandas_compat", "pandas.io.formats.csvs", "pydantic", "scipy.cluster.hierarchy",
    "scipy.stats", "sklearn.cluster", "sklearn.ensemble", "statsmodels.api", "matplotlib.backends.backend_agg",
    "matplotlib.pyplot", "plotly.graph_objs.heatmap", "plotly.offline", "PIL.ImageOps", "jinja2", "tabulate",
    "xxhash", "hassil", "home_assistant_intents",
)  # fmt: skip
ADDRESS = "XLMERGE_PRELOADED"  # the variable that says where to ask
MAX_BYTES = 100_000
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def start(address: str) -> "subprocess.Popen[bytes]":
    """Start the process; it loads the libraries when it is first asked, and ends when its standard input is closed."""
    from workflow_scripts.core.environment import DEFAULTS

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        command = [sys.executable, __file__, str(listener.fileno())]
        variables = {**os.environ, **DEFAULTS, **ONE_THREAD}
        return subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])


def run(
    address: str, arguments: list[str], directory: str, environment: dict[str, str], output: tuple[int, int]
) -> int:
    """Run a Python command line (a script, or ``-m`` and a module, then arguments) in a fork; return its exit code."""
    asked = {"arguments": arguments, "directory": directory, "environment": environment}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(asked).encode()], list(output))
        answer = connection.recv(MAX_BYTES)
    if not answer:
        raise RuntimeError("the preloaded process did not answer")
    return int(answer)


def serve(listener: socket.socket) -> None:
    """Fork for whoever asks, until standard input is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loaded = False
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        if not loaded:
            load()
            loaded = True
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            supervise(connection)
        connection.close()


def load() -> None:
    """Import the libraries, and let no collection of garbage write to their memory, which forks share."""
    del sys.path[0]  # this file's folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def supervise(connection: socket.socket) -> NoReturn:
    """Fork what is asked for; send its exit code, or kill it when nobody waits for it any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, output, _, _ = socket.recv_fds(connection, MAX_BYTES, 2)
    asked = json.loads(message)
    child = os.fork()
    if child == 0:
        connection.close()
        become(output, **asked)
    for descriptor in output:
        os.close(descriptor)
    ended = os.pidfd_open(child)
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        connection.send(str(code).encode())
    os._exit(0)


def become(output: list[int], arguments: list[str], directory: str, environment: dict[str, str]) -> NoReturn:
    """Do in this process what a new Python would do with these arguments."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, copy in enumerate((nothing, *output)):
        os.dup2(copy, descriptor)
        os.close(copy)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    module = arguments[0] == "-m"
    sys.argv = arguments[module:]
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [os.getcwd() if module else os.path.dirname(arguments[0]), *filter(None, folders)]
    sys.modules.pop("sitecustomize", None)
    site.execsitecustomize()
    code: Any = 0
    try:
        if sys.argv[0] == "snakemake":
            fork_jobs()
        if module:
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def fork_jobs() -> None:
    """Let the Snakemake of this process ask for forks instead of starting Python for its script jobs."""
    from snakemake.script import PythonScript

    def execute_script(self: Any, fname: str, edit: bool = False) -> None:
        variables = {**os.environ, "TMPDIR": str(self.resources["tmpdir"]), "OMP_NUM_THREADS": str(self.threads)}
        code = run(variables[ADDRESS], [fname], os.getcwd(), variables, (1, 2))
        if code:
            raise subprocess.CalledProcessError(code, fname)

    PythonScript.execute_script = execute_script


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
