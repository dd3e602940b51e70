#!/bin/bash
# A real Grid Engine 8.1.9 (Son of Grid Engine) on one Debian machine, without systemd. As root.
#
#   gridengine.sh up DIR [--slots 8] [--port 26444]
#   . DIR/env.sh               then qsub, qstat, … are those of this cluster; users labuser1 and labuser2 may submit (root may not)
#   gridengine.sh down DIR     stops it by pid only, job processes that got away included, and removes DIR
set -u -o pipefail
cmd=${1:-}; DIR=$(realpath -m "${2:-/nowhere}"); shift 2 || { sed -n '2,6p' "$0"; exit 2; }
SLOTS=8 PORT=26444
while [ $# -gt 0 ]; do case $1 in --slots) SLOTS=$2; shift 2;; --port) PORT=$2; shift 2;; *) echo "unknown option $1" >&2; exit 2;; esac; done

alive() { local s; read -r s 2>/dev/null <"/proc/$1/stat" || return 1; s=${s##*) }; [ "${s:0:1}" != Z ]; }
stop() { # stop SECONDS PID...: TERM, wait, KILL
  local end=$(($(date +%s) + $1)) p; shift; [ $# -gt 0 ] || return 0
  kill -TERM "$@" 2>/dev/null
  for p in "$@"; do while alive "$p"; do [ "$(date +%s)" -lt $end ] || { kill -KILL "$p" 2>/dev/null; break; }; sleep 0.05; done; done; }
# Daemons of this cluster: a Grid Engine program that works inside DIR, or has our SGE_ROOT.
ours() {
  local exe; exe=$(find /proc/[0-9]*/exe -lname "/usr/lib/gridengine/$1" -printf '%h\n' 2>/dev/null | sort)
  { join <(find /proc/[0-9]*/cwd -lname "$DIR/*" -printf '%h\n' 2>/dev/null | sort) <(echo "$exe")
    for p in $exe; do grep -qsz "^SGE_ROOT=$DIR/root" "$p/environ" && echo "$p"; done; } | sed 's#/proc/##' | sort -u; }

down() {
  [ -e "$DIR/.gridengine-testbed" ] || return 0
  stop 3 $(ours sge_qmaster) $(ours sge_execd)                 # first, so that nothing new starts
  for _ in 1 2 3 4 5; do
    local shepherds; shepherds=$(ours sge_shepherd); [ -n "$shepherds" ] || break
    kill -KILL $(ps -o pid= --ppid "$(echo $shepherds | tr ' ' ,)") 2>/dev/null; stop 2 $shepherds; done
  local e p
  for e in $(grep -lszx "SGE_JOB_SPOOL_DIR=$DIR/spool/execd/.*" /proc/[0-9]*/environ 2>/dev/null); do
    p=${e#/proc/}; p=${p%/environ}; [ "$p" != $$ ] && kill -KILL "$p" 2>/dev/null; done
  rm -rf "$DIR"; }
die() { echo "gridengine.sh: $*" >&2; tail -n 5 "$DIR"/spool/qmaster/messages "$DIR"/spool/execd/*/messages >&2 2>/dev/null; down; exit 1; }
wait_for() { local end=$(($(date +%s) + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do [ "$(date +%s)" -lt $end ] || die "gave up waiting for $what"; sleep 0.1; done; }

install_missing() {
  local missing="" p
  for p in gridengine-master gridengine-exec gridengine-client procps; do
    [ "$(dpkg-query -W -f='${db:Status-Abbrev}' $p 2>/dev/null)" = "ii " ] || missing="$missing $p"; done
  [ -n "$missing" ] || return 0
  # gridengine-common wants a mailx, that wants a mail server: nullmailer is the smallest.
  dpkg-query -W -f='${db:Status-Abbrev}\n' exim4-daemon-light nullmailer postfix 2>/dev/null | grep -q '^ii' || missing="$missing nullmailer"
  local policy=/usr/sbin/policy-rc.d made=0
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; }
  export DEBIAN_FRONTEND=noninteractive
  for _ in 1 2 3 4 5 6; do apt-get -qq update >/dev/null 2>&1 && break; sleep 5; done   # its lock has no wait
  # false: no cluster of the packages' own; ours is made below
  printf '%s shared/gridengineconfig boolean false\n' gridengine-{common,client,master,exec} | debconf-set-selections
  apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing </dev/null >/tmp/gridengine-testbed-apt.log 2>&1
  local rc=$?; [ $made = 1 ] && rm -f $policy
  [ $rc = 0 ] || { tail -5 /tmp/gridengine-testbed-apt.log >&2; echo "gridengine.sh: cannot install:$missing" >&2; exit 3; }; }

# Roads run side by side: one installs, and makes the users, at a time.
prepare() {
  (flock 9; install_missing
    for u in labuser1 labuser2; do id -u $u >/dev/null 2>&1 || useradd -m -s /bin/bash $u; done) 9>/tmp/testbed.lock || exit $?; }

configure() {
  mkdir -p "$DIR"/{root/default/common,spool/qmaster/job_scripts,spool/execd,spool/spooldb,cfg,bin,out}; : >"$DIR/.gridengine-testbed"
  chmod 755 "$DIR"; chmod 1777 "$DIR/out"
  for l in bin lib util utilbin; do cp -a /var/lib/gridengine/$l "$DIR/root/"; done
  sed "s#/var/spool/gridengine#$DIR/spool#" /usr/share/gridengine/default-bootstrap >"$DIR/root/default/common/bootstrap"
  # A connection from 127.0.0.1 is from "localhost", a stranger to qmaster: the first word of the line is the name used.
  echo "$HOST localhost $(getent hosts "$HOST" | awk '{for(i=2;i<=NF;i++)print $i}' | grep -vx -e "$HOST" -e localhost | tr '\n' ' ')" >"$DIR/root/default/common/host_aliases"
  echo "$HOST" >"$DIR/root/default/common/act_qmaster"
  chown -R sgeadmin:sgeadmin "$DIR/root/default" "$DIR/spool"
  cp /usr/share/gridengine/default-configuration "$DIR/cfg/global"
  set_() { if grep -q "^$1[[:space:]]" "$DIR/cfg/global"; then sed -i "s#^$1[[:space:]].*#$1 $2#" "$DIR/cfg/global"; else echo "$1 $2" >>"$DIR/cfg/global"; fi; }
  set_ execd_spool_dir "$DIR/spool/execd"; set_ mailer /bin/true; set_ load_report_time 00:00:02; set_ max_unheard 00:00:20
  set_ reporting_params "accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00"
  sed "s#/usr/share/gridengine/default-configuration#$DIR/cfg/global#" /usr/share/gridengine/scripts/init_cluster >"$DIR/cfg/init_cluster"
  (cd "$DIR/root" && runuser -u sgeadmin -- sh "$DIR/cfg/init_cluster" "$SGE_ROOT" default "$DIR/spool/spooldb" sgeadmin) >"$DIR/cfg/init.log" 2>&1 || die "init_cluster: $(tail -3 "$DIR/cfg/init.log")"
  printf 'export SGE_ROOT=%s SGE_CELL=default SGE_QMASTER_PORT=%s SGE_EXECD_PORT=%s PATH=%s/bin:$PATH\n' "$SGE_ROOT" $PORT $((PORT + 1)) "$DIR" >"$DIR/env.sh"
  local c n
  for c in /usr/bin/q*; do [ "$(readlink "$c")" = ../share/gridengine/gridengine-wrapper ] || continue; n=${c##*/}
    { echo '#!/bin/sh'; sed 's/ PATH=.*//' "$DIR/env.sh"; echo "exec /usr/lib/gridengine/$n \"\$@\""; } >"$DIR/bin/$n"; chmod 755 "$DIR/bin/$n"; done; }

queues() {
  local C=$DIR/cfg; q() { qconf "$@" 2>>"$C/qconf.log"; }
  q -as "$HOST" >/dev/null
  q -ssconf | sed 's/^schedule_interval .*/schedule_interval 0:0:1/; s/^flush_submit_sec .*/flush_submit_sec 1/; s/^flush_finish_sec .*/flush_finish_sec 1/' >"$C/sched"; q -Msconf "$C/sched" >/dev/null
  sed 's/^slots .*/slots 999/' /usr/share/gridengine/util/resources/pe/smp >"$C/smp"; q -Ap "$C/smp" >/dev/null
  printf 'group_name @allhosts\nhostlist %s\n' "$HOST" >"$C/hg"; q -Ahgrp "$C/hg" >/dev/null
  # Jobs inherit the daemon's environment, so it gets a clean one.
  $CLEAN /usr/sbin/sge_execd || die execd
  q -sq | sed "s/^qname .*/qname all.q/; s/^hostlist .*/hostlist @allhosts/; s/^slots .*/slots $SLOTS/; s/^load_thresholds .*/load_thresholds NONE/; s/^pe_list .*/pe_list smp/; s/^shell  .*/shell \/bin\/bash/; s/^rerun .*/rerun FALSE/" >"$C/q"
  q -Aq "$C/q" >/dev/null || die queue; }

up() {
  [ "$(id -u)" = 0 ] || { echo "gridengine.sh: run as root" >&2; exit 3; }
  prepare; down; [ -e "$DIR" ] && die "$DIR exists and is not a testbed"
  HOST=$(hostname); export SGE_ROOT=$DIR/root SGE_CELL=default SGE_QMASTER_PORT=$PORT SGE_EXECD_PORT=$((PORT + 1))
  CLEAN="env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 SGE_ROOT=$SGE_ROOT SGE_CELL=default SGE_QMASTER_PORT=$PORT SGE_EXECD_PORT=$((PORT + 1))"
  configure; . "$DIR/env.sh"
  $CLEAN /usr/sbin/sge_qmaster || die qmaster
  wait_for 20 qmaster qconf -sh
  queues
  wait_for 60 "the execution host" sh -c "qhost | awk 'NR>3 && \$4 ~ /^[0-9]/{f=1} END{exit !f}' && ! qstat -f | awk '\$1 ~ /@/ && \$6 ~ /[ua]/{f=1} END{exit !f}'"
  echo "READY $DIR"; }

case $cmd in up) up;; down) down;; *) echo "up or down?" >&2; exit 2;; esac
