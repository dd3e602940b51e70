-- Functions of each job an hour, all nodes and processes together: the function table of a day of a job on 125 nodes is 24 hours of
-- some thousand functions, where the minutes of its processes are 43 million rows. Work outside of jobs has job ''.
-- `hour` is the end of the hour. In place of job_functions, which had own time alone.
CREATE TABLE IF NOT EXISTS function_hours (
  cluster LowCardinality(String),
  job String CODEC(ZSTD(1)),
  event LowCardinality(String),
  hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
  function_id UInt64 CODEC(ZSTD(1)),
  self Int64 CODEC(ZSTD(6)),
  total Int64 CODEC(ZSTD(6)),
  self_count UInt64 CODEC(T64, ZSTD(1))
) ENGINE = SummingMergeTree((self, total, self_count)) PARTITION BY toDate(hour)
ORDER BY (cluster, job, event, hour, function_id)
TTL toDate(hour) + INTERVAL {days:rollups} DAY SETTINGS ttl_only_drop_parts = 1
;
-- A start that was killed here begins with an empty table again; nothing is added to it before the view below.
TRUNCATE TABLE function_hours
;
INSERT INTO function_hours (cluster, job, event, hour, function_id, self, total, self_count)
SELECT cluster, job, event, toStartOfHour(minute - 1) + 3600 AS hour, function_id, sum(self), sum(total), sum(self_count)
FROM function_minutes GROUP BY cluster, job, event, hour, function_id SETTINGS max_bytes_before_external_group_by = 500000000
;
CREATE MATERIALIZED VIEW IF NOT EXISTS function_hours_of_minutes TO function_hours AS
SELECT cluster, job, event, toStartOfHour(minute - 1) + 3600 AS hour, function_id, sum(self) AS self, sum(total) AS total,
  sum(toUInt64(self_count)) AS self_count
FROM function_minutes GROUP BY cluster, job, event, hour, function_id
;
DROP VIEW IF EXISTS job_functions_of_samples
;
DROP TABLE IF EXISTS job_functions
;
