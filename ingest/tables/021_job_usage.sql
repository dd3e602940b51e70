-- What each job used, a row a minute and node, so that a page of jobs is answered from some thousand rows and not from the
-- ticks of all their processes. Filled by the store itself as rows arrive; `minute` is the end of the minute.
CREATE TABLE IF NOT EXISTS job_usage (
  cluster LowCardinality(String),
  job String CODEC(ZSTD(1)),
  minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
  node LowCardinality(String),
  cpu_seconds SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  system_seconds SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
  memory_bytes SimpleAggregateFunction(max, Int64) CODEC(T64, ZSTD(1)),
  seen SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
  sampled_ns SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1))
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(minute) ORDER BY (cluster, job, minute, node)
TTL toDate(minute) + INTERVAL {days:rollups} DAY SETTINGS ttl_only_drop_parts = 1
;

-- Own time of each function of a job, an hour.
CREATE TABLE IF NOT EXISTS job_functions (
  cluster LowCardinality(String),
  job String CODEC(ZSTD(1)),
  hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
  function_id UInt64 CODEC(ZSTD(1)),
  self Int64 CODEC(T64, ZSTD(1))
) ENGINE = SummingMergeTree(self) PARTITION BY toYYYYMM(hour) ORDER BY (cluster, job, hour, function_id)
TTL toDate(hour) + INTERVAL {days:rollups} DAY SETTINGS ttl_only_drop_parts = 1
;

-- Once what an older store has; a start that was killed here begins with empty tables again only where nothing was copied.
INSERT INTO job_usage (cluster, job, minute, node, cpu_seconds, system_seconds, memory_bytes, seen)
SELECT cluster, job, minute, node, sum(cpu), sum(kernel), max(memory), sum(rows) FROM (
  SELECT cluster, toString(job) AS job, node, time, toDateTime(intDiv(toUnixTimestamp(time) + 59, 60) * 60, 'UTC') AS minute,
    sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * (interval_ms / 1000)) AS cpu,
    sum(ifNull(cpu_system, 0) * (interval_ms / 1000)) AS kernel, sum(ifNull(memory_bytes, 0)) AS memory, count() AS rows
  FROM processes WHERE processes.job != '' AND (SELECT count() FROM job_usage) = 0 GROUP BY cluster, job, node, time
) GROUP BY cluster, job, minute, node
;
INSERT INTO job_functions (cluster, job, hour, function_id, self)
SELECT cluster, toString(job) AS job, toStartOfHour(minute - 1) AS hour, function_id, sum(self) FROM function_minutes
WHERE event = 'cpu' AND function_minutes.job != '' AND (SELECT count() FROM job_functions) = 0 GROUP BY cluster, job, hour, function_id
;
INSERT INTO job_usage (cluster, job, minute, node, sampled_ns)
SELECT cluster, toString(job) AS job, minute, node, sum(self) FROM function_minutes
WHERE event = 'cpu' AND function_minutes.job != '' AND (SELECT sum(sampled_ns) FROM job_usage) = 0 GROUP BY cluster, job, minute, node
;

CREATE MATERIALIZED VIEW IF NOT EXISTS job_usage_of_processes TO job_usage AS
SELECT cluster, job, minute, node, sum(cpu) AS cpu_seconds, sum(kernel) AS system_seconds, max(memory) AS memory_bytes,
  sum(rows) AS seen FROM (
  SELECT cluster, toString(job) AS job, node, time, toDateTime(intDiv(toUnixTimestamp(time) + 59, 60) * 60, 'UTC') AS minute,
    sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * (interval_ms / 1000)) AS cpu,
    sum(ifNull(cpu_system, 0) * (interval_ms / 1000)) AS kernel, sum(ifNull(memory_bytes, 0)) AS memory, count() AS rows
  FROM processes WHERE processes.job != '' GROUP BY cluster, job, node, time
) GROUP BY cluster, job, minute, node
;
CREATE MATERIALIZED VIEW IF NOT EXISTS job_usage_of_samples TO job_usage AS
SELECT cluster, toString(job) AS job, minute, node, sum(self) AS sampled_ns FROM function_minutes
WHERE event = 'cpu' AND function_minutes.job != '' GROUP BY cluster, job, minute, node
;
CREATE MATERIALIZED VIEW IF NOT EXISTS job_functions_of_samples TO job_functions AS
SELECT cluster, toString(job) AS job, toStartOfHour(minute - 1) AS hour, function_id, sum(self) AS self FROM function_minutes
WHERE event = 'cpu' AND function_minutes.job != '' GROUP BY cluster, job, hour, function_id
;

-- Whose rank a stack is of, so that the ranks of a job can be told apart though only some of them are among the top processes.
ALTER TABLE samples ADD COLUMN IF NOT EXISTS step LowCardinality(String) AFTER evidence
;
ALTER TABLE samples ADD COLUMN IF NOT EXISTS rank Nullable(Int32) CODEC(ZSTD(1)) AFTER step
;
