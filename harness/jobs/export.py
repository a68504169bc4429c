"""The job file of one run: for Slurm, SkyPilot or Kubernetes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from harness.errors import HarnessError

Format = Literal["slurm", "skypilot", "kubernetes"]
FORMATS: tuple[Format, ...] = get_args(Format)
WARNING_SECONDS = 120  # before the end of its time, a job is told to save its state
PORT = 29_500

SLURM = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node={ranks}{gpus}
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@{seconds}
#SBATCH --requeue
#SBATCH --open-mode=append

export HARNESS_HOME={home}  # on a disk that all nodes share
srun --kill-on-bad-exit=0 {command}
status=$?
# SIGUSR1 ended it with its state saved: the same job continues later.
[ $status = 138 ] && exec scontrol requeue "$SLURM_JOB_ID"
exit $status
"""

SKYPILOT = """\
name: {name}
num_nodes: {nodes}
resources:
  accelerators: {accelerator}:{gpus}
workdir: .  # a clone of the harness
volumes:
  /harness: harness-home  # keeps what a lost machine has trained; a bucket cannot be written so
envs:
  HARNESS_HOME: /harness
setup: pip install -e .
run: |
  exec {command}
"""

KUBERNETES = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  clusterIP: None
  selector:
    job-name: {name}
  ports:
    - port: {port}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completions: {nodes}
  parallelism: {nodes}
  completionMode: Indexed
  backoffLimit: 100
  template:
    spec:
      subdomain: {name}
      restartPolicy: OnFailure
      terminationGracePeriodSeconds: {seconds}
      containers:
        - name: harness
          image: {image}
          command: ["/bin/sh", "-c"]
          args:
            - {shell}
          env:
            - name: HARNESS_HOME
              value: /harness
          resources:
            limits:
              nvidia.com/gpu: "{gpus}"
          volumeMounts:
            - name: home
              mountPath: /harness
            - name: shared-memory
              mountPath: /dev/shm
      volumes:
        - name: home
          persistentVolumeClaim:
            claimName: harness-home
        - name: shared-memory
          emptyDir:
            medium: Memory
"""


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What a job file asks for: so many GPUs on each of so many nodes, and the home of a Slurm job.

    ``accelerator`` is SkyPilot's name of the GPU, ``image`` the container of Kubernetes.
    """

    home: Path
    gpus: int
    nodes: int
    accelerator: str
    image: str


def job_file(kind: Format, name: str, arguments: Sequence[str], machines: Machines) -> str:
    """Return the file of the job that calls ``harness ARGUMENTS``.

    Raises HarnessError if the format needs something that was not given.
    """
    gpus, nodes = machines.gpus, machines.nodes
    plain = ["harness", *arguments]
    name = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
    if kind == "slurm":
        devices = f"\n#SBATCH --gpus-per-node={gpus}" if gpus else ""
        command = shlex.join(plain if gpus else [*plain, "--gpus", "0"])
        return SLURM.format(
            name=name,
            nodes=nodes,
            ranks=max(1, gpus),
            gpus=devices,
            seconds=WARNING_SECONDS,
            home=shlex.quote(str(machines.home)),
            command=command,
        )
    if not gpus:
        raise HarnessError(f"--export {kind} needs --gpus 1 or more; on CPUs, use harness run")
    plain += ["--gpus", str(gpus)]
    if kind == "skypilot":
        if not machines.accelerator:
            raise HarnessError("--export skypilot needs --accelerator, such as H100 or L4")
        met = '"$(echo "$SKYPILOT_NODE_IPS" | head -n 1)":' + str(PORT)
        command = _on_nodes(plain, nodes, "$SKYPILOT_NODE_RANK", met)
        return SKYPILOT.format(
            name=name,
            nodes=nodes,
            accelerator=machines.accelerator,
            gpus=gpus,
            command=command,
        )
    if not machines.image:
        raise HarnessError("--export kubernetes needs --image, of a container that has the harness")
    command = _on_nodes(plain, nodes, "$JOB_COMPLETION_INDEX", f"{name}-0.{name}:{PORT}")
    return KUBERNETES.format(
        name=name,
        nodes=nodes,
        port=PORT,
        image=json.dumps(machines.image),
        shell=json.dumps(f"exec {command}"),
        gpus=gpus,
        seconds=WARNING_SECONDS,
    )


def _on_nodes(command: Sequence[str], nodes: int, rank: str, met: str) -> str:
    """Return a line of shell in which each node says which one it is and where all meet."""
    line = shlex.join(command)
    if nodes == 1:
        return line
    return f'{line} --nodes {nodes} --node-rank "{rank}" --rendezvous {met}'
