// 60 / 30 / 10 % of the time in three functions. Run with --perf-basic-prof.
let sink = 0
function f60(n) {
  let s = 0
  for (let k = 0; k < 6; k++) for (let i = 0; i < n; i++) s += i * 0.5
  sink = s
}
function f30(n) {
  let s = 0
  for (let k = 0; k < 3; k++) for (let i = 0; i < n; i++) s += i * 0.5
  sink = s
}
function f10(n) {
  let s = 0
  for (let k = 0; k < 1; k++) for (let i = 0; i < n; i++) s += i * 0.5
  sink = s
}
function work(n) {
  f60(n)
  f30(n)
  f10(n)
}
const limit = Number(process.argv[2]) * 1e6
while (process.cpuUsage().user < limit) for (let i = 0; i < 100; i++) work(2000)
