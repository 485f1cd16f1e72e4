#!/bin/bash
# One search on a Ray cluster that lasts as long as this job: sbatch docs/cluster/slurm-ray.sh
#SBATCH --job-name=archsearch
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
#SBATCH --time=02:10:00
##SBATCH --gpus-per-node=4    # and below: --gpus-per-trial 1
set -euo pipefail

source .venv/bin/activate

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export RAY_AUTH_MODE=token # other users reach these nodes
ray get-auth-token --generate > /dev/null

# Starts Ray on every node, waits for all of them, runs the command on the first, and ends every Ray there is of yours on
# these nodes: therefore --exclusive.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" ray symmetric-run --address "$first:6379" \
    --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus "$SLURM_CPUS_PER_TASK" -- \
    archsearch search --data digits --time 2h --out reports/digits --executor ray
