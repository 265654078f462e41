#!/usr/bin/env bash
# The cluster on one machine: starts, starts again, loses a node and gets it back, leaves nothing behind.
set -u
. "$SAGAX_SOURCE_DIR/tests/slurm/lib.sh"
rm -rf ./*
cluster_start 2 --cpus 3 --conf MaxArraySize=50

# cluster CODE arguments...
cluster() {
    local want=$1 got=0
    shift
    last="local-cluster.sh $*"
    timeout 120 "$cluster" "$@" >out 2>err || got=$?
    check "$last: exit code $got, want $want" [ $got = "$want" ]
}
# A zombie is dead: process 1 may be late to reap it.
dead() { ! grep -q '^State:[[:blank:]]*[^Z[:blank:]]' "/proc/$1/status" 2>/dev/null; }

check "two nodes of three processors" [ "$(sinfo -h -o '%D %c')" = "2 3" ]
check "a line of slurm.conf" grep -q '^MaxArraySize *= 50$' <(scontrol show config)
check "a task on each node" [ "$(srun -N2 -n2 sh -c 'echo $SLURMD_NODENAME' | sort | tr '\n' ' ')" = "n1 n2 " ]

cluster 0 status
says out "slurmd.n2 up"
before=$(cat "$SAGAX_CLUSTER_DIR"/run/*.pid | sort)
cluster 0 start 2
check "started again, nothing has changed" [ "$before" = "$(cat "$SAGAX_CLUSTER_DIR"/run/*.pid | sort)" ]
cluster 64 start 3
says err "a cluster of 2 nodes runs"

# ---- a node that is gone, with all that ran on it ----
srun -w n2 sh -c 'echo $$ >task.pid && exec sleep 1000' >srun.log 2>&1 &
wait_until 120 test -s task.pid
task=$(cat task.pid)
check "a task runs" [ -e "/proc/$task" ]
cluster 0 kill-node n2
check "its tasks are dead" dead "$task"
cluster 1 status
says out "slurmd.n2 down"
cluster 0 start-node n2
check "it works again" [ "$(timeout 120 srun -w n2 sh -c 'echo $SLURMD_NODENAME')" = n2 ]
cluster 64 kill-node n7
says err "no node n7; there are: n1 n2"

# ---- the end ----
cluster 0 stop
check "no daemon is left" [ -z "$(cat "$SAGAX_CLUSTER_DIR"/run/*.pid 2>/dev/null)" ]
cluster 1 status
says out "slurmctld down"
cluster 0 stop
cluster 64 stop-it
says err "start N"
mkdir bin && for name in bash hostname id sed dirname; do ln -s "$(command -v $name)" bin/; done
sed 's|^PATH=.*||' "$cluster" >no-path.sh
last="local-cluster.sh start 1 without packages"
got=0
PATH=$PWD/bin bash no-path.sh start 1 >out 2>err || got=$?
check "$last: exit code $got, want 69" [ $got = 69 ]
says err "missing: munge slurmctld slurmd slurm-client; on Debian: apt-get install"
finish
