-- What processes, and functions on all nodes of a job (of what is no job's as well), did in five minutes: a rule is tried on a day
-- of a large cluster from some million rows in place of hundreds of millions. Filled by the store itself as rows arrive; `time` is
-- the end of the five minutes. A process that a job was found for later has a row for either.
CREATE TABLE IF NOT EXISTS processes_5m (
  cluster LowCardinality(String),
  node LowCardinality(String),
  time DateTime('UTC') CODEC(Delta, ZSTD(1)),
  pid UInt32 CODEC(ZSTD(1)),
  start_ms Int64 CODEC(ZSTD(1)),
  job LowCardinality(String),
  name LowCardinality(String),
  user LowCardinality(String),
  rank SimpleAggregateFunction(anyLast, Nullable(Int32)) CODEC(ZSTD(1)),
  ticks SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  seconds SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  cpu_seconds SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  system_seconds SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  memory_sum SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
  memory_max SimpleAggregateFunction(max, Int64) CODEC(T64, ZSTD(1)),
  read_bytes SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  write_bytes SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  threads SimpleAggregateFunction(max, UInt32) CODEC(T64, ZSTD(1))
) ENGINE = AggregatingMergeTree PARTITION BY toDate(time) ORDER BY (cluster, node, time, pid, start_ms, job, name, user)
TTL toDate(time) + INTERVAL {days:processes} DAY SETTINGS ttl_only_drop_parts = 1
;
CREATE TABLE IF NOT EXISTS functions_5m (
  cluster LowCardinality(String),
  job String CODEC(ZSTD(1)),
  time DateTime('UTC') CODEC(Delta, ZSTD(1)),
  function_id UInt64 CODEC(ZSTD(1)),
  self Int64 CODEC(T64, ZSTD(1)),
  total Int64 CODEC(T64, ZSTD(1)),
  self_count UInt64 CODEC(T64, ZSTD(1))
) ENGINE = SummingMergeTree((self, total, self_count)) PARTITION BY toDate(time)
ORDER BY (cluster, job, time, function_id)
TTL toDate(time) + INTERVAL {days:rollups} DAY SETTINGS ttl_only_drop_parts = 1
;
-- CPU time that waited for others (categories mpi and wait), written where profiles come in. NULL: not known of then.
ALTER TABLE job_usage ADD COLUMN IF NOT EXISTS waiting_ns SimpleAggregateFunction(sum, Nullable(Int64)) CODEC(ZSTD(1))
;

-- Once the last day of an older store: all that it has could be hours of work for a start. One that was killed here begins with empty
-- tables again; nothing is added to them before the views below.
TRUNCATE TABLE processes_5m
;
TRUNCATE TABLE functions_5m
;
INSERT INTO processes_5m (cluster, node, time, pid, start_ms, job, name, user, rank, ticks, seconds, cpu_seconds, system_seconds,
  memory_sum, memory_max, read_bytes, write_bytes, threads)
SELECT cluster, node, five, pid, start_ms, job, name, user, anyLast(rank), count(), sum(interval_ms) / 1000,
  sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * interval_ms) / 1000, sum(ifNull(cpu_system, 0) * interval_ms) / 1000,
  sum(ifNull(memory_bytes, 0)), max(ifNull(memory_bytes, 0)), sum(ifNull(read_bytes, 0) * interval_ms) / 1000,
  sum(ifNull(write_bytes, 0) * interval_ms) / 1000, max(ifNull(threads, 0)) FROM (
  SELECT *, toDateTime(intDiv(toUnixTimestamp(time) + 299, 300) * 300, 'UTC') AS five
  FROM processes WHERE time > now() - INTERVAL 1 DAY
) GROUP BY cluster, node, five, pid, start_ms, job, name, user SETTINGS max_bytes_before_external_group_by = 500000000
;
INSERT INTO functions_5m (cluster, job, time, function_id, self, total, self_count)
SELECT cluster, job, five, function_id, sum(self), sum(total), sum(self_count) FROM (
  SELECT *, toDateTime(intDiv(toUnixTimestamp(minute) + 299, 300) * 300, 'UTC') AS five
  FROM function_minutes WHERE event = 'cpu' AND minute > now() - INTERVAL 1 DAY
) GROUP BY cluster, job, five, function_id SETTINGS max_bytes_before_external_group_by = 500000000
;

CREATE MATERIALIZED VIEW IF NOT EXISTS processes_5m_of_processes TO processes_5m AS
SELECT cluster, node, five AS time, pid, start_ms, job, name, user, anyLast(rank_then) AS rank, count() AS ticks,
  sum(interval_ms) / 1000 AS seconds, sum(cpu * interval_ms) / 1000 AS cpu_seconds, sum(kernel * interval_ms) / 1000 AS system_seconds,
  sum(memory) AS memory_sum, max(memory) AS memory_max, sum(reading * interval_ms) / 1000 AS read_bytes,
  sum(writing * interval_ms) / 1000 AS write_bytes, max(held) AS threads FROM (
  SELECT cluster, node, toDateTime(intDiv(toUnixTimestamp(time) + 299, 300) * 300, 'UTC') AS five, pid, start_ms, job, name, user,
    rank AS rank_then, interval_ms, ifNull(cpu_user, 0) + ifNull(cpu_system, 0) AS cpu, ifNull(cpu_system, 0) AS kernel,
    ifNull(memory_bytes, 0) AS memory, ifNull(read_bytes, 0) AS reading, ifNull(write_bytes, 0) AS writing, ifNull(threads, 0) AS held
  FROM processes
) GROUP BY cluster, node, five, pid, start_ms, job, name, user
;
CREATE MATERIALIZED VIEW IF NOT EXISTS functions_5m_of_minutes TO functions_5m AS
SELECT cluster, job, five AS time, function_id, sum(own) AS self, sum(whole) AS total, sum(own_count) AS self_count FROM (
  SELECT cluster, toString(job) AS job, toDateTime(intDiv(toUnixTimestamp(minute) + 299, 300) * 300, 'UTC') AS five, function_id,
    self AS own, total AS whole, self_count AS own_count
  FROM function_minutes WHERE event = 'cpu'
) GROUP BY cluster, job, five, function_id
;
