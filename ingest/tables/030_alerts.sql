-- What alerting must remember over a restart, as JSON: rule, state (what is pending or fires), told (what receivers know),
-- silence, delivery (what is on its way or given up), clock, lease. The newest row of an id wins; '' is taken away.
-- One partition, so that what changes together is one insert of one part: all of it is there or nothing.
CREATE TABLE IF NOT EXISTS alert_records (
  kind LowCardinality(String),
  id String,
  record String CODEC(ZSTD(3)),
  updated_ms Int64
) ENGINE = ReplacingMergeTree(updated_ms) PARTITION BY tuple() ORDER BY (kind, id)
TTL toDateTime(intDiv(updated_ms, 1000)) + INTERVAL 30 DAY DELETE WHERE record = ''
;

-- One row an alert that fired: from when to when, and why. resolved_ms 0: it fires still.
CREATE TABLE IF NOT EXISTS alerts (
  cluster LowCardinality(String),
  rule LowCardinality(String),
  series String,
  since_ms Int64,
  fired_ms Int64,
  resolved_ms Int64,
  severity LowCardinality(String),
  value Float64,
  worst Float64,
  threshold Float64,
  why LowCardinality(String),
  node LowCardinality(String),
  job String,
  user LowCardinality(String),
  labels String CODEC(ZSTD(3)),
  message String CODEC(ZSTD(3)),
  updated_ms Int64
) ENGINE = ReplacingMergeTree(updated_ms) PARTITION BY tuple() ORDER BY (cluster, since_ms, rule, series)
TTL toDateTime(intDiv(updated_ms, 1000)) + INTERVAL {days:jobs} DAY
;
