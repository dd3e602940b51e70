-- A page of a day or of a job reads what its processes did from five minutes: all that it shows of them, as their ticks tell it.
-- `_ms` is how long a value was told, 0: never. Rows of before this version lack these columns, so they are read from the ticks.
ALTER TABLE processes_5m
  ADD COLUMN IF NOT EXISTS first SimpleAggregateFunction(min, DateTime('UTC')) CODEC(Delta, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS last SimpleAggregateFunction(max, DateTime('UTC')) CODEC(Delta, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS user_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS system_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS memory_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS read_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS write_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS cpu_delay_seconds SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS cpu_delay_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS disk_delay_seconds SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS disk_delay_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS gpu_seconds SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS gpu_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS gpu_memory_max SimpleAggregateFunction(max, Nullable(Int64)) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS numa_node SimpleAggregateFunction(anyLast, Nullable(UInt16)) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS ended SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1))
;
DROP VIEW IF EXISTS processes_5m_of_processes
;
CREATE MATERIALIZED VIEW IF NOT EXISTS processes_5m_of_processes TO processes_5m AS
SELECT cluster, node, five AS time, pid, start_ms, job, name, user, anyLast(rank_then) AS rank, count() AS ticks,
  sum(interval_ms) / 1000 AS seconds, sum(cpu * interval_ms) / 1000 AS cpu_seconds, sum(kernel * interval_ms) / 1000 AS system_seconds,
  sum(memory) AS memory_sum, max(memory) AS memory_max, sum(reading * interval_ms) / 1000 AS read_bytes,
  sum(writing * interval_ms) / 1000 AS write_bytes, max(held) AS threads, min(at) AS first, max(at) AS last,
  sum(told_user * interval_ms) AS user_ms, sum(told_system * interval_ms) AS system_ms, sum(told_memory * interval_ms) AS memory_ms,
  sum(told_read * interval_ms) AS read_ms, sum(told_write * interval_ms) AS write_ms,
  sum(cpu_waited * interval_ms) / 1000 AS cpu_delay_seconds, sum(told_cpu_delay * interval_ms) AS cpu_delay_ms,
  sum(disk_waited * interval_ms) / 1000 AS disk_delay_seconds, sum(told_disk_delay * interval_ms) AS disk_delay_ms,
  sum(gpu * interval_ms) / 1000 AS gpu_seconds, sum(told_gpu * interval_ms) AS gpu_ms, max(gpu_memory_bytes) AS gpu_memory_max,
  anyLast(numa_then) AS numa_node, sum(ended_then * interval_ms) / 1000 AS ended FROM (
  SELECT cluster, node, toDateTime(intDiv(toUnixTimestamp(time) + 299, 300) * 300, 'UTC') AS five, time AS at, pid, start_ms, job, name, user,
    rank AS rank_then, interval_ms, ifNull(cpu_user, 0) + ifNull(cpu_system, 0) AS cpu, ifNull(cpu_system, 0) AS kernel,
    ifNull(memory_bytes, 0) AS memory, ifNull(read_bytes, 0) AS reading, ifNull(write_bytes, 0) AS writing, ifNull(threads, 0) AS held,
    isNotNull(cpu_user) AS told_user, isNotNull(cpu_system) AS told_system, isNotNull(memory_bytes) AS told_memory,
    isNotNull(read_bytes) AS told_read, isNotNull(write_bytes) AS told_write, ifNull(cpu_delay, 0) AS cpu_waited,
    isNotNull(cpu_delay) AS told_cpu_delay, ifNull(disk_delay, 0) AS disk_waited, isNotNull(disk_delay) AS told_disk_delay,
    ifNull(gpu_utilization, 0) AS gpu, isNotNull(gpu_utilization) AS told_gpu, gpu_memory_bytes, numa_node AS numa_then,
    ended AS ended_then
  FROM processes
) GROUP BY cluster, node, five, pid, start_ms, job, name, user
;
