-- Tables beside the points (node_points, core_points, …: made from the catalogue in ingest/metrics.ts by tables/points.ts).
-- Every table has a TTL. {days:…} is filled with the configured retention; one statement ends at a line ";" and may run twice.

-- One row a process and tick: the top processes of each node.
CREATE TABLE IF NOT EXISTS processes (
  cluster LowCardinality(String),
  node LowCardinality(String),
  time DateTime('UTC') CODEC(Delta, ZSTD(1)),
  interval_ms UInt32 CODEC(T64, ZSTD(1)),
  pid UInt32 CODEC(ZSTD(1)),
  start_ms Int64 CODEC(ZSTD(1)),
  parent_pid Nullable(UInt32) CODEC(ZSTD(1)),
  name LowCardinality(String),
  command String CODEC(ZSTD(3)),
  user LowCardinality(String),
  job LowCardinality(String),
  step LowCardinality(String),
  rank Nullable(Int32) CODEC(ZSTD(1)),
  evidence LowCardinality(String),
  cpu_user Nullable(Float32) CODEC(ZSTD(1)),
  cpu_system Nullable(Float32) CODEC(ZSTD(1)),
  memory_bytes Nullable(Int64) CODEC(ZSTD(1)),
  read_bytes Nullable(Int64) CODEC(ZSTD(1)),
  write_bytes Nullable(Int64) CODEC(ZSTD(1)),
  threads Nullable(UInt32) CODEC(ZSTD(1)),
  state LowCardinality(String)
) ENGINE = MergeTree PARTITION BY toDate(time)
PRIMARY KEY (cluster, toStartOfHour(time), node) ORDER BY (cluster, toStartOfHour(time), node, time, pid)
TTL toDate(time) + INTERVAL {days:processes} DAY SETTINGS ttl_only_drop_parts = 1
;

-- The newest record of each job wins; a whole Job is kept as JSON beside the columns that lists filter by.
CREATE TABLE IF NOT EXISTS jobs (
  cluster LowCardinality(String),
  id String,
  raw_id String,
  array_id String,
  name String,
  user LowCardinality(String),
  account LowCardinality(String),
  queue LowCardinality(String),
  state LowCardinality(String),
  submit_ms Int64,
  start_ms Int64,
  end_ms Int64,
  node_count UInt32,
  cores UInt32,
  gpus UInt32,
  nodes Array(LowCardinality(String)),
  record String CODEC(ZSTD(3)),
  updated_ms Int64
) ENGINE = ReplacingMergeTree(updated_ms) PARTITION BY tuple() ORDER BY (cluster, id, submit_ms)
TTL toDateTime(intDiv(updated_ms, 1000)) + INTERVAL {days:jobs} DAY
;

-- The newest record of each node and sender ('collector' or 'scheduler'); merged by the reader.
CREATE TABLE IF NOT EXISTS nodes (
  cluster LowCardinality(String),
  node String,
  sender LowCardinality(String),
  record String CODEC(ZSTD(3)),
  updated_ms Int64
) ENGINE = ReplacingMergeTree(updated_ms) PARTITION BY tuple() ORDER BY (cluster, node, sender)
TTL toDateTime(intDiv(updated_ms, 1000)) + INTERVAL {days:jobs} DAY
;

-- Each distinct frame once. function_id is the id of (function, module): lines of one function share it.
CREATE TABLE IF NOT EXISTS frames (
  frame_id UInt64,
  function_id UInt64,
  function String CODEC(ZSTD(3)),
  module LowCardinality(String),
  file String CODEC(ZSTD(3)),
  line UInt32,
  kind LowCardinality(String),
  seen Date
) ENGINE = ReplacingMergeTree(seen) PARTITION BY tuple() ORDER BY frame_id
TTL seen + INTERVAL {days:stacks} DAY
;

-- Each distinct stack once, leaf first.
CREATE TABLE IF NOT EXISTS stacks (
  stack_id UInt64,
  category LowCardinality(String),
  frames Array(UInt64) CODEC(ZSTD(1)),
  seen Date
) ENGINE = ReplacingMergeTree(seen) PARTITION BY tuple() ORDER BY stack_id
TTL seen + INTERVAL {days:stacks} DAY
;

-- Samples folded over a window; ordered by job first, since a job's flame graph over all its nodes is the main question.
CREATE TABLE IF NOT EXISTS samples (
  cluster LowCardinality(String),
  job LowCardinality(String),
  event LowCardinality(String),
  node LowCardinality(String),
  pid UInt32 CODEC(ZSTD(1)),
  start_ms Int64 CODEC(ZSTD(1)),
  time DateTime('UTC') CODEC(Delta, ZSTD(1)),
  window_ms UInt32 CODEC(ZSTD(1)),
  process LowCardinality(String),
  thread LowCardinality(String),
  evidence LowCardinality(String),
  burst LowCardinality(String),
  stack_id UInt64 CODEC(ZSTD(1)),
  value Int64 CODEC(T64, ZSTD(1)),
  count UInt32 CODEC(T64, ZSTD(1))
) ENGINE = MergeTree PARTITION BY toDate(time)
PRIMARY KEY (cluster, job, event, toStartOfHour(time), node, pid, start_ms)
ORDER BY (cluster, job, event, toStartOfHour(time), node, pid, start_ms, time, stack_id)
TTL toDate(time) + INTERVAL {days:samples} DAY SETTINGS ttl_only_drop_parts = 1
;

-- Functions a minute, filled at ingest: a function counts once a stack, so recursion never passes 100 %. minute is the end of
-- the minute, self_count the samples behind self. Without bursts (a closer look at what is counted already) and without stacks of
-- category idle.
CREATE TABLE IF NOT EXISTS function_minutes (
  cluster LowCardinality(String),
  job LowCardinality(String),
  event LowCardinality(String),
  node LowCardinality(String),
  pid UInt32 CODEC(ZSTD(1)),
  start_ms Int64 CODEC(ZSTD(1)),
  minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
  function_id UInt64 CODEC(ZSTD(1)),
  self Int64 CODEC(T64, ZSTD(1)),
  total Int64 CODEC(T64, ZSTD(1)),
  self_count UInt32 CODEC(T64, ZSTD(1)),
  period UInt32 CODEC(ZSTD(1))
) ENGINE = SummingMergeTree((self, total, self_count)) PARTITION BY toDate(minute)
PRIMARY KEY (cluster, job, event, toStartOfHour(minute), node, pid, start_ms)
ORDER BY (cluster, job, event, toStartOfHour(minute), node, pid, start_ms, minute, function_id, period)
TTL toDate(minute) + INTERVAL {days:rollups} DAY SETTINGS ttl_only_drop_parts = 1
;

-- Metrics the catalogue does not know: one row a value, its labels once a series.
CREATE TABLE IF NOT EXISTS series (
  series_id UInt64,
  cluster LowCardinality(String),
  node LowCardinality(String),
  name LowCardinality(String),
  unit LowCardinality(String),
  kind LowCardinality(String),
  attributes Map(LowCardinality(String), String),
  seen Date
) ENGINE = ReplacingMergeTree(seen) PARTITION BY tuple() ORDER BY (cluster, name, node, series_id)
TTL seen + INTERVAL {days:points} DAY
;
CREATE TABLE IF NOT EXISTS series_points (
  series_id UInt64 CODEC(Delta, ZSTD(1)),
  time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  value Float64 CODEC(ZSTD(1))
) ENGINE = MergeTree PARTITION BY toDate(time) ORDER BY (series_id, time)
TTL toDate(time) + INTERVAL {days:points} DAY SETTINGS ttl_only_drop_parts = 1
;
