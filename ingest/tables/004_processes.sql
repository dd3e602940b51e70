-- What a process waited for, where it ran and what it did on GPUs; ended: processes a second that a row is the sum of.
ALTER TABLE processes
  ADD COLUMN IF NOT EXISTS executable LowCardinality(String),
  ADD COLUMN IF NOT EXISTS container LowCardinality(String),
  ADD COLUMN IF NOT EXISTS cpu_delay Nullable(Float32) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS disk_delay Nullable(Float32) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS numa_node Nullable(UInt16) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS gpu_utilization Nullable(Float32) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS gpu_memory_bytes Nullable(Int64) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS ended Nullable(Float32) CODEC(ZSTD(1))
;
