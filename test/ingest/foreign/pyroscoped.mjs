/** A Node program under Pyroscope's own client: burns a second of CPU in burn(), and says how much it was. argv: server, tags as JSON. */
import Pyroscope from '@pyroscope/nodejs'

const [serverAddress, tags] = process.argv.slice(2)
Pyroscope.init({
  serverAddress,
  appName: 'burner',
  tags: JSON.parse(tags),
  flushIntervalMs: 60_000,
  wall: { collectCpuTime: true, samplingDurationMs: 60_000 },
})
Pyroscope.startWallProfiling()

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function burn(rounds) {
  let sum = 0
  for (let i = 0; i < rounds; i++) sum += Math.sqrt(i)
  return sum
}

const from = cpuSeconds()
while (cpuSeconds() - from < 1) {
  burn(5_000_000)
  await new Promise(resolve => setTimeout(resolve, 1))
}
const burnt = cpuSeconds() - from
await Pyroscope.stopWallProfiling()
process.stdout.write(String(burnt))
