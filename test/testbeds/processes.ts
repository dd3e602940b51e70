/** What jobs of the roads run, and the processes they leave. */
import { readdirSync, readFileSync } from 'node:fs'
import { type Boot, startMsOf } from '../../collector/starttime.ts'

/** Runs on until it is ended: children, a child in a session of its own, and a daemon whose parent is init. */
export const TREE = `#!/bin/sh
sleep 300 &
setsid sleep 301 &
(setsid sh -c 'sleep 302 & wait' &)
sh -c 'sleep 303; :'
`

/**
 * The processes of mpirun under Slurm, which starts no rank by ssh: it lets srun put a daemon on each node, and that forks the
 * ranks, each in a session of its own.
 */
export const MPIRUN = `#!/bin/sh
[ "$1" = orted ] || exec srun --overlap -N2 -n2 ./mpirun.sh orted
for i in 0 1; do OMPI_COMM_WORLD_RANK=$((2 * SLURM_NODEID + i)) setsid sh -c 'sleep 304; :' & done
wait
`

/** Every live process that has `ROAD=tag` in its environment. */
export function processesOf(tag: string, boot: Boot): { pid: number; startMs: number; comm: string }[] {
  return readdirSync('/proc').flatMap(name => {
    try {
      if (!/^\d+$/.test(name) || !readFileSync(`/proc/${name}/environ`).includes(`ROAD=${tag}\0`)) return []
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const comm = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
      return fields[0] === 'Z' ? [] : [{ pid: Number(name), startMs: startMsOf(boot, Number(fields[19])), comm }]
    } catch {
      return []
    }
  })
}
