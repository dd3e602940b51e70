-- Closer looks that were asked for; the newest record of each wins. Kept as long as the samples they made.
CREATE TABLE IF NOT EXISTS bursts (
  cluster LowCardinality(String),
  id String,
  job String,
  nodes Array(LowCardinality(String)),
  pid UInt32,
  start_ms Int64,
  from_ms Int64,
  to_ms Int64,
  record String CODEC(ZSTD(3)),
  updated_ms Int64
) ENGINE = ReplacingMergeTree(updated_ms) PARTITION BY tuple() ORDER BY (cluster, id)
TTL toDateTime(intDiv(to_ms, 1000)) + INTERVAL {days:samples} DAY
;
