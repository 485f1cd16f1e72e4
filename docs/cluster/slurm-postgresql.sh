#!/bin/bash
# One search on each node, all on one study in a PostgreSQL: sbatch docs/cluster/slurm-postgresql.sh
# The password is in ~/.pgpass, mode 600: db.example.org:5432:archsearch:archsearch:PASSWORD
#SBATCH --job-name=archsearch
#SBATCH --array=1-4
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --time=02:10:00
set -euo pipefail

source .venv/bin/activate

# A folder for each node, of the same name: that is the study's in the database.
archsearch search --data digits --time 2h --workers "$SLURM_CPUS_PER_TASK" \
    --out "reports/node-$SLURM_ARRAY_TASK_ID/digits" --storage postgresql://archsearch@db.example.org/archsearch
