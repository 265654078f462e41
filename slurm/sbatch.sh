#!/usr/bin/env bash
# sbatch with what site.env says:  sbatch.sh [options of sbatch] TEMPLATE.sbatch arguments...
# Options that are given come last, so they win.
set -u
SAGAX_SLURM_DIR=${SAGAX_SLURM_DIR:-$(cd "$(dirname "$0")" && pwd)}
export SAGAX_SLURM_DIR
. "${SAGAX_SITE:-$SAGAX_SLURM_DIR/site.env}" || exit 78
# What Slurm says of the job that this may stand in is not for the new one, which would take that array's
# id and count of restarts for its own.
[ -z "${SLURM_JOB_ID:-}" ] || for name in "${!SLURM_@}"; do
    case $name in SLURM_CONF | SLURM_CLUSTERS) ;; *) unset "$name" ;; esac
done
exec sbatch ${SAGAX_PARTITION:+--partition="$SAGAX_PARTITION"} ${SAGAX_ACCOUNT:+--account="$SAGAX_ACCOUNT"} \
    ${SAGAX_QOS:+--qos="$SAGAX_QOS"} $SAGAX_SBATCH "$@"
