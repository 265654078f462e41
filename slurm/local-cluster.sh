#!/usr/bin/env bash
# A real Slurm on one machine, to try sagax without a cluster and to test it: munged, slurmctld and
# one slurmd a node, without systemd, as any user.
#   local-cluster.sh start N [--cpus C] [--conf LINE]...   N nodes n1..nN of C processors each
#   local-cluster.sh stop                  end all of it, jobs too; what was configured stays
#   local-cluster.sh status                daemons, nodes, queue
#   local-cluster.sh env                   shell lines that make this cluster the current one:
#                                            eval "$(slurm/local-cluster.sh env)"
#   local-cluster.sh kill-node n1          a power cut: the node's daemons and tasks are gone at once
#   local-cluster.sh start-node n1         and the node is back
# All state is in SAGAX_CLUSTER_DIR (default ${TMPDIR:-/tmp}/sagax-cluster-UID); clusters of several
# folders do not meet. Processors need not be there: C is what Slurm believes (default 4).
#
# As root each node has a host name of its own (a UTS namespace). Where that cannot be had, all share
# the machine's name (slurmd -N) and get folders of their own for shared memory, in which Open MPI's
# files would collide otherwise.
set -u
dir=${SAGAX_CLUSTER_DIR:-${TMPDIR:-/tmp}/sagax-cluster-$(id -u)}
host=$(hostname -s)
export SLURM_CONF=$dir/etc/slurm.conf
PATH=$PATH:/usr/sbin:/sbin

die() { # die CODE TEXT...
    local code=$1
    shift
    echo "local-cluster: $*" >&2
    exit "$code"
}

usage() {
    sed -n '4,10s/^# *//p' "$0" >&2
    exit 64
}

# ---- processes: by pid files only ----

# A zombie is dead, whoever has not reaped it yet.
running() {
    local stat
    stat=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) && [ -n "$stat" ] && [ "$stat" != Z ]
}

# alive FILE: the daemon of this pid file runs; a pid that another program has got by now does not count.
alive() {
    local pid name=${1##*/}
    [ -s "$1" ] && pid=$(cat "$1" 2>/dev/null) && running "$pid" || return 1
    [ "$(name_of "$pid")" = "${name%%.*}" ]
}

# end_daemons FILE...: TERM to all, a few seconds, then KILL.
end_daemons() {
    local file left
    for file in "$@"; do alive "$file" && kill "$(cat "$file")" 2>/dev/null; done
    for _ in $(seq 100); do
        left=0
        for file in "$@"; do alive "$file" && left=1; done
        [ $left = 0 ] && break
        sleep 0.1
    done
    for file in "$@"; do
        alive "$file" && kill -9 "$(cat "$file")"
        rm -f "$file"
    done
}

# name_of PID: of its program, as the kernel has it.
name_of() { cat "/proc/$1/comm" 2>/dev/null; }

# processes_of NODE...: pids of these nodes of this cluster. The environment tells: slurmd has
# SAGAX_CLUSTER_NODE, tasks have SLURMD_NODENAME; slurmstepd, which has neither, is a task's parent.
processes_of() {
    local file node pid parent
    for file in $(grep -lzxF "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ 2>/dev/null); do
        for node in "$@"; do
            grep -qzxF -e "SAGAX_CLUSTER_NODE=$node" -e "SLURMD_NODENAME=$node" "$file" 2>/dev/null || continue
            pid=${file#/proc/} pid=${pid%/environ}
            parent=$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$pid/stat" 2>/dev/null)
            [ "$(name_of "$parent")" != slurmstepd ] || echo "$parent"
            echo "$pid"
            break
        done
    done | sort -u
}

# Daemons first, so that they tell nobody that their tasks died; twice, for what one has just started. They have ended
# when this returns.
kill_nodes() {
    local pid node victims killed=""
    for _ in 1 2; do
        victims=$(processes_of "$@")
        killed+=" $victims"
        for pid in $victims; do
            [[ $(name_of "$pid") != slurm*d ]] || kill -9 "$pid" 2>/dev/null
        done
        [ -z "$victims" ] || kill -9 $victims 2>/dev/null
    done
    for pid in $killed; do # its ports are free when it has ended
        for _ in $(seq 100); do running "$pid" && sleep 0.1 || break; done
    done
    for node in "$@"; do rm -f "$dir/run/slurmd.$node.pid"; done
}

# ---- configuration ----

nodes() { sed -n 's/^NodeName=\([^ ]*\).*/\1/p' "$SLURM_CONF" 2>/dev/null; }

# How the nodes differ: names (own host names) or folders (all on this host).
choose_mode() { if [ "$(id -u)" = 0 ] && unshare -u true 2>/dev/null; then echo names; else echo folders; fi; }

# Ports of clusters beside this one are taken: the first free block of 64, from a place that the folder decides.
choose_port() {
    local port first=$((20000 + $(cksum <<<"$dir" | cut -d' ' -f1) % 150 * 64))
    for port in $(seq $first 64 29600) $(seq 20000 64 $first); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}

write_conf() { # write_conf N CPUS LINE...
    local n=$1 cpus=$2 mode port i
    shift 2
    mkdir -p "$dir"/{etc,run,log,state,spool,tmp} || die 73 "cannot make $dir"
    chmod a+rx "$dir" "$dir/run" # munged wants everybody to reach its socket
    [ -s "$dir/etc/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$dir/etc/munge.key")
    mode=$(choose_mode)
    port=$(choose_port)
    echo "$mode" >"$dir/etc/mode"
    cat >"$SLURM_CONF" <<END
ClusterName=sagax
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
# A requeued job waits for as long as credentials live.
AuthInfo=socket=$dir/run/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
TmpFS=$dir/tmp/%n
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$dir/etc/task-prolog.sh
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
KillWait=30
MinJobAge=86400
JobRequeue=1
SlurmctldTimeout=10
SlurmdTimeout=10
PropagateResourceLimits=ALL
MailProg=/bin/true
END
    for i in $(seq "$n"); do
        echo "NodeName=n$i NodeHostname=$([ "$mode" = names ] && echo "n$i" || echo "$host")" \
            "NodeAddr=127.0.0.1 Port=$((port + i)) CPUs=$cpus RealMemory=8000"
    done >>"$SLURM_CONF"
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP" >>"$SLURM_CONF"
    printf '%s\n' "$@" >>"$SLURM_CONF"
    # slurmd looks for a cgroup file system otherwise, which containers may not have.
    printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >"$dir/etc/cgroup.conf"
    # The default way to meet, a tree, makes some starts over several nodes hang.
    echo 'PMIxCollFence=ring' >"$dir/etc/mpi.conf"
    write_prolog "$mode" "$port"
}

# What a task prints here with "export" becomes part of its environment.
write_prolog() {
    {
        echo '#!/bin/sh'
        if [ "$1" = folders ]; then
            echo "folder=/dev/shm/sagax-cluster-$2-\$SLURMD_NODENAME"
            echo 'mkdir -p "$folder" && echo "export OMPI_MCA_btl_vader_backing_directory=$folder"'
        fi
    } >"$dir/etc/task-prolog.sh"
    chmod 755 "$dir/etc/task-prolog.sh"
}

# ---- start and stop ----

check_packages() {
    local program missing=()
    for program in munged:munge slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client; do
        command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
    done
    [ ${#missing[@]} = 0 ] ||
        die 69 "missing: ${missing[*]}; on Debian: apt-get install --no-install-recommends slurm-wlm munge"
}

start_munged() {
    alive "$dir/run/munged.pid" && return
    rm -f "$dir"/run/munge.socket*
    munged --force --key-file="$dir/etc/munge.key" --socket="$dir/run/munge.socket" \
        --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" \
        --seed-file="$dir/run/munge.seed" --num-threads=2 || die 69 "munged did not start, see $dir/log/munged.log"
}

start_slurmctld() {
    alive "$dir/run/slurmctld.pid" || slurmctld || die 69 "slurmctld did not start, see $dir/log/slurmctld.log"
}

start_node() {
    alive "$dir/run/slurmd.$1.pid" && return
    # What a dead slurmd left would be in the way of a job that starts again under the same id.
    rm -rf "${dir:?}/spool/$1" "${dir:?}/tmp/$1"
    mkdir -p "$dir/spool/$1" "$dir/tmp/$1" || die 73 "cannot make $dir/spool/$1"
    export SAGAX_CLUSTER_NODE=$1
    if [ "$(cat "$dir/etc/mode")" = names ]; then
        unshare -u sh -c 'hostname "$1" && exec slurmd -N "$1"' sh "$1"
    else
        slurmd -N "$1"
    fi || die 69 "slurmd of $1 did not start, see $dir/log/slurmd.$1.log"
    unset SAGAX_CLUSTER_NODE
}

# wait_for NODE...: until all of them answer. A state with "*" is that of a node which has not answered yet.
wait_for() {
    local list n=$#
    list=$(IFS=, && echo "$*")
    for _ in $(seq 500); do
        alive "$dir/run/slurmctld.pid" || die 69 "slurmctld died: $(tail -n 1 "$dir/log/slurmctld.log")"
        [ "$(timeout 5 sinfo -h -N -n "$list" -o %T 2>/dev/null | grep -cE '^(idle|mixed|allocated|completing)$')" -ge $n ] &&
            return
        sleep 0.1
    done
    die 69 "after 50 s not all of $list answer; see the logs in $dir/log and: sinfo -R"
}

start() {
    local n=${1:-} cpus=4 conf=() node
    [[ $n =~ ^[1-9][0-9]?$ ]] && [ "$n" -le 60 ] || usage
    shift
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || usage
        case $1 in
        --cpus) cpus=$2 ;;
        --conf) conf+=("$2") ;;
        *) usage ;;
        esac
        shift 2
    done
    check_packages
    if alive "$dir/run/slurmctld.pid"; then
        [ "$(nodes | wc -l)" = "$n" ] ||
            die 64 "a cluster of $(nodes | wc -l) nodes runs in $dir; stop it first"
    else
        write_conf "$n" "$cpus" "${conf[@]}"
    fi
    start_munged
    start_slurmctld
    for node in $(nodes); do start_node "$node"; done
    wait_for $(nodes)
    echo "$n nodes of Slurm are up. To use them: eval \"\$($0 env)\""
}

stop() {
    [ -d "$dir/run" ] || return
    if alive "$dir/run/slurmctld.pid"; then
        timeout 10 scancel -u "$(id -un)" 2>/dev/null
        for _ in $(seq 60); do
            [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
            sleep 0.1
        done
    fi
    end_daemons "$dir"/run/slurmd.*.pid "$dir/run/slurmctld.pid"
    kill_nodes $(nodes)
    end_daemons "$dir/run/munged.pid"
    rm -rf /dev/shm/sagax-cluster-"$(sed -n 's/^SlurmctldPort=//p' "$SLURM_CONF" 2>/dev/null)"-n*
}

status() {
    local daemon down=0
    for daemon in munged slurmctld $(nodes | sed 's/^/slurmd./'); do
        if alive "$dir/run/$daemon.pid"; then echo "$daemon up"; else echo "$daemon down" && down=1; fi
    done
    alive "$dir/run/slurmctld.pid" && timeout 10 sinfo -N -o '%8N %10T %4c %E' && timeout 10 squeue
    return $down
}

print_env() {
    [ -s "$SLURM_CONF" ] || die 66 "no cluster in $dir; make one: $0 start 2"
    printf 'export SLURM_CONF=%q\n' "$SLURM_CONF"
    # More ranks than processors; a semaphore that a killed rank leaves would block later opens.
    echo 'export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_sharedfp=^sm'
    [ "$(id -u)" != 0 ] || echo 'export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1'
}

need_node() { nodes | grep -qxF -e "${1:-}" || die 64 "no node ${1:-}; there are: $(nodes | tr '\n' ' ')"; }

case ${1:-} in
start) shift && start "$@" ;;
stop) stop ;;
status) status ;;
env) print_env ;;
kill-node) need_node "${2:-}" && kill_nodes "$2" ;;
start-node) need_node "${2:-}" && start_node "$2" && wait_for "$2" ;;
*) usage ;;
esac
