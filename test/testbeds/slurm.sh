#!/bin/bash
# A real Slurm on one Debian machine, without systemd, beside whatever else runs there. As root.
#
#   slurm.sh up DIR [--nodes 2] [--cpus 4] [--port 27100] [--proctrack linuxproc|cgroup] [--gather none|cgroup] [--gpus N] [--accounting]
#   . DIR/env.sh          then sbatch, squeue, … are those of this cluster; users labuser1 and labuser2 may submit
#   slurm.sh down DIR     stops it by pid only, job processes that got away included, and removes DIR
#
# Each node is a slurmd with a name and a port of its own (Debian builds Slurm with MULTIPLE_SLURMD). Jobs are numbered from the port
# on: beds that run side by side share control groups, and the end of job 1 of one would kill job 1 of the other.
set -u -o pipefail
cmd=${1:-}; DIR=$(realpath -m "${2:-/nowhere}"); shift 2 || { sed -n '2,9p' "$0"; exit 2; }
NODES=2 CPUS=4 PORT=27100 TRACK=linuxproc GATHER=none GPUS=0 ACCOUNTING=0
while [ $# -gt 0 ]; do case $1 in
  --nodes) NODES=$2; shift 2;; --cpus) CPUS=$2; shift 2;; --port) PORT=$2; shift 2;;
  --proctrack) TRACK=$2; shift 2;; --gather) GATHER=$2; shift 2;; --gpus) GPUS=$2; shift 2;; --accounting) ACCOUNTING=1; shift;; *) echo "unknown option $1" >&2; exit 2;; esac; done

alive() { local s; read -r s 2>/dev/null <"/proc/$1/stat" || return 1; s=${s##*) }; [ "${s:0:1}" != Z ]; }
stop() { # stop SECONDS PID...: TERM, wait, KILL
  local end=$(($(date +%s) + $1)) p; shift; [ $# -gt 0 ] || return 0
  kill -TERM "$@" 2>/dev/null
  for p in "$@"; do while alive "$p"; do [ "$(date +%s)" -lt $end ] || { kill -KILL "$p" 2>/dev/null; break; }; sleep 0.05; done; done; }
# Daemons of this cluster: a Slurm or MariaDB program that works inside DIR. (munged changes to /, so by its pid file.)
ours() { join <(find /proc/[0-9]*/cwd -lname "$DIR/*" -printf '%h\n' 2>/dev/null | sort) \
  <(find /proc/[0-9]*/exe -lname "*/$1*" -printf '%h\n' 2>/dev/null | sort) | sed 's#/proc/##'; }

down() {
  [ -e "$DIR/.slurm-testbed" ] || return 0
  stop 6 $(ours slurmctld); stop 6 $(ours slurmd-wlm)          # the controller first: nothing new starts
  for _ in 1 2 3 4 5; do
    local stepd; stepd=$(ours slurmstepd); [ -n "$stepd" ] || break
    kill -KILL $(ps -o pid= --ppid "$(echo $stepd | tr ' ' ,)") 2>/dev/null; stop 2 $stepd; done
  stop 10 $(ours slurmdbd); stop 15 $(ours mariadbd)
  local munged; munged=$(cat "$DIR/munge/pid" 2>/dev/null)
  case $(readlink "/proc/${munged:-0}/exe") in */munged) stop 5 "$munged";; esac
  # Job processes that left their shepherd (setsid, double fork), known by their environment.
  local e p
  for e in $(grep -lszx "SLURM_CONF=$DIR/etc/slurm.conf" /proc/[0-9]*/environ 2>/dev/null); do
    p=${e#/proc/}; p=${p%/environ}
    grep -qsz '^SLURM_JOB_ID=' "$e" && grep -qsz '^SLURMD_NODENAME=' "$e" && [ "$p" != $$ ] && kill -KILL "$p" 2>/dev/null; done
  for c in /sys/fs/cgroup/*/slurm_lab* /sys/fs/cgroup/system.slice/lab*_slurmstepd.scope; do [ -d "$c" ] && find "$c" -depth -type d -exec rmdir {} + 2>/dev/null; done
  rm -rf "$DIR"; }
die() { echo "slurm.sh: $*" >&2; tail -n 5 "$DIR"/log/*.log >&2 2>/dev/null; down; exit 1; }
wait_for() { local end=$(($(date +%s) + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do [ "$(date +%s)" -lt $end ] || die "gave up waiting for $what"; sleep 0.1; done; }

install_missing() {
  local want="munge slurmctld slurmd slurm-client procps" missing="" p
  [ $ACCOUNTING = 1 ] && want="$want slurmdbd mariadb-server"
  for p in $want; do [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null)" = "ii " ] || missing="$missing $p"; done
  [ -n "$missing" ] || return 0
  local policy=/usr/sbin/policy-rc.d made=0                    # the packages must not start daemons of their own
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; }
  export DEBIAN_FRONTEND=noninteractive
  for _ in 1 2 3 4 5 6; do apt-get -qq update >/dev/null 2>&1 && break; sleep 5; done   # its lock has no wait
  apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing </dev/null >/tmp/slurm-testbed-apt.log 2>&1
  local rc=$?; [ $made = 1 ] && rm -f $policy
  [ $rc = 0 ] || { tail -5 /tmp/slurm-testbed-apt.log >&2; echo "slurm.sh: cannot install:$missing" >&2; exit 3; }; }

# Roads run side by side: one installs, and makes the users, at a time.
prepare() {
  (flock 9; install_missing
    for u in labuser1 labuser2; do id -u $u >/dev/null 2>&1 || useradd -m -s /bin/bash $u; done) 9>/tmp/testbed.lock || exit $?; }

configure() {
  mkdir -p "$DIR"/{bin,etc,state,log,spool,munge,out}; : >"$DIR/.slurm-testbed"; chmod 755 "$DIR"; chmod 1777 "$DIR/out"
  # The daemons learn what they are from argv[0]: as slurmstepd-wlm every step dies with SIGSEGV. So links with plain names.
  for b in slurmctld slurmd slurmstepd; do ln -sfn /usr/sbin/$b-wlm "$DIR/bin/$b"; done
  local ports="[$((PORT + 11))-$((PORT + 10 + NODES))]" names="lab[1-$NODES]"
  [ "$NODES" = 1 ] && ports=$((PORT + 11)) names=lab1
  cat >"$DIR/etc/slurm.conf" <<E
ClusterName=lab
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/munge/sock
CredType=cred/munge
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/$TRACK
TaskPlugin=task/$([ $TRACK = cgroup ] && echo cgroup || echo none)
JobAcctGatherType=jobacct_gather/$GATHER
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=30
InactiveLimit=0
KillWait=2
UnkillableStepTimeout=10
FirstJobId=$PORT
MinJobAge=$([ $ACCOUNTING = 1 ] && echo 5 || echo 300)
MaxArraySize=10001
MaxJobCount=20000
MpiDefault=none
AccountingStorageType=accounting_storage/$([ $ACCOUNTING = 1 ] && echo slurmdbd || echo none)
$([ $ACCOUNTING = 1 ] && printf 'AccountingStorageHost=127.0.0.1\nAccountingStoragePort=%s\nAccountingStoragePass=%s' $((PORT + 1)) "$DIR/munge/sock")
$([ $GPUS != 0 ] && printf 'GresTypes=gpu\nAccountingStorageTRES=gres/gpu')
NodeName=$names NodeAddr=127.0.0.1 Port=$ports CPUs=$CPUS RealMemory=2000 $([ $GPUS != 0 ] && echo Gres=gpu:$GPUS) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
E
  # GPUs that are counted only: nothing opens their files.
  [ $GPUS != 0 ] && echo "NodeName=$names Name=gpu File=/dev/tty[1-$GPUS]" >"$DIR/etc/gres.conf"
  local plugin=cgroup/v1; [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && { plugin=cgroup/v2; mkdir -p /sys/fs/cgroup/system.slice; }
  { printf 'CgroupPlugin=%s\nCgroupAutomount=no\nCgroupMountpoint=/sys/fs/cgroup\n' $plugin
    [ $plugin = cgroup/v2 ] && echo IgnoreSystemd=yes; } >"$DIR/etc/cgroup.conf"
  cat >"$DIR/etc/slurmdbd.conf" <<E
AuthType=auth/munge
AuthInfo=$DIR/munge/sock
DbdHost=$(hostname -s)
DbdAddr=127.0.0.1
DbdPort=$((PORT + 1))
SlurmUser=root
LogFile=$DIR/log/slurmdbd.log
PidFile=$DIR/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((PORT + 2))
StorageUser=slurm
StoragePass=lab
StorageLoc=slurm_acct_db
E
  chmod 600 "$DIR/etc/slurmdbd.conf"
  printf 'export SLURM_CONF=%s PATH=%s/bin:$PATH\n' "$DIR/etc/slurm.conf" "$DIR" >"$DIR/env.sh"; }

accounting() {
  mkdir "$DIR/mysql"; chown mysql:mysql "$DIR/mysql"
  mariadb-install-db --no-defaults --user=mysql --datadir="$DIR/mysql" --skip-test-db --auth-root-authentication-method=normal >"$DIR/log/mariadb-install.log" 2>&1 || die mariadb-install-db
  (cd "$DIR" && exec setsid mariadbd --no-defaults --user=mysql --datadir="$DIR/mysql" --socket="$DIR/mysql/s" --pid-file="$DIR/mysql/pid" \
    --bind-address=127.0.0.1 --port=$((PORT + 2)) --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
    --innodb-flush-log-at-trx-commit=2 --log-error="$DIR/log/mariadb.log" </dev/null >/dev/null 2>&1) &
  wait_for 60 mariadbd mariadb-admin --no-defaults -uroot -S "$DIR/mysql/s" ping
  mariadb --no-defaults -uroot -S "$DIR/mysql/s" -e "create database slurm_acct_db; create user slurm@'127.0.0.1' identified by 'lab';
    grant all on slurm_acct_db.* to slurm@'127.0.0.1'" || die "mariadb's user"
  (cd "$DIR/log" && slurmdbd) || die slurmdbd                  # finds slurmdbd.conf beside $SLURM_CONF
  wait_for 60 slurmdbd sacctmgr -n list cluster
  sacctmgr -i add cluster lab >/dev/null 2>&1
  for u in root labuser1 labuser2; do sacctmgr -i add account "acct_$u" Cluster=lab >/dev/null 2>&1; sacctmgr -i add user $u Account="acct_$u" >/dev/null 2>&1; done; }

up() {
  [ "$(id -u)" = 0 ] || { echo "slurm.sh: run as root" >&2; exit 3; }
  prepare; down; [ -e "$DIR" ] && die "$DIR exists and is not a testbed"
  configure; . "$DIR/env.sh"
  head -c 128 /dev/urandom >"$DIR/munge/key"; chmod 400 "$DIR/munge/key"; chown -R munge:munge "$DIR/munge"; chmod 755 "$DIR/munge"
  runuser -u munge -- /usr/sbin/munged --key-file="$DIR/munge/key" --socket="$DIR/munge/sock" --pid-file="$DIR/munge/pid" \
    --log-file="$DIR/munge/log" --seed-file="$DIR/munge/seed" || die munged
  wait_for 10 munged sh -c "munge -n -S '$DIR/munge/sock' | unmunge -S '$DIR/munge/sock'"
  [ $ACCOUNTING = 1 ] && accounting
  slurmctld || die slurmctld
  wait_for 30 slurmctld sh -c "scontrol ping | grep -q 'is UP'"
  for i in $(seq "$NODES"); do slurmd -N "lab$i" -d "$DIR/bin/slurmstepd" || die "slurmd lab$i"; done
  wait_for 60 "$NODES idle nodes" sh -c "[ \$(sinfo -h -N -t idle -o %N | sort -u | wc -l) = $NODES ]"
  echo "READY $DIR"; }

case $cmd in up) up;; down) down;; *) echo "up or down?" >&2; exit 2;; esac
