"""A real Slurm on this machine: one node, pretend GPUs, loopback only, nothing left behind.

    python -m tests.cluster.one_node_slurm                     # a shell in which sbatch, squeue and Snakemake work
    python -m tests.cluster.one_node_slurm snakemake --profile slurm --configfile presets/tiny.yaml

Needs root and Debian's ``slurm-wlm`` and ``munge`` (or their like); no systemd, no cgroups, no accounting database.
Partitions: ``cpu``, ``gpu``, and ``urgent``, whose jobs preempt those of the others. A pretend GPU is a character device
that behaves like /dev/null: Slurm grants it and sets CUDA_VISIBLE_DEVICES, and no library finds a real device behind it.
A job that outgrows its memory is killed.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# Where Slurm's tools look by themselves. Needed besides SLURM_CONF: Snakemake's job step clears SLURM_* before `srun`.
SITE_CONF = Path("/etc/slurm/slurm.conf")
LINK = Path("/run/slurm/conf/slurm.conf")
LOCK = Path("/run/lock/one-node-slurm.lock")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "setpriv")
SEARCH = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"]
)
PREFIX = "one-node-slurm-"
NULL_DEVICE = os.makedev(1, 3)

# One line per event into the folder's `events`: time, what, job, step, GPU. A task sees the GPU that Slurm granted it.
RECORD = """\
#!/bin/sh
echo "$(date +%s.%N) {event} $SLURM_JOB_ID ${{SLURM_STEP_ID:-batch}} ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/events
"""

SLURM_CONF = """\
ClusterName=onenode
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=200000,bf_interval=2
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/none
MinJobAge=3600
ReturnToService=2
KillWait=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
InactiveLimit=0
SlurmdParameters=config_overrides
DefMemPerCPU=500
TaskProlog={folder}/task_prolog
Epilog={folder}/epilog
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
PartitionName=urgent Nodes={host} MaxTime=INFINITE PriorityTier=10 State=UP
"""


class Event(NamedTuple):
    """Something that happened to a job's task: when, ``start`` or ``end``, job, step (``batch`` for the script), GPU."""

    time: float
    what: str
    job: str
    step: str
    gpu: str


class SlurmError(RuntimeError):
    """The cluster did not come up; the text says why, with the end of the daemon's log."""


def why_unavailable() -> str | None:
    """Return why no cluster can be started here, or None."""
    if sys.platform != "linux":
        return "Slurm runs on Linux"
    missing = [p for p in PROGRAMS if shutil.which(p, path=SEARCH) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "starting Slurm's daemons and making pretend GPUs needs root"
    if SITE_CONF.exists() or (LINK.exists() and not LINK.is_symlink()):
        return "this machine has a Slurm of its own"
    return None


class OneNodeSlurm:
    """A cluster as a context manager.

    Parameters
    ----------
    gpus : int
        Pretend GPUs.
    cpus : int
        CPUs that the node claims to have; more than the machine has is fine.
    memory_mb : int
        Memory that the node claims to have.

    Attributes
    ----------
    folder : Path
        Configuration, state and logs of the daemons; removed at the end.
    environment : dict
        What a client needs in its environment: SLURM_CONF and a PATH with the tools.
    """

    def __init__(self, gpus: int = 2, cpus: int = 8, memory_mb: int = 64_000) -> None:
        self.gpus, self.cpus, self.memory_mb = gpus, cpus, memory_mb
        self.folder = Path()
        self.environment: dict[str, str] = {}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: int | None = None

    def __enter__(self) -> "OneNodeSlurm":
        reason = why_unavailable()
        if reason:
            raise SlurmError(reason)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.folder.chmod(0o755)
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": SEARCH}
        try:
            self._lock = take_turn(600)
            self._configure()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *command: str, timeout: float = 60) -> str:
        """Run one of Slurm's tools and return its standard output."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise SlurmError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return every job since the start, as scontrol shows it (fields by name, times as text)."""
        lines = self.run("scontrol", "show", "job", "--detail", "--oneliner").splitlines()
        return [
            dict(field.split("=", 1) for field in line.split() if "=" in field)
            for line in lines
            if line.startswith("JobId=")
        ]

    def events(self) -> list[Event]:
        """Return when tasks started and jobs ended, and the GPU that each task saw."""
        path = self.folder / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        fields = [line.split() for line in lines]
        return [Event(float(time_), *rest) for time_, *rest in fields if len(rest) == 4]

    def _configure(self) -> None:
        """Write the configuration, the key and the pretend devices."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        for i in range(self.gpus):
            os.mknod(self.folder / f"gpu{i}", 0o666 | 0o020000, NULL_DEVICE)  # a character device
        for name, event in (("task_prolog", "start"), ("epilog", "end")):
            script = self.folder / name
            script.write_text(RECORD.format(event=event, folder=self.folder))
            script.chmod(0o755)
        devices = f"{self.folder}/gpu0" if self.gpus == 1 else f"{self.folder}/gpu[0-{self.gpus - 1}]"
        (self.folder / "gres.conf").write_text(f"Name=gpu File={devices}\n")
        settings = SLURM_CONF.format(
            host=socket.gethostname().split(".")[0],
            folder=self.folder,
            ports=free_ports(2),
            cpus=self.cpus,
            memory_mb=self.memory_mb,
            gpus=self.gpus,
        )
        (self.folder / "slurm.conf").write_text(settings)
        LINK.parent.mkdir(parents=True, exist_ok=True)
        if LINK.is_symlink():  # of a cluster that was killed: this one holds the lock
            if LINK.readlink().parent.name.startswith(PREFIX):
                shutil.rmtree(LINK.readlink().parent, ignore_errors=True)
            LINK.unlink()
        LINK.symlink_to(self.folder / "slurm.conf")

    def _start(self) -> None:
        """Start the daemons in their order and run a first job."""
        files = {name: f"--{name}={self.folder}/munge.{end}" for name, end in MUNGE_FILES.items()}
        self._daemon("munged", "--foreground", "--force", *files.values())
        wait_for((self.folder / "munge.socket").exists, 20, lambda: self._report("munged"))
        self._daemon("slurmctld", "-D", "-c")
        self._daemon("slurmd", "-D")
        wait_for(self._idle, 30, lambda: self._report("slurmctld", "slurmd"))
        self.run("srun", "--partition=cpu", "true", timeout=30)

    def _daemon(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=SEARCH)
        assert program is not None
        with open(self.folder / f"{name}.out", "wb") as output:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", program, *arguments],  # however this process ends, the daemon does too
                env={**os.environ, **self.environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _idle(self) -> bool:
        for name, process in self._daemons.items():
            if process.poll() is not None:
                raise SlurmError(f"{name} ended by itself\n{self._report(name)}")
        try:
            return self.run("sinfo", "--noheader", "--format=%T").split() == ["idle"]
        except (SlurmError, subprocess.TimeoutExpired):
            return False

    def _report(self, *names: str) -> str:
        """Return the end of the daemons' output and logs."""
        files = [self.folder / f"{name}.{end}" for name in names for end in ("out", "log")]
        return "\n".join(f"{f.name}:\n{f.read_text(errors='replace')[-2000:]}" for f in files if f.exists())

    def stop(self) -> None:
        """Cancel what runs, stop the daemons, end what they left, remove the folder. Safe to call twice."""
        if not self.environment:
            return
        if "slurmd" in self._daemons:
            with contextlib.suppress(SlurmError, subprocess.TimeoutExpired):
                self.run("scancel", "--user=root", timeout=10)
                wait_for(lambda: not self.run("squeue", "--noheader", timeout=10).strip(), 15, str)
        for name in reversed(list(self._daemons)):
            end(self._daemons[name])
        for pid in self._left_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._daemons.clear()
        if LINK.is_symlink() and LINK.readlink().parent == self.folder:
            LINK.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        self.environment = {}

    def _left_over(self) -> list[int]:
        """Processes of this very cluster: they carry the path of its configuration in their environment."""
        mark = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in entry.read_bytes().split(b"\0") and int(entry.parent.name) != os.getpid():
                    found.append(int(entry.parent.name))
        return found


MUNGE_FILES = {
    "key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed",
}  # fmt: skip


def take_turn(seconds: float) -> int:
    """Wait until no other one-node cluster is up on this machine; the returned descriptor holds the turn."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def taken() -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    try:
        wait_for(taken, seconds, lambda: "another one-node cluster is up on this machine")
    except SlurmError:
        os.close(descriptor)
        raise
    return descriptor


def free_ports(number: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def wait_for(condition: Callable[[], bool], seconds: float, report: Callable[[], str]) -> None:
    """Wait until `condition` holds; raise a `SlurmError` with the report if it does not in time."""
    end_time = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end_time:
            raise SlurmError(f"waited {seconds:g} s in vain\n{report()}")
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a daemon, by force if it does not listen."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Bring up a cluster, run a command (or a shell) in it, tear it down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--gpus", type=int, default=2, help="pretend GPUs (2)")
    parser.add_argument("--cpus", type=int, default=8, help="CPUs the node claims to have (8)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run in the cluster; default: a shell")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with OneNodeSlurm(options.gpus, options.cpus) as cluster:
            command = options.command or [os.environ.get("SHELL", "/bin/sh")]
            print(f"Slurm is up; export SLURM_CONF={cluster.environment['SLURM_CONF']} to use it elsewhere", flush=True)
            return subprocess.run(command, env={**os.environ, **cluster.environment}, check=False).returncode
    except SlurmError as error:
        print(f"one_node_slurm: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
